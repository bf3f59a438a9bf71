"""What signing in costs, through one Apache: by Kerberos with each request or once for a connection, and by NTLM."""

from bench import Bench
from measure import Contestant, prints, ratios
from realm import ACCOUNT, NTLM_ACCOUNT, Realm
from report import CPU_PER_ROW, HERE, ROWS, SECONDS, SPEED, Claim, claims, figures
from servers import CREATES, Nginx

CONCURRENCY = 16


def run(bench: Bench) -> None:
    n = bench.n_rows(20_000)
    manifest = bench.manifest("onboarding", n)
    with Nginx(bench.folder, CREATES) as nginx, Realm(bench.folder, nginx) as realm:

        def ours(name: str, place: str, *options) -> Contestant:
            # nginx has no list of templates, to which NTLM's messages go: it answers 404, which signs a connection in as well.
            contestant = bench.sent_afresh(name, manifest, n, realm.place(place), concurrency=CONCURRENCY)
            contestant.command = [*contestant.command, *options]
            return contestant

        negotiate = ["--auth", "negotiate", "--keytab", realm.keytab, "--principal", ACCOUNT]
        ntlm = ["--auth", "ntlm", "--principal", NTLM_ACCOUNT, "--password-file", realm.password]
        unsigned = ours("no sign-in", "open")
        connection = ours("Kerberos, a token for each connection", "krbconn", *negotiate)
        request = ours("Kerberos, a token with each request", "krb", *negotiate)
        by_ntlm = ours("NTLM, each connection", "ntlm", *ntlm)
        bare = Contestant("both ends' GSSAPI calls alone, two processes",
                          ["/usr/bin/python3", HERE / "peer_gssapi.py", realm.keytab, realm.service_keytab, n], n, prints(n))
        contestants = [unsigned, connection, by_ntlm, request, bare]
        bench.runner.compete(contestants)
    bench.finish(
        "Signing in",
        f"""Whole processes of `cmbatch submit` with {CONCURRENCY} calls at a time, through one Apache with mod_auth_gssapi before nginx.
The last one makes no calls: it makes tokens as the client does and checks them as the server does, each proving itself to the
other, in two processes on the machine's two processors; a run with a token in each request does that and all the rest.""",
        [*figures(contestants, [ROWS, SECONDS, SPEED, CPU_PER_ROW]), "",
         *claims([
             Claim("Kerberos by connection: speed, of that without sign-in", ratios(connection, "speed", unsigned), at_least=0.9),
             Claim("NTLM by connection: speed, of that without sign-in", ratios(by_ntlm, "speed", unsigned)),
             Claim("Kerberos by request: speed, of the bare GSSAPI calls", ratios(request, "speed", bare), at_least=0.6),
         ])],
        contestants, ["nginx"])

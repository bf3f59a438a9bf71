"""Sending as fast as it goes, against the bare client libraries and the tools that people use instead."""

from bench import Bench
from measure import Contestant, Run, expect, prints, ratios, succeeds
from report import HERE, CPU_PER_ROW, PEAK, ROWS, SECONDS, SPEED, Claim, claims, figures
from servers import CREATES, Nginx

CONNECTIONS = 64


def run(bench: Bench) -> None:
    n = bench.n_rows(100_000)
    with Nginx(bench.folder, CREATES) as server:
        contestants = list_contestants(bench, server, n)
        for one in contestants.values():
            # cmbatch asks for the list before its first call, and reads its first request back.
            count_at_server(one, server, n_more=2 if one.name == "cmbatch submit" else 0)
        bench.runner.compete(list(contestants.values()))
        long = bench.sent_afresh(f"cmbatch submit, {10 * n:,} rows, once", bench.manifest("onboarding", 10 * n), 10 * n, server)
        bench.runner.once(long)
    everyone = [*contestants.values(), long]
    bench.finish(
        "Sending against other programs",
        f"""nginx with one worker answers each create request with 201 and a URI of its own. {CONNECTIONS} connections; whole
processes, run in turn, `cmbatch` with a new ledger each time: it reads, checks and loads the manifest, syncs a commit before
each group of rows, and records each answer. `bare` keeps nothing, and is built as cargo builds by itself (`--profile plain`),
once also with fat LTO as `cmbatch` is; `hey` and `curl` send one body that does not change. The
slow ones send fewer rows, the shell loop one at a time, and rows a second are compared.""",
        [*figures(everyone, [ROWS, SECONDS, SPEED, CPU_PER_ROW, PEAK]), "", *claims(list_claims(contestants, long, n))],
        everyone, ["nginx", "hey", "curl", "aiohttp"])


def list_contestants(bench: Bench, server: Nginx, n: int) -> dict[str, Contestant]:
    body, url = bench.body(), server.url
    header = "Content-Type: application/json"
    n_hey = n // CONNECTIONS * CONNECTIONS
    n_aiohttp, n_shell = n // 2, max(n // 100, 1)
    contestants = {
        "cmbatch": bench.sent_afresh("cmbatch submit", bench.manifest("onboarding", n), n, server),
        "send": Contestant("bare send (reqwest)", [bench.bare, "send", url, n, CONNECTIONS], n, prints(n)),
        "alike": Contestant(
            "bare send, built like cmbatch", [bench.bare_alike, "send", url, n, CONNECTIONS], n, prints(n)),
        "hyper": Contestant("bare hyper", [bench.bare, "hyper", url, n, CONNECTIONS], n, prints(n)),
        "hey": Contestant(
            "hey", ["hey", "-n", n_hey, "-c", CONNECTIONS, "-m", "POST", "-T", "application/json", "-D", body, url], n_hey,
            hey_had(n_hey)),
        "curl": Contestant(
            "curl --parallel",
            ["curl", "--silent", "--no-progress-meter", "--parallel", "--parallel-immediate", "--parallel-max", CONNECTIONS,
             "--header", header, "--data-binary", f"@{body}", "--output", "/dev/null", "--write-out", r"%{http_code}\n",
             f"{url}?n=[1-{n}]"], n, curl_had(n)),
        "aiohttp": Contestant(
            "aiohttp", [bench.venv_python, HERE / "peer_aiohttp.py", url, n_aiohttp, CONNECTIONS], n_aiohttp,
            prints(n_aiohttp)),
        "shell": Contestant("a shell loop of curl", ["sh", HERE / "peer_shell.sh", url, n_shell, body], n_shell,
                            prints(n_shell)),
    }
    return contestants


def count_at_server(contestant: Contestant, server: Nginx, n_more: int) -> None:
    """Lets a contestant's check ask the server, too, how many calls it answered."""
    prepare, check = contestant.prepare, contestant.check
    n_before = 0

    def prepare_and_count() -> None:
        nonlocal n_before
        prepare()
        n_before = server.n_served()

    def check_and_count(run: Run) -> None:
        check(run)
        # The call that asked for the number before counts by now.
        n_served = server.n_served() - n_before - 1
        expect(n_served == run.n_rows + n_more, f"the server answered {n_served} calls")

    contestant.prepare, contestant.check = prepare_and_count, check_and_count


def hey_had(n: int):
    def check(run: Run) -> None:
        succeeds(run)
        expect(f"[201]\t{n} responses" in run.stdout and "Error distribution" not in run.stdout, f"it should get {n} answers")

    return check


def curl_had(n: int):
    def check(run: Run) -> None:
        succeeds(run)
        expect(run.stdout.split() == ["201"] * n, f"it should get {n} answers")

    return check


def list_claims(all_: dict[str, Contestant], long: Contestant, n: int) -> list[Claim]:
    ours = all_["cmbatch"]

    def speed_over(name: str, **target: float) -> Claim:
        return Claim(f"rows a second against {all_[name].name}", ratios(ours, "speed", all_[name]), unit=" ×", **target)

    return [
        speed_over("send", at_least=0.75, stretch=0.85),
        speed_over("alike", at_least=0.75, stretch=0.85),
        speed_over("hyper"),
        speed_over("hey", at_least=1.3),
        speed_over("curl", at_least=3),
        speed_over("aiohttp", at_least=8),
        speed_over("shell", at_least=300),
        Claim("processor time a row against bare send (reqwest)", ratios(ours, "cpu_ms_per_row", all_["send"]), at_most=1.35,
              unit=" ×"),
        Claim("processor time a row against bare send, built like cmbatch",
              ratios(ours, "cpu_ms_per_row", all_["alike"]), at_most=1.35, unit=" ×"),
        Claim("processor time a row against bare hyper", ratios(ours, "cpu_ms_per_row", all_["hyper"]), unit=" ×"),
        Claim(f"peak memory at {n:,} rows", [one.peak_mib for one in ours.runs], at_most=64, unit=" MiB", each=True),
        Claim(f"peak memory at {10 * n:,} rows", [long.runs[0].peak_mib], at_most=64, unit=" MiB", each=True),
    ]

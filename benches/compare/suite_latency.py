"""Sending to a server that takes 20 ms for each answer: how close it comes to what so many connections could do at most."""

import http.client
import statistics
import time

from bench import BODY, Bench
from measure import Contestant, prints
from report import CPU_PER_ROW, ROWS, SECONDS, SPEED, Claim, claims, figures
from servers import CREATES_LATE, LIST, Nginx, Server

LATENCY_S = 0.020
# For each number of connections: rows for six seconds, and the share of what is possible that is to be reached.
LOADS = {64: (20_000, 0.90), 256: (80_000, 0.87)}


def run(bench: Bench) -> None:
    with (Server([bench.bare, "answer", str(round(LATENCY_S * 1e6))], bench.folder / "answer.log") as exact,
          Nginx(bench.folder, CREATES_LATE) as nginx):
        servers = {"threads": exact, "nginx": nginx}
        alone = ", ".join(f"{name} {one_call_ms(server):.2f} ms" for name, server in servers.items())
        contestants, lines = [], []
        for name, server in servers.items():
            for n_connections, (n_usual, share) in LOADS.items():
                n = bench.n_rows(n_usual)
                manifest = bench.manifest("onboarding", n)
                ours = bench.sent_afresh(f"cmbatch submit, {n_connections} connections, {name}", manifest, n, server,
                                         concurrency=n_connections)
                bare = Contestant(f"bare send, {n_connections} connections, {name}",
                                  [bench.bare, "send", server.url, n, n_connections], n, prints(n))
                contestants += [ours, bare]
                lines += [(ours, n_connections, share if name == "threads" else None), (bare, n_connections, None)]
        bench.runner.compete(contestants)

    def claim(one: Contestant, n_connections: int, share: float | None) -> Claim:
        possible = n_connections / LATENCY_S
        return Claim(f"{one.name}: of {possible:,.0f} rows a second", [run.speed / possible for run in one.runs],
                     at_least=share)

    bench.finish(
        "Sending to a server that takes 20 ms",
        f"""Whole processes, start and end included. `threads` is `bare answer`: a thread for each connection, which sleeps for
20 ms before it answers. `nginx` does the same by `echo_sleep`, whose timers count whole milliseconds and wake many
connections at once, so that answers come in bursts; the bare loop shows what that leaves. A call alone takes: {alone}.""",
        [*figures(contestants, [ROWS, SECONDS, SPEED, CPU_PER_ROW]), "", *claims([claim(*line) for line in lines])],
        contestants, ["nginx"])


def one_call_ms(server: Server) -> float:
    """Returns how long a call takes when there is no other."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        connection.request("POST", LIST, BODY, {"Content-Type": "application/json"})
        connection.getresponse().read()
        times.append((time.perf_counter() - start) * 1000)
    connection.close()
    return statistics.median(times)

"""Whether the rate is kept, as the server sees it, on a quiet machine and beside busy loops."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from bench import Bench
from measure import Contestant, expect
from report import HERE, Claim, claims, shown, table
from servers import Server

RATES = [20, 200, 2_000]
SECONDS = 15


def run(bench: Bench) -> None:
    results, contestants = [], []
    for where, n_loops in {"quiet": 0, "busy": os.cpu_count() or 1}.items():
        with busy_loops(n_loops):
            for rate in RATES:
                n = min(bench.n_rows(rate * SECONDS), rate * SECONDS)
                one, arrivals = at_rate(bench, f"{rate}/s, {where}", rate, n)
                contestants.append(one)
                results.append((one, rate, arrivals))
    lines = [[one.name, f"{len(arrivals):,}", f"{busiest(arrivals):,}", f"{duration(arrivals):.3f} s",
              f"{longest_gap(arrivals):.1f} ms"] for one, _, arrivals in results]
    found = []
    for one, rate, arrivals in results:
        most = rate + max(1, rate // 100)
        found.append(Claim(f"{one.name}: most arrivals in any second", [busiest(arrivals)], at_most=most))
        if len(arrivals) > burst(rate):
            ideal = (len(arrivals) - burst(rate)) / rate
            off = abs(duration(arrivals) / ideal - 1) * 100
            found.append(Claim(f"{one.name}: first to last, off (rows - burst) / rate", [off], at_most=0.5, unit=" %"))
    bench.finish(
        "The rate",
        f"""A server that answers at once notes when each create request comes, by the kernel's time of its packet. One run
each, with rows for {SECONDS} seconds and the default burst of a hundredth of a second's calls, at least 2. `busy` is beside {os.cpu_count()}
busy loops. A second is any span [t, t + 1 s).""",
        [*table(["run", "rows", "most in a second", "first to last", "longest gap"], lines), "", *claims(found)],
        contestants, [], [shown(contestants[0].command, bench.folder)])


@contextlib.contextmanager
def busy_loops(n: int):
    loops = [subprocess.Popen(["sh", "-c", "while :; do :; done"], start_new_session=True) for _ in range(n)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def at_rate(bench: Bench, name: str, rate: int, n: int) -> tuple[Contestant, list[float]]:
    """Sends once, and returns when the rows arrived, in seconds."""
    noted = bench.folder / "arrivals"
    with Server([sys.executable, HERE / "recorder.py", noted], bench.folder / "recorder.log") as server:
        one = bench.sent_afresh(name, bench.manifest("onboarding", n), n, server, rate=f"{rate}/s", concurrency=64)
        bench.runner.once(one)
    arrivals = read(noted)
    expect(len(arrivals) == n, f"{len(arrivals)} rows arrived of {n}")
    return one, arrivals


def read(path: Path) -> list[float]:
    times = sorted(int(line) for line in path.read_text().split())
    return [(time - times[0]) / 1e9 for time in times]


def burst(rate: int) -> int:
    return max(2, rate // 100)


def busiest(arrivals: list[float]) -> int:
    """Returns the highest number of arrivals in any second."""
    most, first = 0, 0
    for last, at in enumerate(arrivals):
        while arrivals[first] <= at - 1:
            first += 1
        most = max(most, last - first + 1)
    return most


def duration(arrivals: list[float]) -> float:
    return arrivals[-1] - arrivals[0]


def longest_gap(arrivals: list[float]) -> float:
    return max((b - a for a, b in zip(arrivals, arrivals[1:])), default=0) * 1000

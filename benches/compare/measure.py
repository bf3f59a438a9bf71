"""Running whole processes in turn, and what they took."""

import csv
import os
import shlex
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024


class Failed(Exception):
    """A process did not do what it was to do; then nothing is measured."""


@dataclass(frozen=True)
class Run:
    """What one process took, from its start to its exit."""

    n_rows: int
    wall_s: float
    # User and system together, of the process and of all that it started and waited for.
    cpu_s: float
    # The most memory that was resident at once; of several processes the largest.
    peak_bytes: int
    exit_status: int
    stdout: str
    stderr: str

    @property
    def speed(self) -> float:
        return self.n_rows / self.wall_s

    @property
    def cpu_ms_per_row(self) -> float:
        return self.cpu_s * 1000 / self.n_rows

    @property
    def peak_mib(self) -> float:
        return self.peak_bytes / MIB


@dataclass
class Contestant:
    name: str
    command: Sequence[str | Path]
    n_rows: int
    # Raises Failed where the process did not do its work.
    check: Callable[[Run], None]
    # Makes everything fresh; not measured.
    prepare: Callable[[], object] = lambda: None
    runs: list[Run] = field(default_factory=list)

    def median(self, what: str) -> float:
        return statistics.median(getattr(run, what) for run in self.runs)


class Runner:
    """Runs contestants in turn and keeps what each run took."""

    def __init__(self, folder: Path, n_rounds: int):
        self.folder = folder
        self.n_rounds = n_rounds

    def compete(self, contestants: Sequence[Contestant], n_rounds: int | None = None, warm_up: bool = True) -> None:
        """Runs A B C A B C ...; the first round warms the caches up and does not count."""
        n_rounds = self.n_rounds if n_rounds is None else n_rounds
        for number in range(0 if warm_up else 1, n_rounds + 1):
            for contestant in contestants:
                run = self.run(contestant)
                name = f"round {number}" if number else "warm-up"
                print(f"  {name}: {contestant.name}: {run.wall_s:.3f} s, {run.cpu_s:.3f} s of processor, "
                      f"{run.peak_mib:.1f} MiB", flush=True)
                if number:
                    contestant.runs.append(run)

    def once(self, contestant: Contestant) -> Run:
        self.compete([contestant], n_rounds=1, warm_up=False)
        return contestant.runs[-1]

    def run(self, contestant: Contestant) -> Run:
        contestant.prepare()
        run = self.measure(contestant.command, contestant.n_rows)
        try:
            contestant.check(run)
        except Failed as failure:
            shown = shlex.join(map(str, contestant.command))
            raise Failed(f"{contestant.name}: {failure}\n  {shown}\n  exit status {run.exit_status}\n"
                         f"{run.stdout[-2000:]}{run.stderr[-2000:]}") from None
        return run

    def measure(self, command: Sequence[str | Path], n_rows: int) -> Run:
        """Runs one process.

        The kernel lets the peak of a process begin at the size of the one that started it, and Python is larger than much
        of what is measured here. So GNU time, which is small, starts it and tells its peak; the processor time of both comes
        from wait4, which counts microseconds where GNU time counts hundredths of a second.
        """
        peak = self.folder / "peak"
        out, err = self.folder / "stdout", self.folder / "stderr"
        wrapped = ["/usr/bin/time", "-q", "-f", "%M", "-o", str(peak), *map(str, command)]
        with out.open("wb") as stdout, err.open("wb") as stderr:
            start = time.perf_counter()
            # A session of its own: both can be ended together, and Ctrl-C comes to us alone.
            process = subprocess.Popen(wrapped, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                                       start_new_session=True)
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
            wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        return Run(n_rows=n_rows, wall_s=wall_s, cpu_s=usage.ru_utime + usage.ru_stime,
                   peak_bytes=int(peak.read_text().split()[-1]) * 1024, exit_status=process.returncode,
                   stdout=out.read_text(errors="replace"), stderr=err.read_text(errors="replace"))


def expect(is_so: bool, what: str) -> None:
    if not is_so:
        raise Failed(what)


def succeeds(run: Run) -> None:
    expect(run.exit_status == 0, "it failed")


def prints(number: int) -> Callable[[Run], None]:
    """Returns the check of a process that prints one number."""

    def check(run: Run) -> None:
        succeeds(run)
        expect(run.stdout.split() == [str(number)], f"it should print {number}")

    return check


def ratios(one: Contestant, what: str, other: Contestant) -> list[float]:
    """Returns the ratio of each round: what makes the machine slow for a while touches both."""
    return [getattr(a, what) / getattr(b, what) for a, b in zip(one.runs, other.runs, strict=True)]


def write_raw(path: Path, commit: str, contestants: Sequence[Contestant]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["commit", "contestant", "round", "rows", "wall_s", "cpu_s", "peak_kib"])
        for contestant in contestants:
            for number, run in enumerate(contestant.runs, 1):
                out.writerow([commit, contestant.name, number, run.n_rows, f"{run.wall_s:.6f}", f"{run.cpu_s:.6f}",
                              run.peak_bytes // 1024])

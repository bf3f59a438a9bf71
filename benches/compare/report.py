"""What stands in RESULTS.md: the machine, tables, and whether targets were reached."""

import datetime
import os
import platform
import re
import shlex
import statistics
import subprocess
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import Contestant

HERE = Path(__file__).resolve().parent


def output_of(*command: str | Path) -> str:
    """Returns what a command prints, or nothing where it cannot be run."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    # Some programs tell their version on standard error.
    return (done.stdout or done.stderr).strip()


def figure(value: float) -> str:
    """Writes a number with three digits that count; a count with all of them."""
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def spread(values: Sequence[float]) -> str:
    """Writes a median with its range."""
    if len(values) == 1:
        return figure(values[0])
    return f"{figure(statistics.median(values))} ({figure(min(values))} to {figure(max(values))})"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Returns a Markdown table."""
    rows = [list(head), ["---"] * len(head), *map(list, lines)]
    return ["| " + " | ".join(row) + " |" for row in rows]


Column = tuple[str, Callable[[Contestant], str]]

SECONDS: Column = ("seconds", lambda one: spread([run.wall_s for run in one.runs]))
SPEED: Column = ("rows a second", lambda one: spread([run.speed for run in one.runs]))
CPU: Column = ("processor seconds", lambda one: spread([run.cpu_s for run in one.runs]))
CPU_PER_ROW: Column = ("processor ms a row", lambda one: spread([run.cpu_ms_per_row for run in one.runs]))
PEAK: Column = ("peak MiB", lambda one: spread([run.peak_mib for run in one.runs]))
ROWS: Column = ("rows", lambda one: f"{one.n_rows:,}")


def figures(contestants: Sequence[Contestant], columns: Sequence[Column]) -> list[str]:
    return table(["what", *(name for name, _ in columns)],
                 [[one.name, *(cell(one) for _, cell in columns)] for one in contestants])


@dataclass(frozen=True)
class Claim:
    """A figure and the target that it is held against, or none where it only informs."""

    what: str
    # One for each round; the median counts, unless each has to reach it.
    values: Sequence[float]
    at_least: float | None = None
    at_most: float | None = None
    stretch: float | None = None
    unit: str = ""
    each: bool = False

    def line(self) -> list[str]:
        middle = statistics.median(self.values)
        worst_low, worst_high = (min(self.values), max(self.values)) if self.each else (middle, middle)
        targets, reached = [], []
        if self.at_least is not None:
            targets.append(f"at least {self.at_least:,g}{self.unit}")
            reached.append(worst_low >= self.at_least)
        if self.at_most is not None:
            targets.append(f"at most {self.at_most:,g}{self.unit}")
            reached.append(worst_high <= self.at_most)
        verdict = "" if not targets else "yes" if all(reached) else "**no**"
        if self.stretch is not None:
            targets.append(f"stretch {self.stretch:,g}{self.unit}")
            if all(reached):
                verdict += ", stretch too" if middle >= self.stretch else ", not the stretch"
        return [self.what, f"{spread(self.values)}{self.unit}", "; ".join(targets), verdict]


def claims(lines: Sequence[Claim]) -> list[str]:
    return table(["figure", "median (range)", "target", "reached"], [claim.line() for claim in lines])


class Machine:
    """What was measured on, and with which versions."""

    def __init__(self, repository: Path, folder: Path, venv_python: Path):
        self.repository, self.folder, self.venv_python = repository, folder, venv_python
        self.load_before = os.getloadavg()[0]

    def commit(self) -> str:
        head = output_of("git", "-C", self.repository, "rev-parse", "--short", "HEAD")
        return head + ("+" if output_of("git", "-C", self.repository, "status", "--porcelain") else "")

    def describe(self) -> str:
        cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        kind = output_of("findmnt", "-n", "-o", "FSTYPE", "-T", self.folder)
        return (f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
                f"Linux {platform.release()}, temporary folder on {kind or 'an unknown file system'}, "
                f"load average before {self.load_before:.2f}")

    def versions(self, names: Sequence[str]) -> str:
        in_venv = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
        find = {
            "rustc": lambda: output_of("rustc", "--version").split()[1],
            "nginx": lambda: output_of("/usr/sbin/nginx", "-v").rpartition("/")[2],
            "hey": lambda: output_of("dpkg-query", "-W", "-f", "${Version}", "hey"),
            "curl": lambda: output_of("curl", "--version").split()[1],
            "sqlite3": lambda: output_of("sqlite3", "--version").split()[0],
            "hyperfine": lambda: output_of("hyperfine", "--version").split()[1],
            "python": platform.python_version,
        }
        return ", ".join(f"{name} {find[name]() if name in find else output_of(self.venv_python, '-c', in_venv, name)}"
                         for name in names)


def section(suite: str, title: str, machine: Machine, versions: Sequence[str], text: str, commands: Sequence[str],
            body: Sequence[str]) -> str:
    made = (f"`benches/compare/run.sh {suite}` at commit {machine.commit()}, on {machine.describe()}; "
            f"{machine.versions(versions)}.")
    lines = [
        f"## {title}, {datetime.date.today().isoformat()}", "",
        wrapped(made), "",
        *(line for paragraph in text.strip().split("\n\n") for line in (wrapped(paragraph), "")),
        "```text", *commands, "```", "",
        *body,
    ]
    return "\n".join([begin_marker(suite), *lines, end_marker(suite)]) + "\n"


def wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def begin_marker(suite: str) -> str:
    return f"<!-- compare:{suite} -->"


def end_marker(suite: str) -> str:
    return f"<!-- end compare:{suite} -->"


def put_section(path: Path, suite: str, text: str) -> None:
    """Replaces the section of a suite, or appends it where there is none; nothing else is changed."""
    old = path.read_text() if path.exists() else ""
    begin, end = old.find(begin_marker(suite)), old.find(end_marker(suite) + "\n")
    if 0 <= begin < end:
        new = old[:begin] + text + old[end + len(end_marker(suite)) + 1:]
    else:
        new = old.rstrip("\n") + ("\n\n" if old.strip() else "") + text
    path.write_text(new)


def shown(command: Sequence[str | Path], folder: Path) -> str:
    """Writes a command without the folders of programs and files."""
    words = []
    for word in map(str, command):
        word = word.replace(f"{folder}/", "").replace(f"{HERE}/", "")
        words.append(os.path.basename(word) if os.path.isabs(word) and os.access(word, os.X_OK) else word)
    return shlex.join(words)

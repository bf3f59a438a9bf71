"""What all suites share: where programs and files are, manifests, ledgers, and how a suite ends."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import measure
import report
from measure import Contestant, Run, Runner, expect

# The body that programs send which take it from a file: as long as that of `bare send`.
BODY = (b'{"datacollection":[],"type":"Enroll","profiletemplateuuid":"a039b4d0-5ce8-4eff-8651-181c6576fda3",'
        b'"target":"00000001-0000-4000-8000-000000000000","comment":"[cmb:ABCDEFGHIJKLMNOPQRSTUVWX-ABCDEFGH]"}')


@dataclass
class Bench:
    suite: str
    folder: Path
    # The rows that were asked for, or none for the suite's own number.
    rows: int | None
    runner: Runner
    machine: report.Machine
    cmbatch: Path
    bare: Path
    # The same with the optimizations of cmbatch's own profile.
    bare_alike: Path
    samples: Path
    venv_python: Path
    results: Path
    raw_folder: Path
    chart: Path
    ten_million: bool

    def n_rows(self, usual: int) -> int:
        return usual if self.rows is None else self.rows

    def manifest(self, kind: str, n_rows: int) -> Path:
        path = self.folder / f"{kind}-{n_rows}.{'jsonl' if kind == 'revocation' else 'csv'}"
        if not path.exists():
            with path.open("wb") as out:
                subprocess.run([self.samples, kind, str(n_rows)], stdout=out, check=True)
        return path

    def body(self) -> Path:
        path = self.folder / "body.json"
        path.write_bytes(BODY)
        return path

    def submit(self, manifest: Path, server, ledger: Path, *options: str, concurrency: int = 64,
               rate: str = "unlimited") -> list[str | Path]:
        """Returns the command that sends a manifest."""
        return [self.cmbatch, "submit", manifest, "--server", server.base, "--rate", rate, "--concurrency", str(concurrency),
                "--ledger", ledger, *options]

    def status(self, ledger: Path) -> dict:
        done = subprocess.run([self.cmbatch, "status", ledger, "--json"], capture_output=True, text=True, check=False)
        return json.loads(done.stdout)

    def ends_with(self, ledger: Path, exit_status: int = 0, **counts: int) -> Callable[[Run], None]:
        """Returns the check of a run that leaves so many rows of a ledger in these states."""

        def check(run: Run) -> None:
            expect(run.exit_status == exit_status, f"the exit status should be {exit_status}")
            status = self.status(ledger)
            for state, n in counts.items():
                expect(status[state] == n, f"{n} rows should be {state}, and {status[state]} are")

        return check

    def sent_afresh(self, name: str, manifest: Path, n_rows: int, server, **options) -> Contestant:
        """Returns a contestant that sends a manifest with a ledger that is new each time."""
        ledger = self.folder / "fresh.ledger"
        return Contestant(name, self.submit(manifest, server, ledger, **options), n_rows,
                          self.ends_with(ledger, created=n_rows), lambda: remove_ledger(ledger))

    def loaded(self, name: str, manifest: Path, n_rows: int, refusing, ledger: Path) -> Contestant:
        """Returns a contestant that loads a ledger and sends nothing that is taken: it stops after one call (404, 6)."""
        return Contestant(name, self.submit(manifest, refusing, ledger, concurrency=1), n_rows,
                          self.ends_with(ledger, exit_status=6, pending=n_rows), lambda: remove_ledger(ledger))

    def finish(self, title: str, text: str, body: Sequence[str], contestants: Sequence[Contestant],
               versions: Sequence[str] = (), commands: Sequence[str] | None = None) -> None:
        """Writes the suite's section and its raw figures."""
        if commands is None:
            commands = [report.shown(one.command, self.folder) for one in contestants]
        if self.rows is not None:
            text += f"\n\nThis is a short run (`--rows {self.rows}`): its targets say nothing."
        versions = ["rustc", "python", *versions]
        section = report.section(self.suite, title, self.machine, versions, text, list(dict.fromkeys(commands)), body)
        report.put_section(self.results, self.suite, section)
        measure.write_raw(self.raw_folder / f"{self.suite}.csv", self.machine.commit(), contestants)


def remove_ledger(ledger: Path) -> None:
    for suffix in ("", ".lock", "-wal", "-shm", ".loading"):
        Path(f"{ledger}{suffix}").unlink(missing_ok=True)

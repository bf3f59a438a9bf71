"""Loading, reading and exporting ledgers, against bare rusqlite and the sqlite3 program."""

from pathlib import Path

from bench import Bench
from measure import Contestant, Run, expect, prints, ratios, succeeds
from report import CPU, PEAK, ROWS, SECONDS, SPEED, Claim, claims, figures
from servers import CREATES, REFUSES, Nginx


def run(bench: Bench) -> None:
    n = bench.n_rows(1_000_000)
    n_few = max(n // 10, 1)
    manifest, few = bench.manifest("onboarding", n), bench.manifest("onboarding", n_few)
    with Nginx(bench.folder, CREATES) as server, Nginx(bench.folder, REFUSES) as refusing:
        load = bench.loaded("cmbatch submit, loads and stops", manifest, n, refusing, bench.folder / "load.ledger")
        database = bench.folder / "bare.db"
        insert = Contestant("bare insert", [bench.bare, "insert", manifest, database], n, prints(n),
                            lambda: database.unlink(missing_ok=True))
        bench.runner.compete([load, insert])

        sent, sent_few = bench.folder / "sent.ledger", bench.folder / "sent-few.ledger"
        for ledger, rows, n_sent in [(sent, manifest, n), (sent_few, few, n_few)]:
            print(f"  filling a ledger with {n_sent:,} rows", flush=True)
            filled = bench.runner.measure(bench.submit(rows, server, ledger), n_sent)
            bench.ends_with(ledger, created=n_sent)(filled)

        status = Contestant("cmbatch status", [bench.cmbatch, "status", sent], n, succeeds)
        finished = Contestant("cmbatch submit, all sent before", bench.submit(manifest, server, sent), n, succeeds)
        more = pending_twin(bench, manifest, n, server)
        out = bench.folder / "export.csv"
        export = export_of(bench, "cmbatch export", sent, out, n)
        select = Contestant(
            "sqlite3 -csv, the same view",
            ["sqlite3", "-readonly", "-csv", "-header", sent, f".output {out}", "SELECT * FROM results"], n,
            wrote(out, n), lambda: out.unlink(missing_ok=True))
        reads = [status, finished, more, export, select]
        bench.runner.compete(reads)
        export_few = export_of(bench, f"cmbatch export, {n_few:,} rows, once", sent_few, out, n_few)
        bench.runner.once(export_few)

    everyone = [load, insert, *reads, export_few]
    growth = export.median("peak_bytes") / export_few.runs[0].peak_bytes
    bench.finish(
        "The ledger against bare SQLite",
        """To load and to send nothing, `cmbatch submit` is given a server that answers 404: it validates the manifest, loads
the ledger durably, makes one call and stops. `bare insert` parses each record and adds it to the same table, with the same
index and one sync; it checks nothing but the GUIDs. The ledger that is read was filled by `cmbatch submit` at 64
connections.""",
        [*figures(everyone, [ROWS, SECONDS, SPEED, CPU, PEAK]), "", *claims([
            Claim("loading: rows a second against bare insert", ratios(load, "speed", insert), at_least=0.85, unit=" ×"),
            Claim(f"status of {n:,} rows", [one.wall_s for one in status.runs], at_most=1.5, unit=" s"),
            Claim("export: rows a second against sqlite3", ratios(export, "speed", select), at_least=0.5, unit=" ×"),
            Claim("export: peak memory against that with a tenth of the rows", [growth], at_most=1.1, unit=" ×"),
        ])],
        everyone, ["nginx", "sqlite3"])


def pending_twin(bench: Bench, manifest: Path, n: int, server: Nginx) -> Contestant:
    """Returns a contestant that sends one more row each time, of a ledger whose others are pending."""
    ledger = bench.folder / "pending.ledger"
    command = bench.submit(manifest, server, ledger, "--limit", "1")
    bench.ends_with(ledger, created=1, pending=n - 1)(bench.runner.measure(command, n))
    return Contestant("cmbatch submit --limit 1, the others pending", command, n, succeeds)


def export_of(bench: Bench, name: str, ledger: Path, out: Path, n: int) -> Contestant:
    command = [bench.cmbatch, "export", ledger, "--format", "csv", "--output", out]
    return Contestant(name, command, n, wrote(out, n), lambda: out.unlink(missing_ok=True))


def wrote(out: Path, n: int):
    def check(run: Run) -> None:
        succeeds(run)
        n_lines = 0
        with out.open("rb") as file:
            while chunk := file.read(1 << 20):
                n_lines += chunk.count(b"\n")
        expect(n_lines == n + 1, f"{out.name} should have {n + 1} lines, and has {n_lines}")

    return check

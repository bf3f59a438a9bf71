"""Validating a manifest, against the bare parsers and against what else people check tables with."""

import json
import subprocess

from bench import Bench
from measure import Contestant, Failed, Run, expect, prints, ratios, succeeds
from report import HERE, CPU, PEAK, ROWS, SECONDS, SPEED, Claim, claims, figures

PEERS = {"duckdb": "peer_duckdb.py", "polars": "peer_polars.py", "Python's csv": "peer_csv.py"}


def run(bench: Bench) -> None:
    check_peers(bench)
    n = bench.n_rows(1_000_000)
    table, lines = bench.manifest("onboarding", n), bench.manifest("revocation", n)
    ours = Contestant("cmbatch validate, CSV", [bench.cmbatch, "validate", table], n, all_valid(n))
    bare = Contestant("bare csv", [bench.bare, "csv", table], n, prints(n))
    peers = {name: Contestant(name, [bench.venv_python, HERE / script, table], n, prints(0)) for name, script in PEERS.items()}
    ours_json = Contestant("cmbatch validate, JSONL", [bench.cmbatch, "validate", lines], n, all_valid(n))
    bare_json = Contestant("bare json", [bench.bare, "json", lines], n, prints(n))
    everyone = [ours, bare, *peers.values(), ours_json, bare_json]
    bench.runner.compete(everyone)
    double = Contestant(f"cmbatch validate, CSV, {2 * n:,} rows, once",
                        [bench.cmbatch, "validate", bench.manifest("onboarding", 2 * n)], 2 * n, all_valid(2 * n))
    bench.runner.once(double)
    a_row = (double.runs[0].peak_bytes - ours.median("peak_bytes")) / n
    bench.finish(
        "Validation against other programs",
        f"""`samples onboarding {n}` and `samples revocation {n}` in the page cache. The bare loops only parse, on one thread. The
others do the checks that a person would script (type, GUIDs, template, priority, ids and requests that are given twice), and
find as many faults as `cmbatch validate` in a table with faults of each kind; `cmbatch` checks all its rules beside, and
makes the SHA-256.""",
        [*figures([*everyone, double], [ROWS, SECONDS, SPEED, CPU, PEAK]), "", *claims([
            Claim("rows a second against bare csv", ratios(ours, "speed", bare), at_least=0.5, stretch=0.7, unit=" ×"),
            Claim("rows a second against duckdb", ratios(ours, "speed", peers["duckdb"]), at_least=2.5, unit=" ×"),
            Claim("rows a second against polars", ratios(ours, "speed", peers["polars"]), at_least=2.5, unit=" ×"),
            Claim("rows a second against Python's csv", ratios(ours, "speed", peers["Python's csv"]), at_least=15, unit=" ×"),
            Claim("JSONL: rows a second against bare json", ratios(ours_json, "speed", bare_json), at_least=0.5, unit=" ×"),
            Claim(f"peak memory at {n:,} rows", [one.peak_mib for one in ours.runs], at_most=56, unit=" MiB", each=True),
            Claim("peak memory of each further row", [a_row], at_most=32, unit=" bytes"),
        ])],
        [*everyone, double], ["duckdb", "polars"])


def all_valid(n: int):
    def check(run: Run) -> None:
        succeeds(run)
        expect(f"{n:,} rows valid" in run.stdout + run.stderr, f"it should say that {n:,} rows are valid")

    return check


def check_peers(bench: Bench) -> None:
    """Lets all of them look at a table with one fault of each kind in a row of its own."""
    lines = bench.manifest("onboarding", 100).read_text().splitlines()
    good = [line.split(",", 6) for line in lines[1:]]
    # The columns: id, type, template, target, comment, priority, and the rest.
    changes = {3: (1, "Enrol"), 14: (2, ""), 15: (2, "a039b4d0"), 26: (3, "97cc3493-f556-4c9b-9d8b"), 37: (5, "256"),
               38: (5, "high"), 49: (0, good[0][0]), 60: (3, good[1][3].upper())}
    for row, (column, value) in changes.items():
        good[row][column] = value
    # And two that are no faults.
    good[70][1], good[71][3] = "eNROLL", good[71][3].upper()
    spoiled = bench.folder / "spoiled.csv"
    spoiled.write_text("\n".join([lines[0], *(",".join(row) for row in good)]) + "\n")
    told = subprocess.run([bench.cmbatch, "validate", spoiled, "--json"], capture_output=True, text=True, check=False)
    found = {"cmbatch": json.loads(told.stdout)["invalid"]}
    for name, script in PEERS.items():
        done = subprocess.run([bench.venv_python, HERE / script, spoiled], capture_output=True, text=True, check=True)
        found[name] = int(done.stdout)
    if set(found.values()) != {len(changes)}:
        raise Failed(f"of {len(changes)} faults were found: {found}")

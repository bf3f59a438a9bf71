#!/usr/bin/env python3
"""Compares whole runs of cmbatch with other programs, and writes what came out into benches/RESULTS.md.

run.sh installs what this needs and calls it; see there.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

import suite_growth
import suite_latency
import suite_ledger
import suite_pace
import suite_reconcile
import suite_sign_in
import suite_start
import suite_submit
import suite_validate
from bench import Bench
from measure import Failed, Runner
from report import HERE, Machine

REPOSITORY = HERE.parent.parent
SUITES = {
    "start": suite_start,
    "validate": suite_validate,
    "submit": suite_submit,
    "latency": suite_latency,
    "ledger": suite_ledger,
    "reconcile": suite_reconcile,
    "growth": suite_growth,
    "pace": suite_pace,
    "sign-in": suite_sign_in,
}


def arguments() -> argparse.Namespace:
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cmbatch-compare"
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"which to run: {', '.join(SUITES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how many rounds count (default: 5)")
    parser.add_argument("--rows", type=int, metavar="N", help="so many rows instead of each suite's own number")
    parser.add_argument("--ten-million", action="store_true", help="growth: ten times as many rows once more")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "benches" / "RESULTS.md", metavar="FILE",
                        help="where to write the sections (default: benches/RESULTS.md); raw figures and chart go beside it")
    parser.add_argument("--cmbatch", type=Path, default=target / "release" / "cmbatch", metavar="FILE", help="another build of cmbatch")
    parser.add_argument("--examples", type=Path, default=target / "plain" / "examples", metavar="FOLDER",
                        help="where the programs bare and samples are")
    parser.add_argument("--alike", type=Path, default=target / "release" / "examples" / "bare", metavar="FILE",
                        help="the program bare, built like cmbatch")
    parser.add_argument("--venv", type=Path, default=cache / "venv", metavar="FOLDER", help="where duckdb and the others are")
    parsed = parser.parse_args()
    if unknown := [suite for suite in parsed.suites if suite not in SUITES]:
        parser.error(f"there is no suite {unknown[0]!r}: choose from {', '.join(SUITES)}")
    if parsed.rounds < 1 or (parsed.rows is not None and parsed.rows < 1_000):
        parser.error("at least 1 round and 1000 rows")
    return parsed


def run_suite(suite: str, args: argparse.Namespace) -> None:
    out = args.out.resolve()
    is_usual = out.parent == HERE.parent and out.name == "RESULTS.md"
    with tempfile.TemporaryDirectory(prefix="cmbatch-compare-") as name:
        folder = Path(name).resolve()
        venv_python = args.venv / "bin" / "python"
        bench = Bench(
            suite=suite, folder=folder, rows=args.rows, runner=Runner(folder, args.rounds),
            machine=Machine(REPOSITORY, folder, venv_python), cmbatch=args.cmbatch.resolve(),
            bare=args.examples.resolve() / "bare", bare_alike=args.alike.resolve(), samples=args.examples.resolve() / "samples", venv_python=venv_python,
            results=out, raw_folder=HERE / "runs" if is_usual else out.with_name(f"{out.stem}-runs"),
            chart=out.with_name("growth.svg"), ten_million=args.ten_million)
        # A configuration of the folder or the environment must not reach what is measured.
        os.chdir(folder)
        SUITES[suite].run(bench)


def main() -> int:
    args = arguments()
    for variable in [name for name in os.environ if name.startswith("CMBATCH_") or name.lower().endswith("_proxy")]:
        del os.environ[variable]
    # So that neither leaves a server or a file behind, in a shell's background too, where Ctrl-C is ignored at first.
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args.out, args.venv = args.out.resolve(), args.venv.resolve()
    args.cmbatch, args.examples, args.alike = (path.resolve() for path in (args.cmbatch, args.examples, args.alike))
    n_failed = 0
    for suite in args.suites or SUITES:
        print(f"{suite}:", flush=True)
        try:
            run_suite(suite, args)
        except Failed as failure:
            n_failed += 1
            print(f"{suite} failed: {failure}", file=sys.stderr)
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())

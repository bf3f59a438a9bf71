"""How long the program takes to start, and how large it is."""

import json
import shutil
import subprocess

from bench import Bench
from measure import Contestant, Run, succeeds
from report import Claim, claims

N_STARTS = 200


def run(bench: Bench) -> None:
    told = bench.folder / "hyperfine.json"
    command = ["hyperfine", "-N", "--warmup", "10", "--runs", str(N_STARTS), "--export-json", told,
               f"{bench.cmbatch} --version"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    [result] = json.loads(told.read_text())["results"]
    # hyperfine tells each start's time, and the processor time of all of them on average.
    cpu_s = result["user"] + result["system"]
    starts = Contestant("cmbatch --version", command, 1, succeeds)
    starts.runs = [Run(1, wall_s, cpu_s, 0, 0, "", "") for wall_s in result["times"]]
    size_mb = bench.cmbatch.stat().st_size / 1e6
    stripped = bench.folder / "stripped"
    shutil.copyfile(bench.cmbatch, stripped)
    subprocess.run(["strip", stripped], check=True)
    bench.finish(
        "Start and size",
        f"""The middle of {N_STARTS} starts in milliseconds, with their range. The program as `cargo build --release`
makes it, and without symbols.""",
        claims([
            Claim("`cmbatch --version`", [run.wall_s * 1000 for run in starts.runs], at_most=10, unit=" ms"),
            Claim("size", [size_mb], at_most=20, unit=" MB"),
            Claim("size after `strip`", [stripped.stat().st_size / 1e6], unit=" MB"),
        ]),
        [starts], ["hyperfine"], ["hyperfine -N --warmup 10 'cmbatch --version'"])

"""How time and memory grow with the number of rows."""

from bench import Bench, remove_ledger
from chart import Panel, write_chart
from measure import Contestant, succeeds
from report import CPU, PEAK, ROWS, SECONDS, SPEED, figures, shown
from servers import CREATES, REFUSES, Nginx

OPERATIONS = ["validate", "load", "submit"]


def run(bench: Bench) -> None:
    most = bench.n_rows(1_000_000)
    sizes = [max(most // 100, 1), max(most // 10, 1), most, *([10 * most] if bench.ten_million else [])]
    runs: dict[str, list[Contestant]] = {operation: [] for operation in OPERATIONS}
    ledger = bench.folder / "growth.ledger"
    with Nginx(bench.folder, CREATES) as server, Nginx(bench.folder, REFUSES) as refusing:
        for n in sizes:
            manifest = bench.manifest("onboarding", n)
            runs["validate"].append(Contestant("validate", [bench.cmbatch, "validate", manifest], n, succeeds))
            runs["load"].append(bench.loaded("load", manifest, n, refusing, ledger))
            runs["submit"].append(bench.sent_afresh("submit", manifest, n, server))
            for operation in OPERATIONS:
                bench.runner.once(runs[operation][-1])
            manifest.unlink()
            remove_ledger(ledger)
            remove_ledger(bench.folder / "fresh.ledger")

    def series(what: str) -> dict[str, list[tuple[float, float]]]:
        return {name: [(one.n_rows, getattr(one.runs[0], what)) for one in line] for name, line in runs.items()}

    write_chart(bench.chart, [Panel("time", "s", series("wall_s")), Panel("peak memory", "MiB", series("peak_mib"))])
    everyone = [one for line in runs.values() for one in line]
    bench.finish(
        "Growth",
        """One run each. `validate` checks the manifest; `load` is `cmbatch submit` to a server that
answers 404: it validates, loads the ledger, makes one call and stops; `submit` sends all rows to nginx at 64 connections.""",
        [*figures(everyone, [ROWS, SECONDS, SPEED, CPU, PEAK]), "",
         f"![Seconds and peak memory of validate, load and submit by number of rows]({bench.chart.name})"],
        everyone, ["nginx"], [shown(runs[operation][-1].command, bench.folder) for operation in OPERATIONS])

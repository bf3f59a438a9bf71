"""Settling rows in doubt by a long list, against a bare parser of the same list."""

import os
import shutil
from pathlib import Path

from bench import Bench
from measure import Contestant, Run, expect, prints, ratios
from report import CPU, PEAK, ROWS, SECONDS, SPEED, Claim, claims, figures
from servers import LIST, Nginx, Simulator, lists

# Nothing was sent for long, so there is nothing to wait for.
NO_WAIT = ["--settle", "0s", "--server-limit", "0s"]
# A request as the published pages show it: 21 properties, about 1.1 KB.
ZERO = "00000000-0000-0000-0000-000000000000"
OBJECT = ('{{"Uuid":"{uuid}", "RequestType":1, "Status":3, "Flags":2,\n'
          ' "DataCollection":[{{"Name":"Sample item","Value":null}}], "DataCollectionFlags":32,\n'
          ' "OriginatorUserUuid":"04040404-0404-4404-8404-040404040404", "TargetUserUuid":"{target}",\n'
          ' "NewProfileUuid":"' + ZERO + '","OldProfileUuid":"' + ZERO + '",'
          '"NewSmartcardUuid":"' + ZERO + '","OldSmartcardUuid":"' + ZERO + '",\n'
          ' "ProfileTemplateUuid":"{template}","Comment":"{comment}","Priority":0,\n'
          ' "SecurityDescriptor":"D:' + "(A;;RC;;;WD)" * 8 + r"\u0000" * 40 + '",'
          '"Submitted":"2026-03-05T10:11:12.93Z","Completed":"0001-01-01T00:00:00",\n'
          ' "IsSmartcard":true,"IsEnrollmentAgent":false,"IsDataCollectionComplete":false}}')


def run(bench: Bench) -> None:
    n = bench.n_rows(1_000_000)
    n_few = min(10_000, max(n // 10, 500))
    others, own = Case(bench, "others", n_few, n), Case(bench, "own", n, n)
    with others.serve(), own.serve():
        pairs = [others.contestants(f"{n_few:,} of them the ledger's"), own.contestants("nearly all the ledger's")]
        everyone = [one for pair in pairs for one in pair]
        bench.runner.compete(everyone)

    def found(pair: tuple[Contestant, Contestant], what: str) -> list[Claim]:
        ours, bare = pair
        return [
            Claim(f"{what}: requests a second against bare list", ratios(ours, "speed", bare), at_least=0.5, unit=" ×"),
            Claim(f"{what}: peak memory", [one.peak_mib for one in ours.runs], at_most=64, unit=" MiB", each=True),
        ]

    bench.finish(
        "A long list",
        f"""nginx serves the server's list as a file: {n:,} requests with 21 properties and 1.1 KB each. The ledger was filled by
the simulator, which failed so that 1 % of its rows are in doubt and in the list, and 1 % in doubt and not there; `cmbatch
reconcile` settles all of them, and no run waits (`{' '.join(NO_WAIT)}`). `bare list` reads and parses the same bytes and
keeps nothing. Rows are the list's.""",
        [*figures(everyone, [ROWS, SECONDS, SPEED, CPU, PEAK]), "",
         *claims([*found(pairs[0], f"{n_few:,} of them the ledger's"), *found(pairs[1], "nearly all the ledger's")])],
        everyone, ["nginx"])


class Case:
    """A ledger with rows in doubt, and a list of n requests that has the ledger's among them."""

    def __init__(self, bench: Bench, name: str, n_own: int, n: int):
        self.bench, self.n = bench, n
        self.folder = bench.folder / name
        self.folder.mkdir()
        self.ledger = self.folder / f"{name}.ledger"
        self.list = self.folder / "list.json"
        print(f"  making a ledger of {n_own:,} rows and a list of {n:,}", flush=True)
        faults = [word for fault in ("created-500=1%", "drop-before=1%", "list:500") for word in ("--fault", fault)]
        with Simulator(bench.cmbatch, self.folder, *faults) as server:
            bench.runner.measure(bench.submit(bench.manifest("onboarding", n_own), server, self.ledger, *NO_WAIT), n_own)
            self.port = server.port
        status = bench.status(self.ledger)
        self.n_created = self.write_list(server)
        self.n_absent = n_own - self.n_created
        expect(status["in_doubt"] > 0 and status["pending"] == 0, "some rows should be in doubt, and none pending")
        server.arrivals.unlink()
        # Each run begins with this one. A copy would not do: the program would see that it is one.
        self.saved = [(path, path.with_name(f"{path.name}.saved"), path.stat())
                      for path in (self.ledger, Path(f"{self.ledger}.lock"))]
        for path, copy, _ in self.saved:
            shutil.copyfile(path, copy)

    def write_list(self, server: Simulator) -> int:
        """Writes the list, the ledger's own requests spread evenly over it, and returns how many those are."""
        n_own = sum(1 for _ in server.created())
        n_others = max(self.n - n_own, 0)
        self.n = n_own + n_others
        own = server.created()
        with self.list.open("w") as out:
            out.write("[")
            for number in range(self.n):
                is_own = (number + 1) * n_own // self.n > number * n_own // self.n
                uuid, body = next(own) if is_own else foreign(number)
                out.write(OBJECT.format(uuid=uuid, target=body["target"], template=body["profiletemplateuuid"],
                                        comment=body["comment"]))
                out.write("," if number + 1 < self.n else "]")
        return n_own

    def serve(self) -> Nginx:
        # At the simulator's port: to the ledger another one would be another server.
        return Nginx(self.folder, lists(self.list), self.port)

    def restore(self) -> None:
        for suffix in ("-wal", "-shm"):
            Path(f"{self.ledger}{suffix}").unlink(missing_ok=True)
        for path, copy, was in self.saved:
            # Into the file that is there, so that it stays the same to the program.
            shutil.copyfile(copy, path)
            os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))

    def contestants(self, what: str) -> tuple[Contestant, Contestant]:
        base = f"http://127.0.0.1:{self.port}"
        ours = Contestant(f"cmbatch reconcile, {what}",
                          [self.bench.cmbatch, "reconcile", self.ledger, "--server", base, *NO_WAIT], self.n, self.is_settled,
                          self.restore)
        bare = Contestant(f"bare list, {what}", [self.bench.bare, "list", base + LIST], self.n, prints(self.n))
        return ours, bare

    def is_settled(self, run: Run) -> None:
        # Rows that are pending again are not an error of the command, but not all is created either: 1.
        self.bench.ends_with(self.ledger, exit_status=1 if self.n_absent else 0, created=self.n_created,
                             pending=self.n_absent, in_doubt=0)(run)


def foreign(number: int) -> tuple[str, dict]:
    """Returns a request of somebody else: every second one of another run of cmbatch."""
    rest = "0000-4000-8000-000000000000"
    comment = "[cmb:ABCDEFGHIJKLMNOPQRSTUVWX-ABCDEFGH] New hire" if number % 2 else "made in the portal by a person of the staff"
    return f"f{number:07x}-{rest}", {"target": f"e{number:07x}-{rest}", "comment": comment,
                                     "profiletemplateuuid": "97cd65fa-af4b-4587-9309-0dd6bfd8b4e1"}

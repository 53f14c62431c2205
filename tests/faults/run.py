"""Plant every fault in a small book, sweep or set-up: does the next run give the right result?

    python -m tests.faults.run            # all, a quarter of an hour
    python -m tests.faults.run --short    # one of each kind, as CI does
    python -m tests.faults.run Sphinx     # those with this word in phase or name
    python -m tests.faults.run --record   # all, and write reference/faults.json for the book; with
                                          # words, these rows of it (whole rows, such as stage/)

Each fault is survived if the same command, given again, ends with status 0 and the result of an
unbroken run, byte for byte where that has no times in it. Then one fault of each row is planted
where the code is weakened on purpose, and must be lost there: a row that can't be red proves
nothing. Ends with status 1 if one is not survived, or not lost where it must be.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.kinds import Fault, Unavailable, faults
from tests.faults.things import THINGS, Thing
from tests.faults.weak import WEAKNESSES
from tests.workflow.conftest import HOME
from workflow.drive import available_cores
from workflow.project import dump, load, write

RECORD = HOME / "reference" / "faults.json"


class Things:
    """Each worker's own book, sweep and set-up: by sound code, and for each weakness."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.own = folder, threading.local()

    def of(self, thing: str, weakness: str = "") -> Thing:
        found: dict[tuple[str, str], Thing] = self.own.__dict__.setdefault("things", {})
        if (thing, weakness) not in found:
            place = Path(tempfile.mkdtemp(dir=self.folder))
            home = WEAKNESSES[weakness].plant(place / "home") if weakness else HOME
            found[thing, weakness] = THINGS[thing](place, home)
        return found[thing, weakness]


def each(
    chosen: Iterable[Fault], jobs: int, plant: Callable[[Fault], str | None]
) -> list[tuple[Fault, str | None]]:
    """Every fault that can be planted here and what is wrong after it, said as soon as known."""

    def tried(fault: Fault) -> tuple[Fault, str | None] | None:
        said, found = "", None
        try:
            wrong = plant(fault)
            found = (fault, wrong)
            words, said = ("LOST", f": {wrong}") if wrong else ("survived", "")
        except Unavailable as reason:
            words, said = "left out", f": {reason}"
        print(f"{words:<9} {fault.phase:<10} {fault.name}{said}", flush=True)
        return found

    with ThreadPoolExecutor(jobs) as workers:
        return list(filter(None, workers.map(tried, chosen)))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", help="only faults with one of these in phase or name")
    parser.add_argument("--short", action="store_true", help="one of each kind")
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.name} for the book")
    parser.add_argument("--jobs", type=int, default=available_cores(), help="faults side by side")
    options = parser.parse_args(arguments)
    chosen = [
        fault
        for fault in faults()
        if (fault.short or not options.short)
        and (not options.words or any(w in f"{fault.phase} {fault.name}" for w in options.words))
    ]
    if not chosen:
        parser.error(f"no fault has any of {options.words} in its phase or name")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    begun = time.monotonic()
    # Of those that one weakness loses alike, the one of the short form; in that, one of a weakness.
    weak = {fault.kind: fault for fault in sorted(chosen, key=lambda fault: fault.short)}
    if options.short:
        weak = {("", fault.lost_if): fault for fault in weak.values()}
    tried, survived = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    planted, lost = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        things = Things(Path(folder))
        for fault, wrong in each(chosen, options.jobs, lambda f: things.of(f.thing).survives(f)):
            tried[fault.row] += 1
            survived[fault.row] += wrong is None
        print("\nOn code that was weakened, where each must be lost:", flush=True)
        ordered = sorted(weak.values(), key=lambda fault: fault.lost_if)
        plant = lambda f: things.of(f.thing, f.lost_if).survives(f)  # noqa: E731
        for fault, wrong in each(ordered, options.jobs, plant):
            planted[fault.row] += 1
            lost[fault.row] += wrong is not None
    rows = [
        {
            "phase": row[0],
            "fault": row[1],
            "how": [fault.how for fault in chosen if fault.row == row],
            "tried": tried[row],
            "survived": survived[row],
            "planted_in_weak_code": planted[row],
            "lost_in_weak_code": lost[row],
        }
        for row in tried
    ]
    print(f"\n{'phase':<11}{'fault':<56}{'survived':>10}{'lost on weak code':>20}")
    for row in tried:
        said = f"{survived[row]}/{tried[row]}", f"{lost[row]}/{planted[row]}" * bool(planted[row])
        print(f"{row[0]:<11}{row[1]:<56}{said[0]:>10}{said[1]:>20}")
    print(
        f"{survived.total()} of {tried.total()} survived, {lost.total()} of {planted.total()} were "
        f"lost on weakened code; {time.monotonic() - begun:.0f} s"
    )
    if options.record:
        kept = (load(RECORD) or {"rows": []})["rows"] if options.words else []
        new = {(row["phase"], row["fault"]) for row in rows}
        rows = [row for row in kept if (row["phase"], row["fault"]) not in new] + rows
        order = list(dict.fromkeys(fault.row for fault in faults()))
        rows.sort(key=lambda row: order.index((row["phase"], row["fault"])))
        write(RECORD, dump({"date": time.strftime("%Y-%m-%d"), "rows": rows}))
    green = survived == tried and lost == planted
    return 0 if green else 1


if __name__ == "__main__":
    sys.exit(main())

"""Plant every fault in a small book: does the next run give the result of an unbroken one?

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
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.book import differences, half_written, make_book, outcome
from tests.faults.kinds import Fault, Unavailable, faults, processes
from tests.faults.weak import WEAKNESSES
from tests.workflow.conftest import HOME, Toy
from workflow.drive import available_cores
from workflow.project import dump, load, write

RECORD = HOME / "reference" / "faults.json"


class Book:
    """A book that was built once, by the code in ``home``, for copies to be harmed."""

    def __init__(self, folder: Path, home: Path = HOME) -> None:
        self.folder, self.home = folder, home
        # Every copy lies in a folder of the same name, since Sphinx notes where it was.
        self.place = folder / "book"
        made = make_book(self.place)
        made.home = home
        for _ in range(2):  # a busy machine may start no kernel in time
            status, output = made.run("--reference")
            if status == 0:
                break
        assert status == 0, output
        self.right = outcome(made)
        status, output = made.run()
        assert status == 0 and not differences(self.right, outcome(made)), output
        shutil.move(self.place, folder / "built")

    def copy(self, fresh: bool) -> Toy:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.folder / "built", self.place, symlinks=True)
        toy = Toy(self.place, self.home)
        if fresh:
            shutil.rmtree(toy.build)
        return toy

    def survives(self, fault: Fault) -> str | None:
        """What is wrong after the fault; None if nothing is."""
        toy = self.copy(fault.fresh)
        try:
            if not fault.harm(toy):
                return "the fault did not come about as it was meant to"
            for _ in range(2):
                status, output = toy.run()
                if status == 0:
                    break
            if status:
                said = output.strip().splitlines() or [""]
                return f"still status {status}: {said[-1][:160]}"
            if "All 4 claims hold." not in output:
                return "it does not say that all claims hold"
            wrong = differences(self.right, outcome(toy)) + half_written(toy)
            return f"differs in {', '.join(wrong[:5])}" if wrong else None
        except subprocess.TimeoutExpired as late:
            return f"a run had not ended after {late.timeout:.0f} s"
        finally:
            for left in processes(toy, "workflow"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(left, signal.SIGKILL)
            subprocess.run(["umount", str(toy.build)], capture_output=True)


class Books:
    """Each worker's own books: one made by sound code, and one for each weakness."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.own = folder, threading.local()

    def of(self, weakness: str = "") -> Book:
        found: dict[str, Book] = self.own.__dict__.setdefault("books", {})
        if weakness not in found:
            place = Path(tempfile.mkdtemp(dir=self.folder))
            home = WEAKNESSES[weakness].plant(place / "home") if weakness else HOME
            found[weakness] = Book(place, home)
        return found[weakness]


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
        books = Books(Path(folder))
        for fault, wrong in each(chosen, options.jobs, lambda f: books.of().survives(f)):
            tried[fault.row] += 1
            survived[fault.row] += wrong is None
        print("\nOn code that was weakened, where each must be lost:", flush=True)
        ordered = sorted(weak.values(), key=lambda fault: fault.lost_if)
        for fault, wrong in each(ordered, options.jobs, lambda f: books.of(f.lost_if).survives(f)):
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

"""Plant every fault in a small book: does the next run give the result of an unbroken one?

    python -m tests.faults.run            # all, some minutes
    python -m tests.faults.run --short    # one of each kind, as the tests do
    python -m tests.faults.run Sphinx     # those with this word in phase or name
    python -m tests.faults.run --record   # all, and write reference/faults.json for the book

Each fault is survived if the same command, given again, ends with status 0 and the result of an
unbroken run, byte for byte where that has no times in it. Ends with status 1 if one is not.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.book import differences, half_written, make_book, outcome
from tests.faults.kinds import Fault, Unavailable, faults
from tests.workflow.conftest import HOME, Toy
from workflow.project import dump, write

RECORD = HOME / "reference" / "faults.json"


class Book:
    """A book that was built once, for copies to be harmed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Every copy lies in a folder of the same name, since Sphinx notes where it was.
        self.place = folder / "book"
        made = make_book(self.place)
        status, output = made.run("--reference")
        assert status == 0, output
        self.right = outcome(made)
        shutil.move(self.place, folder / "built")

    def copy(self, fresh: bool) -> Toy:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.folder / "built", self.place, symlinks=True)
        toy = Toy(self.place)
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
                return f"still status {status}: {output.strip().splitlines()[-1][:160]}"
            if "All 4 claims hold." not in output:
                return "it does not say that all claims hold"
            wrong = differences(self.right, outcome(toy)) + half_written(toy)
            return f"differs in {', '.join(wrong)}" if wrong else None
        finally:
            subprocess.run(["umount", str(toy.build)], capture_output=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", help="only faults with one of these in phase or name")
    parser.add_argument("--short", action="store_true", help="one of each kind")
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.name} for the book")
    options = parser.parse_args(arguments)
    chosen = [
        fault
        for fault in faults()
        if (fault.short or not options.short)
        and (not options.words or any(w in f"{fault.phase} {fault.name}" for w in options.words))
    ]
    if not chosen:
        parser.error(f"no fault has any of {options.words} in its phase or name")
    begun, tried, survived, left_out = time.monotonic(), Counter(), Counter(), []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        book = Book(Path(folder))
        for fault in chosen:
            kind = (fault.phase, _kind(fault.name))
            try:
                wrong = book.survives(fault)
            except Unavailable as reason:
                left_out.append(f"{fault.name}: {reason}")
                print(f"left out  {fault.phase:<10} {fault.name}: {reason}", flush=True)
                continue
            tried[kind] += 1
            survived[kind] += wrong is None
            said = "survived " if wrong is None else "LOST     "
            print(
                f"{said} {fault.phase:<10} {fault.name}{': ' + wrong if wrong else ''}", flush=True
            )
    print(f"\n{'phase':<12}{'fault':<44}{'tried':>6}{'survived':>10}")
    for (phase, name), count in tried.items():
        print(f"{phase:<12}{name:<44}{count:>6}{survived[phase, name]:>10}")
    print(f"{survived.total()} of {tried.total()} survived in {time.monotonic() - begun:.0f} s")
    if options.record and not (options.words or options.short):
        rows = [
            {"phase": phase, "fault": name, "tried": count, "survived": survived[phase, name]}
            for (phase, name), count in tried.items()
        ]
        write(RECORD, dump({"date": time.strftime("%Y-%m-%d"), "rows": rows, "left_out": left_out}))
    return 0 if survived == tried else 1


def _kind(name: str) -> str:
    """The fault without its delay or size, under which several are counted."""
    return name.partition(" after ")[0].partition(" at ")[0]


if __name__ == "__main__":
    sys.exit(main())

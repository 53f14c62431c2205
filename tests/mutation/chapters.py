"""Mistakes on purpose that a claim of a chapter must notice; what tests say does not count.

    python -m tests.mutation.chapters            # all, in some minutes
    python -m tests.mutation.chapters entropy    # those whose names contain "entropy"
    python -m tests.mutation.chapters --chapters theorem-1 temperature

Each mistake of ``chapters.toml`` is planted in a copy of the package, and every chapter that it
names is executed there at tier smoke until a claim fails. Ends with status 1 unless in each of them
one does.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.mutation.mutants import MUTANTS, Mutant
from tests.mutation.run import ROOT, mutated
from workflow.nursery import LIBRARIES

TOO_LONG = 300
#: Loaded once, in the process from which every chapter forks; of the package nothing is.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([*LIBRARIES])


class _Noticed(BaseException):
    """A claim has failed, and no more was asked."""


@dataclass(frozen=True)
class Executed:
    """What came of one chapter: claims that fail, how many were made, errors of cells."""

    failing: dict[str, str]
    made: int
    errors: tuple[str, ...]


def _list() -> dict[Mutant, list[str]]:
    """The mutants of ``chapters.toml``, each with the chapters that must notice it."""
    file = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    known = {mutant.name: mutant for mutant in MUTANTS}
    known |= {each["name"]: Mutant(**each, tests="", only="") for each in file["mutant"]}
    found: dict[Mutant, list[str]] = {}
    for chapter, names in file["notices"].items():
        for name in names:
            found.setdefault(known[name], []).append(chapter)
    return found


#: Mutants and the chapters that must notice each.
NOTICES = _list()


def executed(folder: Path, chapter: str, root: Path = ROOT, first: bool = False) -> Executed:
    """Execute a chapter with the package in ``folder``, at tier smoke.

    With ``first``, up to the first claim that fails. A ``TimeoutError`` if it takes too long.
    """
    notebook = root / "notebooks" / f"{chapter}.ipynb"
    mine, its = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=_execute, args=(folder, notebook, first, its))
    process.start()
    its.close()
    try:
        if not mine.poll(TOO_LONG):
            raise TimeoutError
        return Executed(*mine.recv())
    except EOFError:
        return Executed({}, 0, ("its process ended early",))
    finally:
        process.kill()
        process.join()


def _execute(folder: Path, notebook: Path, first: bool, answer: Connection) -> None:
    """Run the cells one after the other; one that raises does not stop the others."""
    sys.dont_write_bytecode = True
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    warnings.simplefilter("ignore")
    torch, pyplot = (importlib.import_module(name) for name in ("torch", "matplotlib.pyplot"))
    torch.set_num_threads(1)
    pyplot.switch_backend("agg")
    failing, made, errors = {}, {}, []
    names = {"__name__": "__main__", "display": print}
    try:
        claims, display = (
            importlib.import_module(f"companion.book.{name}") for name in ("claims", "display")
        )
        made = claims._claims

        def emit(*_: object, **__: object) -> None:
            failing.update({id: str(claim) for id, claim in made.items() if not claim.holds})
            if first and failing:
                raise _Noticed

        claims.emit = display.emit = emit
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        for number, cell in enumerate(cells, 1):
            if cell["cell_type"] == "code":
                source = re.sub(r"^[%!].*$", "", "".join(cell["source"]), flags=re.MULTILINE)
                try:
                    exec(compile(source, f"cell {number}", "exec"), names)
                except Exception:
                    errors.append(f"cell {number}: {traceback.format_exc().splitlines()[-1]}")
                if "parameters" in cell["metadata"].get("tags", []):
                    names["tier"] = "smoke"
    except _Noticed:
        pass
    except Exception:
        errors.append(traceback.format_exc().splitlines()[-1])
    answer.send((failing, len(made), tuple(errors)))


def check(mutant: Mutant, chapters: Iterable[str]) -> list[tuple[str, bool, str]]:
    """For each chapter: whether a claim noticed, and which."""
    found = []
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        shutil.copytree(
            ROOT / "companion", folder / "companion", ignore=shutil.ignore_patterns("__pycache__")
        )
        module = folder / "companion" / mutant.file
        module.write_text(mutated(mutant, module.read_text("utf-8")), "utf-8")
        for chapter in chapters:
            try:
                run = executed(folder, chapter, first=True)
            except TimeoutError:
                found.append((chapter, False, f"it ran for more than {TOO_LONG} s"))
                continue
            said = ", ".join(run.failing) or "no claim fails"
            raised = f"; {run.errors[0]}" if run.errors else ""
            found.append((chapter, bool(run.failing), f"{said} of {run.made}{raised}"))
    return found


def unchanged(chapter: str) -> str:
    """What is wrong with a chapter where no mistake was planted; empty if nothing is."""
    run = executed(ROOT, chapter)
    wrong = [*run.failing.values(), *run.errors]
    return "; ".join(wrong) if wrong else "" if run.made else "it makes no claim"


def main(arguments: list[str] | None = None) -> int:
    """Check all mutants, or those whose names contain the words given; 0 if all are noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only mutants with one of these in the name")
    parser.add_argument("--chapters", nargs="+", default=[], help="only what these must notice")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args(arguments)
    chosen: dict[Mutant, list[str]] = {}
    for mutant, chapters in NOTICES.items():
        if not options.words or any(word in mutant.name for word in options.words):
            kept = [each for each in chapters if each in options.chapters or not options.chapters]
            chosen |= {mutant: kept} if kept else {}
    if not chosen:
        parser.error(f"no mutant has any of {options.words} in its name")
    start, alive = time.monotonic(), []
    with ThreadPoolExecutor(options.jobs) as pool:
        chapters = sorted({chapter for mutant in chosen for chapter in chosen[mutant]})
        wrong = [
            pair for pair in zip(chapters, pool.map(unchanged, chapters), strict=True) if pair[1]
        ]
        if wrong:
            print("\n".join(f"{chapter} fails unchanged: {what}" for chapter, what in wrong))
            return 1
        print(f"unchanged: green ({time.monotonic() - start:.0f} s)", flush=True)
        for mutant, found in zip(
            chosen, pool.map(check, *zip(*chosen.items(), strict=True)), strict=True
        ):
            for chapter, noticed, how in found:
                print(
                    f"{'noticed ' if noticed else 'ALIVE   '} {mutant.name}: {chapter}: {how}",
                    flush=True,
                )
                if not noticed:
                    alive.append(mutant)
    seconds = time.monotonic() - start
    print(f"{len(chosen) - len(set(alive))} of {len(chosen)} mutants noticed in {seconds:.0f} s")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())

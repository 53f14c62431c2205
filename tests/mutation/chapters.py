"""Mistakes on purpose that a claim of a chapter must notice; what tests say does not count.

    python -m tests.mutation.chapters            # all, in some minutes
    python -m tests.mutation.chapters entropy    # those whose names contain "entropy"

Each mistake of ``chapters.toml`` is planted in a copy of the package, and every chapter that it
names is executed there at tier smoke. Ends with status 1 unless in each of them a claim fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutants import MUTANTS, Mutant
from tests.mutation.run import ROOT, copy_project, mutated

TOO_LONG = 300
#: Runs the cells of a notebook one after the other; one that raises does not stop the others.
CELLS = r"""
import json, re, sys, traceback
from companion.book import claims, display
display.emit = claims.emit = lambda *bundles, **more: None
names, errors = {"__name__": "__main__", "display": print}, []
for number, cell in enumerate(json.load(open(sys.argv[1], encoding="utf-8"))["cells"], 1):
    if cell["cell_type"] == "code":
        source = re.sub(r"^[%!].*$", "", "".join(cell["source"]), flags=re.MULTILINE)
        try:
            exec(compile(source, f"cell {number}", "exec"), names)
        except Exception:
            errors.append(f"cell {number}: {traceback.format_exc().splitlines()[-1]}")
        if "parameters" in cell["metadata"].get("tags", []):
            names["tier"] = "smoke"
made = claims._claims
print()
print(json.dumps([{id: str(c) for id, c in made.items() if not c.holds}, len(made), errors]))
"""


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


def executed(folder: Path, chapter: str, root: Path = ROOT) -> Executed:
    """Execute a chapter with the package in ``folder``, at tier smoke."""
    notebook = root / "notebooks" / f"{chapter}.ipynb"
    quiet = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    environment = os.environ | quiet | {"PYTHONPATH": str(folder), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", CELLS, str(notebook)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TOO_LONG,
    )
    if done.returncode:
        return Executed({}, 0, (done.stderr.strip().splitlines()[-1],))
    failing, made, errors = json.loads(done.stdout.splitlines()[-1])
    return Executed(failing, made, tuple(errors))


def check(mutant: Mutant) -> list[tuple[str, bool, str]]:
    """For each chapter: whether a claim noticed, and which."""
    found = []
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        copy_project(folder)
        module = folder / "companion" / mutant.file
        module.write_text(mutated(mutant, module.read_text("utf-8")), "utf-8")
        for chapter in NOTICES[mutant]:
            try:
                run = executed(folder, chapter)
            except subprocess.TimeoutExpired:
                found.append((chapter, False, f"it ran for more than {TOO_LONG} s"))
                continue
            said = ", ".join(list(run.failing)[:3]) or "no claim fails"
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
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args(arguments)
    chosen = [m for m in NOTICES if not options.words or any(w in m.name for w in options.words)]
    if not chosen:
        parser.error(f"no mutant has any of {options.words} in its name")
    start, alive = time.monotonic(), []
    with ThreadPoolExecutor(options.jobs) as pool:
        chapters = sorted({chapter for mutant in chosen for chapter in NOTICES[mutant]})
        wrong = [
            pair for pair in zip(chapters, pool.map(unchanged, chapters), strict=True) if pair[1]
        ]
        if wrong:
            print("\n".join(f"{chapter} fails unchanged: {what}" for chapter, what in wrong))
            return 1
        print(f"unchanged: green ({time.monotonic() - start:.0f} s)", flush=True)
        for mutant, found in zip(chosen, pool.map(check, chosen), strict=True):
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

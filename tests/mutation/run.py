"""Plant each mistake of :mod:`tests.mutation.mutants` in a copy of the package: is it noticed?

    python -m tests.mutation.run            # all mutants, about five minutes
    python -m tests.mutation.run entropy    # those whose names contain "entropy"
    python -m tests.mutation.run --jobs 4

First the tests that the mutants name must pass on an unchanged copy. Ends with status 1 if a mutant
survives, if its text is no longer found, or if its tests can't be run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutation.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
#: What the tests need in a copy; nothing else of the project is in reach of a mutant.
NEEDED = ("companion", "tests", "workflow", "pyproject.toml")
TOO_LONG = 300


def copy_project(to: Path) -> None:
    """The package, its tests and the test settings, without compiled files."""
    for name in NEEDED:
        source, target = ROOT / name, to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    # Tests of a copy must not take the installed package: each run checks this first.
    (to / "tests/test_0_is_the_copy.py").write_text(
        "from pathlib import Path\n\nimport companion\n\n\n"
        "def test_is_the_copy():\n"
        "    assert Path(companion.__file__).parents[1] == Path(__file__).parents[1]\n",
        encoding="utf-8",
    )


def mutated(mutant: Mutant, text: str) -> str:
    """The text of the module with the mistake in it; a ``ValueError`` if it can't be planted."""
    found = text.count(mutant.old)
    if found != mutant.times:
        raise ValueError(
            f"{mutant.name}: expected {mutant.times} × {mutant.old!r} in companion/{mutant.file}, "
            f"found {found}"
        )
    return text.replace(mutant.old, mutant.new)


def run_tests(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in the copy: stop at the first failure, one thread, no files left behind."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TOO_LONG
    )


def check(mutant: Mutant) -> tuple[bool, str]:
    """Whether the mutant was noticed, and how."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        copy_project(folder)
        module = folder / "companion" / mutant.file
        try:
            changed = mutated(mutant, module.read_text(encoding="utf-8"))
        except ValueError as error:
            return False, str(error)
        module.write_text(changed, encoding="utf-8")
        try:
            done = run_tests(folder, mutant.tests, "-k", mutant.only)
        except subprocess.TimeoutExpired:
            return False, f"its tests ran for more than {TOO_LONG} s"
    last = done.stdout.strip().splitlines()[-1:] or [done.stderr.strip()[-200:]]
    if done.returncode == 1:  # 1: a test failed; anything else is no verdict
        return True, last[0]
    reason = "SURVIVED" if done.returncode == 0 else f"pytest ended with {done.returncode}"
    return False, f"{reason}: {last[0]} ({mutant.tests} -k {mutant.only!r})"


def unchanged_copy_passes(mutants: Iterable[Mutant]) -> bool:
    """Whether the tests that the mutants name pass where there is no mistake."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for mutant in mutants:
        wanted[mutant.tests].add(f"({mutant.only})")
    with tempfile.TemporaryDirectory(prefix="unchanged-") as name:
        folder = Path(name)
        copy_project(folder)
        done = run_tests(folder, "tests/test_0_is_the_copy.py")
        if done.returncode:
            print("the tests of a copy take another package than the copy:", done.stdout)
            return False
        for tests, expressions in wanted.items():
            done = run_tests(folder, tests, "-k", " or ".join(sorted(expressions)))
            if done.returncode:
                print(f"{tests} does not pass on the unchanged package:\n{done.stdout[-2000:]}")
                return False
    return True


def main(arguments: list[str] | None = None) -> int:
    """Check all mutants, or those whose names contain the words given; 0 if all are noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only mutants with one of these in the name")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args(arguments)
    chosen = [
        mutant
        for mutant in MUTANTS
        if not options.words or any(word in mutant.name for word in options.words)
    ]
    if not chosen:
        parser.error(f"no mutant has any of {options.words} in its name")
    start = time.monotonic()
    if not unchanged_copy_passes(chosen):
        return 1
    print(f"unchanged: green ({time.monotonic() - start:.0f} s)", flush=True)
    alive = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, (noticed, how) in zip(chosen, pool.map(check, chosen), strict=True):
            print(f"{'noticed ' if noticed else 'ALIVE   '} {mutant.name}: {how}", flush=True)
            if not noticed:
                alive.append(mutant)
    seconds = time.monotonic() - start
    print(f"{len(chosen) - len(alive)} of {len(chosen)} mutants noticed in {seconds:.0f} s")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())

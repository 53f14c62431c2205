"""What is harmed: a small book, a sweep and a set-up, and what is the same in every right run."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.faults.kinds import Fault, processes
from tests.workflow.conftest import HOME, Toy, make_toy
from tests.workflow.packages import Packages, installed, settings, site_packages
from workflow.project import Project, load, unsealed

TOC = """format: jb-book
root: index
parts:
  - caption: Chapters
    numbered: 1
    chapters:
      - file: notebooks/one
      - file: notebooks/two
"""
GRID = """
settings: {count: 30, steps: 20, log_every: 10}
grid: {learning_rate: [0.01, 0.003]}
seeds: 2
"""
TIMED = {"started", "seconds", "executed"}


class Thing:
    """Made once without a fault, by the code in ``home``, for copies to be harmed."""

    kind: type[Toy] = Toy
    #: What the command says when all is well, and how it is given the first time.
    says = ""
    first: tuple[str, ...] = ()

    def __init__(self, folder: Path, home: Path = HOME) -> None:
        self.folder, self.home = folder, home
        # Every copy lies in a folder of the same name, since Sphinx and pip note where it was.
        self.place = folder / "thing"
        self.make(self.place)
        made = self.kind(self.place, home)
        for _ in range(2):  # a busy machine may start no kernel in time
            status, output = made.run(*self.first)
            if status == 0:
                break
        assert status == 0, output
        self.right = self.outcome(made)
        status, output = made.run()
        assert status == 0 and not self.wrong(made), (output, self.wrong(made))
        shutil.move(self.place, folder / "made")

    def make(self, root: Path) -> None:
        """Write the sources."""
        raise NotImplementedError

    def outcome(self, toy: Toy) -> dict[str, object]:
        """The result of a run, times and dates left out."""
        raise NotImplementedError

    def finished(self, toy: Toy) -> dict[str, object]:
        """Parts that are done, each with when it was: they need not be done again."""
        return {}

    def wrong(self, toy: Toy) -> list[str]:
        """Names of what is missing, new, different or half written."""
        found = self.outcome(toy)
        names = self.right.keys() | found.keys()
        return sorted(name for name in names if self.right.get(name) != found.get(name))

    def copy(self, fresh: bool) -> Toy:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.folder / "made", self.place, symlinks=True)
        toy = self.kind(self.place, self.home)
        if fresh:
            shutil.rmtree(toy.build)
        return toy

    def survives(self, fault: Fault) -> str | None:
        """What is wrong after the fault; None if nothing is."""
        toy = self.copy(fault.fresh)
        try:
            if not fault.harm(toy):
                return "the fault did not come about as it was meant to"
            kept = self.finished(toy) if fault.fresh else {}
            for _ in range(2):
                status, output = toy.run()
                if status == 0:
                    break
            if status:
                said = output.strip().splitlines() or [""]
                return f"still status {status}: {said[-1][:160]}"
            if self.says not in output:
                return f"it does not say: {self.says}"
            again = kept.items() - self.finished(toy).items()
            wrong = self.wrong(toy) + [f"{name}, which was made again" for name, _ in again]
            return f"differs in {', '.join(wrong[:5])}" if wrong else None
        except subprocess.TimeoutExpired as late:
            return f"a run had not ended after {late.timeout:.0f} s"
        finally:
            for left in processes(toy, ""):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(left, signal.SIGKILL)
            subprocess.run(["umount", str(toy.build)], capture_output=True)


class Book(Thing):
    """Two chapters, and a page with a value in it."""

    says, first = "All 4 claims hold.", ("--reference",)

    def make(self, root: Path) -> None:
        make_toy(root)
        shutil.copytree(HOME / "companion" / "support", root / "companion" / "support")
        shutil.copy(HOME / "_config.yml", root)
        shutil.copytree(HOME / "book" / "assets", root / "book" / "assets")
        (root / "book" / "references.bib").write_text("")
        (root / "book" / "index.md").write_text("# A book\n\nIts size is {{one/first:.0f}}.\n")
        (root / "_toc.yml").write_text(TOC)

    def outcome(self, toy: Toy) -> dict[str, object]:
        """Claims, values, every file of the site, and what certifies them."""
        found: dict[str, object] = {}
        for folder in ("site", "stamps"):
            for path in sorted((toy.build / folder).rglob("*")):
                if path.is_file() and path.name != "build.json":
                    found[path.relative_to(toy.build).as_posix()] = path.read_bytes()
        collected = load(toy.build / "claims.json") or {"claims": [], "values": None}
        found["claims"] = [without(claim, TIMED) for claim in collected["claims"]]
        found["values"] = collected["values"]
        for path in sorted(toy.build.glob("executed/*.ipynb")):
            cells = (load(path) or {"cells": []})["cells"]
            found[f"executed {path.stem}"] = [(c["source"], c.get("outputs")) for c in cells]
        project = Project(toy.root)
        for name in project.chapters:
            found[f"record of {name}"] = without(project.run(name), TIMED)
        found["check"] = (project.checked or {}).get("holding")
        found["record of the site"] = (project.built or {}).get("key")
        return found

    def finished(self, toy: Toy) -> dict[str, object]:
        done = filter(Project(toy.root).current, Project(toy.root).chapters)
        # Weakened code takes for current what can't be read.
        copies = {name: load(toy.executed(name)) or {} for name in done}
        return {
            name: copy.get("metadata", {}).get("papermill", {}).get("start_time")
            for name, copy in copies.items()
        }

    def wrong(self, toy: Toy) -> list[str]:
        half_written = [
            str(path.relative_to(toy.build))
            for path in toy.build.rglob(".*.[0-9]*")
            if path.is_file() and ".snakemake" not in path.parts
        ]
        return super().wrong(toy) + half_written


class SweepToy(Toy):
    def command(self, *options: str) -> list[str]:
        words = [str(self.root / "grid.yaml"), "--output", str(self.build)]
        return [sys.executable, "-m", "workflow.sweep", *words, *options]


class Sweep(Thing):
    """Four short trainings."""

    kind, says = SweepToy, "4 of 4 runs are in"

    def make(self, root: Path) -> None:
        root.mkdir()
        (root / "grid.yaml").write_text(GRID)

    def outcome(self, toy: Toy) -> dict[str, object]:
        """The summary and every run, number by number."""
        found: dict[str, object] = {
            name: (toy.build / name).read_bytes() for name in ("summary.json", "summary.csv")
        }
        found["half written"] = list(toy.build.glob("runs/.*"))
        for path in toy.build.glob("runs/*.json"):
            found[f"run {path.stem}"] = (unsealed(path) or {}).get("run")
        return found

    def finished(self, toy: Toy) -> dict[str, object]:
        return {path.name: path.stat().st_mtime_ns for path in toy.build.glob("runs/*.json")}


class SetUpToy(Toy):
    """Takes its packages from a folder beside it, never from a network."""

    abreast = ()

    def __init__(self, root: Path, home: Path = HOME) -> None:
        super().__init__(root, home)
        self.build = root / "toy" / ".venv"

    @property
    def environment(self) -> dict[str, str]:
        return settings(self.root)

    def command(self, *options: str) -> list[str]:
        script = self.root / "toy" / "workflow" / "environment.py"
        return [sys.executable, "-I", str(script), "test", *options]


class SetUp(Thing):
    """An environment of the book's packages and of a group, all made here."""

    kind = SetUpToy

    def make(self, root: Path) -> None:
        root.mkdir()
        Packages(root)
        (root / "toy" / "workflow").mkdir()
        shutil.copy(self.home / "workflow" / "environment.py", root / "toy" / "workflow")

    def outcome(self, toy: Toy) -> dict[str, object]:
        """What is installed, and every file of it but what Python compiled."""
        found: dict[str, object] = dict(installed(toy.root / "toy"))
        modules = site_packages(toy.root / "toy")
        found["companion"] = [path.name for path in modules.glob("toy-*")]
        for path in (*modules.glob("*.py"), *modules.glob("pip/*.py")):
            found[path.relative_to(modules).as_posix()] = path.read_bytes()
        return found


THINGS: dict[str, type[Thing]] = {"book": Book, "sweep": Sweep, "set-up": SetUp}


def without(record: dict[str, object], names: set[str]) -> dict[str, object]:
    return {name: value for name, value in record.items() if name not in names}

"""A small book with a site of its own, and what of its result is the same in every right run."""

import shutil
from pathlib import Path

from tests.workflow.conftest import HOME, Toy, make_toy
from workflow.project import Project, load

TOC = """format: jb-book
root: index
parts:
  - caption: Chapters
    numbered: 1
    chapters:
      - file: notebooks/one
      - file: notebooks/two
"""


def make_book(root: Path) -> Toy:
    """Two chapters, and a page with a value in it."""
    toy = make_toy(root)
    shutil.copytree(HOME / "companion" / "support", root / "companion" / "support")
    shutil.copy(HOME / "_config.yml", root)
    shutil.copytree(HOME / "book" / "assets", root / "book" / "assets")
    (root / "book" / "references.bib").write_text("")
    (root / "book" / "index.md").write_text("# A book\n\nIts size is {{one/first:.0f}}.\n")
    (root / "_toc.yml").write_text(TOC)
    return toy


def outcome(toy: Toy) -> dict[str, object]:
    """Claims, values, every file of the site, and what certifies them; times and dates left out."""
    found: dict[str, object] = {}
    for folder in ("site", "stamps"):
        for path in sorted((toy.build / folder).rglob("*")):
            if path.is_file() and path.name != "build.json":
                found[path.relative_to(toy.build).as_posix()] = path.read_bytes()
    collected = load(toy.build / "claims.json") or {"claims": [], "values": None}
    timed = {"started", "seconds", "executed"}
    found["claims"] = [without(claim, timed) for claim in collected["claims"]]
    found["values"] = collected["values"]
    for path in sorted(toy.build.glob("executed/*.ipynb")):
        cells = (load(path) or {"cells": []})["cells"]
        found[f"executed {path.stem}"] = [(cell["source"], cell.get("outputs")) for cell in cells]
    project = Project(toy.root)
    for name in project.chapters:
        found[f"record of {name}"] = without(project.run(name), timed)
    found["check"] = (project.checked or {}).get("holding")
    found["record of the site"] = (project.built or {}).get("key")
    return found


def without(record: dict[str, object], names: set[str]) -> dict[str, object]:
    return {name: value for name, value in record.items() if name not in names}


def differences(right: dict[str, object], found: dict[str, object]) -> list[str]:
    """Names of what is missing, new or different."""
    return sorted(
        name for name in right.keys() | found.keys() if right.get(name) != found.get(name)
    )


def half_written(toy: Toy) -> list[str]:
    """Temporary files that a run left behind."""
    kept = {"lock", "jobs"}
    return [
        str(path.relative_to(toy.build))
        for path in toy.build.rglob(".*.[0-9]*")
        if path.is_file() and path.suffix not in kept and ".snakemake" not in path.parts
    ]

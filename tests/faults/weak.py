"""Code that was weakened on purpose: each fault must be lost on it, or surviving proves nothing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.workflow.conftest import HOME

COPIED = ("companion", "workflow")


@dataclass(frozen=True)
class Weakness:
    """Parts of the workflow's text and what takes their place: ``{file: (old, new)}``."""

    words: str
    changes: dict[str, tuple[str, str]]

    def plant(self, folder: Path) -> Path:
        """A copy of the workflow in ``folder`` that has this weakness."""
        for name in COPIED:
            shutil.copytree(
                HOME / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        for file, (old, new) in self.changes.items():
            text = (folder / file).read_text("utf-8")
            assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}"
            (folder / file).write_text(text.replace(old, new), "utf-8")
        return folder


BEGUN = "    began = time.perf_counter()\n"
STAMP = "        self.repair()\n"
WAITING = "    waiting = [run for run in runs if result(folder, run, present) is None"
BEHIND = 'behind = [name for name, lock in wanted["locks"].items() if locks.get(name) != lock]\n'
NOTED = """behind = [name for name in wanted["locks"] if name not in locks]
        write_stamp(venv, wanted | {"locks": locks | dict.fromkeys(behind)})
"""
AFRESH = "    shutil.rmtree(made, ignore_errors=True)\n"
STAGE = "    stage(project)\n"
LOCK = "def _locked(file):\n"

WEAKNESSES = {
    "believed": Weakness(
        "what was begun is believed to be done",
        {
            "workflow/book.py": (
                BEGUN,
                f"{BEGUN}    if (project.build / 'stamps').exists():\n"
                "        print('All 4 claims hold.')\n        return 0\n",
            ),
            "workflow/sweep.py": (
                f"{WAITING}]",
                f"{WAITING} and not (folder / 'runs').exists()]",
            ),
            "workflow/environment.py": (BEHIND, NOTED),
        },
    ),
    "unstamped": Weakness(
        "what steps depend on is written down once",
        {
            "workflow/project.py": (
                STAMP,
                f"{STAMP}        if (self.build / 'stamps').exists():\n            return\n",
            )
        },
    ),
    "unstaged": Weakness(
        "sources are staged once",
        {
            "workflow/site.py": (
                STAGE,
                f"    (project.build / 'stage').exists() or {STAGE.strip()}\n",
            )
        },
    ),
    "resumed": Weakness("the site goes on with what is there", {"workflow/site.py": (AFRESH, "")}),
    "unlocked": Weakness(
        "nobody holds a lock", {"workflow/drive.py": (LOCK, f"{LOCK}    return True\n")}
    ),
}

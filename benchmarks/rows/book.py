"""The workflow: executing chapters, finding that nothing changed, sweeping over seeds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.harness import (
    HOME,
    Check,
    LeftOut,
    Measured,
    Row,
    Setting,
    Target,
    constant,
    spread,
)
from workflow.claims import CLAIM, Claim, outputs
from workflow.execute import QUIET
from workflow.progress import Problem
from workflow.project import Project, load

#: Chapters of middle length: all of them would take an hour one after another.
CHAPTERS = ("02", "08", "14", "17")
SETTINGS = {"data": "pca", "count": 1000, "latent": 2, "steps": 400, "log_every": 400}
SERIAL = """
import json, sys
from workflow.settings import Settings, train
settings, seeds = json.loads(sys.argv[1]), int(sys.argv[2])
runs = [train(Settings(**settings), seed).rows[-1] for seed in range(seeds)]
print(json.dumps(runs))
"""


def command(words: Sequence[str], home: Path = HOME, limit: float = 1800) -> tuple[float, str]:
    """Seconds and output of a command that must end well; it is ended when ``limit`` is over."""
    environment = os.environ | QUIET | {"PYTHONPATH": str(home)}
    start = time.perf_counter()
    process = subprocess.Popen(
        list(words),
        cwd=home,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        raise RuntimeError(f"{words[0]} took longer than {limit:.0f} s") from None
    if process.returncode:
        raise RuntimeError(f"{' '.join(words[:4])} failed: {output[-1500:]}")
    return time.perf_counter() - start, output


def copied(folder: str) -> Path:
    """The sources in ``folder``: what is changed meanwhile must not make anything run again."""
    home = Path(folder) / "home"
    for name in ("companion", "workflow", "notebooks", "reference", "requirements"):
        shutil.copytree(HOME / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HOME / "_toc.yml", home / "_toc.yml")
    return home


def two_cores() -> int:
    """Two, or a reason to leave the row out."""
    if machine.cores() < 2:
        raise LeftOut("only one core is available here")
    return 2


def chapters(setting: Setting) -> Measured:
    """Some chapters by the workflow on two cores, and by papermill one after another."""
    cores, tier = two_cores(), setting.pick("book", "smoke")
    with tempfile.TemporaryDirectory() as folder:
        home = copied(folder)
        project = Project(home, tier, Path(folder) / "ours")
        names = project.select(CHAPTERS[: setting.pick(len(CHAPTERS), 1)])
        start = [sys.executable, "-m", "workflow.book", "--tier", tier, "--until", "execute"]
        start += ["--cores", str(cores), "--output", str(project.output), "--chapters", *names]
        ours, _ = command(start, home)
        peer = 0.0
        for name in names:
            words = [sys.executable, "-m", "papermill", str(project.notebook(name))]
            words += [f"{folder}/{name}.ipynb", "-p", "tier", tier, "-k", "python3"]
            peer += command([*words, "--cwd", str(home / "notebooks")], home)[0]
        mine = [load(project.build / "executed" / f"{name}.ipynb") for name in names]
        theirs = [load(Path(folder) / f"{name}.ipynb") for name in names]
    floor = sum(map(_own_seconds, theirs)) / cores
    made, expected = (dict(c for book in side for c in _claims(book)) for side in (mine, theirs))
    same = sum(made.get(name) == holds for name, holds in expected.items())
    return Measured(
        {
            "ratio": constant(peer / ours, "×"),
            "of the floor": constant(ours / floor, "×"),
        },
        [
            Check("claims recorded", len(made), len(expected), 0.0),
            Check("claims that hold alike", same, len(expected), 0.0),
        ],
        {"tier": tier, "chapters": ", ".join(CHAPTERS[: len(names)]), "cores": cores},
        {"ours": constant(ours, "s"), "peer": constant(peer, "s"), "floor": constant(floor, "s")},
        "float64",
    )


def _own_seconds(notebook: Any) -> float:
    """Run time of the cells, but for the one that imports: what no scheduling can spare."""
    total = 0.0
    for cell in notebook["cells"]:
        if "setup" not in cell["metadata"].get("tags", []):
            total += cell["metadata"].get("papermill", {}).get("duration") or 0.0
    return total


def _claims(notebook: Any) -> list[tuple[str, bool]]:
    shown = (output.get("data", {}).get(CLAIM) for _, output in outputs(notebook))
    return [(claim["id"], Claim(**claim).holds) for claim in shown if claim]


def unchanged(setting: Setting) -> Measured:
    """`make book` where the book is up to date."""
    try:
        Project().site()
    except Problem as problem:
        raise LeftOut(str(problem).rstrip(".")) from None
    before = load(Project().build / "site" / "build.json")
    seconds = [command(["make", "book"], limit=60)[0] for _ in range(setting.repeats)]
    after = load(Project().build / "site" / "build.json")
    return Measured(
        {"seconds": spread(seconds, " s")},
        [Check("the site was left as it was (1 = yes)", float(before == after), 1.0, 0.0)],
        {"chapters": len(Project().chapters)},
        {"ours": spread(seconds, "s")},
        "none",
        setting.repeats,
        machine.cores(),
    )


def sweep(setting: Setting) -> Measured:
    """The same runs by the workflow on two cores, and in one loop."""
    cores, seeds = two_cores(), setting.pick(100, 2)
    settings = SETTINGS | ({"steps": 10, "log_every": 10} if setting.quick else {})
    with tempfile.TemporaryDirectory() as folder:
        home, grid = copied(folder), Path(folder) / "grid.yaml"
        grid.write_text(json.dumps({"settings": settings, "seeds": seeds}), "utf-8")
        output = Path(folder) / "out"
        words = [sys.executable, "-m", "workflow.sweep", str(grid), "--output", str(output)]
        group = str(-(-seeds // cores))
        ours, _ = command([*words, "--cores", str(cores), "--group", group], home)
        rows = {}
        for path in output.glob("runs/*.json"):
            run = (load(path) or {})["run"]
            rows[run["seed"]] = run["rows"][-1]
        serial = [sys.executable, "-c", SERIAL, json.dumps(settings), str(seeds)]
        peer, printed = command(serial, home)
    expected = json.loads(printed.splitlines()[-1])
    apart = max(
        abs(a - b) for seed in rows for a, b in zip(rows[seed][:3], expected[seed][:3], strict=True)
    )
    return Measured(
        {
            "ratio": constant(peer / ours, "×"),
            "of the floor": constant(ours / (peer / cores), "×"),
        },
        [
            Check("runs", len(rows), len(expected), 0.0),
            Check("largest difference of a run's last ELBO or entropy sum", apart, 0.0, 1e-9),
        ],
        {"runs": seeds, "cores": cores, "runs in one job": int(group), **settings},
        {"ours": constant(ours, "s"), "peer": constant(peer, "s")},
        "float64",
    )


ROWS = (
    Row(
        name="chapters",
        title="Executing chapters",
        peer="papermill, one after another",
        work=(
            "Some chapters of middle length with one thread each, by `make book` on two cores and "
            "by papermill one after another. Both must record the same claims, holding alike. The "
            "site's build, the same for both, is left out. Own time is that of a chapter's cells "
            "but for its imports."
        ),
        targets=(
            Target("ratio", "times as fast", at_least=1.8),
            Target("of the floor", "× own time / cores", at_most=1.6),
            Target("of the floor", "× own time / cores, in the end", at_most=1.25),
        ),
        limits=(
            "Every chapter starts a Python of its own and imports PyTorch, and the last chapter to "
            "end leaves a core idle."
        ),
        measure=chapters,
        packages=("torch", "papermill", "snakemake"),
    ),
    Row(
        name="nothing-changed",
        title="Making the book when nothing changed",
        peer="none: an absolute time",
        work="`make book` from the shell, where the book is up to date; the site stays as it is.",
        targets=(Target("seconds", "seconds", at_most=3.0),),
        limits="Starting Python and Snakemake, and the sums of all files.",
        measure=unchanged,
        packages=("snakemake",),
    ),
    Row(
        name="sweep",
        title="A sweep of 100 short runs on two cores",
        peer="the same runs in one loop",
        work=(
            "Short trainings of a linear VAE, by `make sweep` with half of the seeds in each of "
            "two jobs, and one after another in one process. Every run must end with the same "
            "numbers."
        ),
        targets=(Target("of the floor", "× (serial / 2)", at_most=1.25),),
        limits="Starting Snakemake, and importing PyTorch in each job.",
        measure=sweep,
        packages=("torch", "snakemake"),
    ),
)

"""The workflow: executing chapters, finding that nothing changed, sweeping over seeds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks import machine
from benchmarks.harness import (
    HOME,
    Check,
    LeftOut,
    Measured,
    Pair,
    Row,
    Setting,
    Target,
    command,
    spread,
)
from workflow.claims import CLAIM, Claim, outputs
from workflow.progress import Problem
from workflow.project import Project, load

#: Chapters of middle length: all of them would take an hour one after another.
CHAPTERS = ("02", "08", "14", "17")
#: A chapter of middle length, and the study of that name, which is changed.
CHANGED = "temperature"
#: The part of the book that its first chapters had not.
BEYOND = "Beyond the papers"
WITHOUT = f"without {BEYOND}"
#: Seconds in which the book is to be made.
AIMS = {
    "all": (480, "seconds, all chapters"),
    WITHOUT: (210, f"seconds, without the part {BEYOND}"),
    "one page": (20, "seconds for one page whose study changed"),
    "start of a chapter": (1, "seconds until a chapter's first cell, mean of all chapters"),
}
SETTINGS = {"data": "pca", "count": 1000, "latent": 2, "steps": 400, "log_every": 400}
SERIAL = """
import json, sys
from workflow.settings import Settings, train
settings, seeds = json.loads(sys.argv[1]), int(sys.argv[2])
runs = [train(Settings(**settings), seed).rows[-1] for seed in range(seeds)]
print(json.dumps(runs))
"""


def copied(folder: str) -> Path:
    """The sources in ``folder``: what is changed meanwhile must not make anything run again."""
    home = Path(folder) / "home"
    try:
        words = "git ls-files -z --cached --others --exclude-standard".split()
        listed = subprocess.run(words, cwd=HOME, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise LeftOut("only git says which files the book is made of") from None
    for name in filter(None, listed.stdout.decode().split("\0")):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HOME / name, home / name)
    return home


def two_cores() -> int:
    """Two, or a reason to leave the row out."""
    if machine.cores() < 2:
        raise LeftOut("only one core is available here")
    return 2


def chapters(setting: Setting) -> Measured:
    """Some chapters by the workflow on two cores, and by papermill one after another."""
    cores, tier = two_cores(), setting.pick("book", "smoke")
    seconds: dict[str, list[float]] = {"ours": [], "peer": [], "floor": []}
    with tempfile.TemporaryDirectory() as folder:
        home = copied(folder)
        project = Project(home, tier, Path(folder) / "ours")
        names = project.select(CHAPTERS[: setting.pick(len(CHAPTERS), 1)])
        start = [sys.executable, "-m", "workflow.book", "--tier", tier, "--until", "execute"]
        start += ["--cores", str(cores), "--output", str(project.output), "--chapters", *names]
        for _ in range(setting.repeats):
            shutil.rmtree(project.build, ignore_errors=True)
            seconds["ours"].append(command(start, home)[0])
            each = []
            for name in names:
                words = [sys.executable, "-m", "papermill", str(project.notebook(name))]
                words += [f"{folder}/{name}.ipynb", "-p", "tier", tier, "-k", "python3"]
                each.append(command([*words, "--cwd", str(home / "notebooks")], home)[0])
            seconds["peer"].append(sum(each))
            mine = [load(project.executed(name)) for name in names]
            theirs = [load(Path(folder) / f"{name}.ipynb") for name in names]
            own = min(sum(map(_own_seconds, books)) for books in (mine, theirs))
            seconds["floor"].append(own / cores)
    made, expected = (dict(c for book in side for c in _claims(book)) for side in (mine, theirs))
    same = sum(made.get(name) == holds for name, holds in expected.items())
    return Measured(
        {
            "ratio": Pair(seconds["ours"], seconds["peer"]).ratio,
            "of the floor": Pair(seconds["floor"], seconds["ours"]).ratio,
        },
        [
            Check("claims recorded", len(made), len(expected), 0.0),
            Check("claims that hold alike", same, len(expected), 0.0),
        ],
        {"tier": tier, "chapters": ", ".join(CHAPTERS[: len(names)]), "cores": cores},
        {name: spread(values, "s") for name, values in seconds.items()},
        "float64",
        setting.repeats,
    )


def _own_seconds(notebook: Any) -> float:
    """Run time of the cells, but for the one that imports: what no scheduling can spare."""
    total = 0.0
    for cell in notebook["cells"]:
        if "setup" not in cell["metadata"].get("tags", []):
            total += cell["metadata"].get("papermill", {}).get("duration") or 0.0
    return total


def _until_first_cell(notebook: Any, seconds: float) -> float:
    """Time from the process that forks for a chapter to its first cell after those that import."""
    ran = notebook["metadata"]["papermill"]
    cells = [cell["metadata"] for cell in notebook["cells"]]
    ends = [made["papermill"]["end_time"] for made in cells if "setup" in made.get("tags", [])]
    began, ended = map(datetime.fromisoformat, (ran["start_time"], max(ends)))
    return seconds - ran["duration"] + (ended - began).total_seconds()


def _claims(notebook: Any) -> list[tuple[str, bool]]:
    shown = (output.get("data", {}).get(CLAIM) for _, output in outputs(notebook))
    return [(claim["id"], Claim(**claim).holds) for claim in shown if claim]


def _papers_first(home: Path) -> list[str]:
    """The chapters of all parts but the one that goes beyond the papers, executed before that one.

    Where no time is known yet, the last chapters of the book go first.
    """
    file = home / "_toc.yml"
    toc = yaml.safe_load(file.read_text("utf-8"))
    toc["parts"].sort(key=lambda part: part["caption"] != BEYOND)
    file.write_text(yaml.safe_dump(toc, sort_keys=False), "utf-8")
    beyond, *others = toc["parts"]
    if beyond["caption"] != BEYOND:
        raise ValueError(f"_toc.yml must have a part {BEYOND!r}: it begins with {beyond}")
    files = [Path(entry["file"]) for part in others for entry in part["chapters"]]
    return [file.name for file in files if file.parent.name == "notebooks"]


def _last(project: Project, chapters: Iterable[str]) -> float:
    """When the last of these chapters was done."""
    return max((project.build / "runs" / f"{name}.json").stat().st_mtime for name in chapters)


def whole(setting: Setting) -> Measured:
    """The book from nothing, and one page after its study changed."""
    cores, tier = two_cores(), setting.pick("book", "smoke")
    kept: dict[str, list[float]] = {}
    anew = 0
    with tempfile.TemporaryDirectory() as folder:
        home, output = copied(folder), Path(folder) / "made"
        study = home / "companion" / "studies" / CHANGED / "__init__.py"
        start = [sys.executable, "-m", "workflow.book", "--tier", tier, "--cores", str(cores)]
        start += ["--output", str(output)]
        papers, project = _papers_first(home), Project(home, tier, output)

        def keep(name: str, seconds: float) -> None:
            kept.setdefault(name, []).append(seconds)

        for number in range(setting.repeats):
            shutil.rmtree(output, ignore_errors=True)
            keep("all", command(start, home)[0])
            later = _last(project, project.chapters) - _last(project, papers)
            keep(WITHOUT, kept["all"][-1] - later)
            runs = [project.run(chapter)["seconds"] for chapter in project.chapters]
            executed = [load(project.executed(chapter)) for chapter in project.chapters]
            own, starts = sum(map(_own_seconds, executed)), map(_until_first_cell, executed, runs)
            keep("cells of all chapters", own)
            keep("start of a chapter", sum(starts) / len(runs))
            keep("around the cells of a chapter, its start among it", (sum(runs) - own) / len(runs))
            ends = [project.build / name for name in ("claims.json", "site/build.json")]
            keep("the site alone", ends[1].stat().st_mtime - ends[0].stat().st_mtime)
            before = project.run(CHANGED)["executed"]
            study.write_text(f"{study.read_text('utf-8')}\n# {number}\n", "utf-8")
            keep("one page", command([*start, "--chapters", CHANGED], home)[0])
            again = Project(home, tier, output)
            anew += again.current(CHANGED) and again.run(CHANGED)["executed"] != before
    times = {name: spread(values, "s") for name, values in kept.items()}
    return Measured(
        {name: spread(kept[name], "\N{NO-BREAK SPACE}s") for name in AIMS},
        [Check("pages made of what their study is now", anew, setting.repeats, 0.0)],
        {"tier": tier, "chapters": len(runs), "cores": cores},
        times,
        "none",
        setting.repeats,
        cores,
    )


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
    pair = Pair([], [])
    with tempfile.TemporaryDirectory() as folder:
        home, grid = copied(folder), Path(folder) / "grid.yaml"
        grid.write_text(json.dumps({"settings": settings, "seeds": seeds}), "utf-8")
        group = str(-(-seeds // cores))
        serial = [sys.executable, "-c", SERIAL, json.dumps(settings), str(seeds)]
        for number in range(setting.repeats):
            output = Path(folder) / str(number)
            words = [sys.executable, "-m", "workflow.sweep", str(grid), "--output", str(output)]
            words += ["--cores", str(cores), "--group", group]
            pair.ours.append(command(words, home)[0])
            seconds, printed = command(serial, home)
            pair.peer.append(seconds)
        rows = {}
        for path in output.glob("runs/*.json"):
            run = (load(path) or {})["run"]
            rows[run["seed"]] = run["rows"][-1]
    expected = json.loads(printed.splitlines()[-1])
    apart = max(
        abs(a - b) for seed in rows for a, b in zip(rows[seed][:3], expected[seed][:3], strict=True)
    )
    return Measured(
        {
            "ratio": pair.ratio,
            "of the floor": Pair([each / cores for each in pair.peer], pair.ours).ratio,
        },
        [
            Check("runs", len(rows), len(expected), 0.0),
            Check("largest difference of a run's last ELBO or entropy sum", apart, 0.0, 1e-9),
        ],
        {"runs": seeds, "cores": cores, "runs in one job": int(group), **settings},
        pair.times,
        "float64",
        setting.repeats,
    )


ROWS = (
    Row(
        name="book",
        title="Making the book from nothing",
        peer="none; times are absolute",
        work=(
            "`make book` on two cores where only the set-up is done: every chapter, every claim "
            "and the site. Then a study is changed, and its page made alone with `CHAPTERS=`."
        ),
        targets=tuple(Target(name, words, at_most=most) for name, (most, words) in AIMS.items()),
        limits=(
            "The cells' own time shared by two cores, and the site, which Sphinx builds anew "
            "whatever changed: built on what is there, its search lacks entries. One page alone "
            "waits for its libraries, as long as all others together, and for the headings of all "
            "other pages, which Sphinx reads. Chapters beyond the papers come last; the time "
            "without them leaves out only what passes until they are done, not their share of the "
            "site. A chapter's start counts from its fork on: not what asks for it, nor that the "
            "first two wait until libraries are loaded. Most depends on how fast the machine "
            "computes the cells, whose time in all is among the times."
        ),
        measure=whole,
        packages=("torch", "papermill", "snakemake", "jupyter-book"),
    ),
    Row(
        name="chapters",
        title="Executing chapters",
        peer="papermill, one after another",
        work=(
            "Some chapters of middle length with one thread each, by `make book` on two cores and "
            "by papermill one after another. Both must record the same claims, holding alike. The "
            "site's build, the same for both, is left out. Own time is that of a chapter's cells "
            "but for its imports, in the faster of the two."
        ),
        targets=(
            Target("ratio", "times as fast", at_least=1.8),
            Target("of the floor", "× own time / cores", at_most=1.6),
            Target("of the floor", "× own time / cores, in the end", at_most=1.25),
        ),
        limits=(
            "The process that chapters fork from imports PyTorch before the first can start, and "
            "the last chapter to end leaves a core idle."
        ),
        measure=chapters,
        packages=("torch", "papermill", "snakemake"),
    ),
    Row(
        name="nothing-changed",
        title="Making the book when nothing changed",
        peer="none; the time is absolute",
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
        targets=(Target("of the floor", "× (serial / 2)", at_most=1.15),),
        limits=(
            "Importing PyTorch, once for what reads the grid and, side by side, once for all jobs; "
            "starting Snakemake, before any job; and drawing the curves, after the last one."
        ),
        measure=sweep,
        packages=("torch", "snakemake"),
    ),
)

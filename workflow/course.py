"""Make an assignment of a chapter, and grade what comes back.

`python -m workflow.course make CHAPTER [--seed 7] [--hidden FOLDER]` writes into
`_build/course/CHAPTER/` (with a seed, `CHAPTER-seed-7/`): `student/` (a notebook with stubs and
public tests, the package's wheel, how to install them), `instructor/` (the same with solutions and
all tests), `autograder.zip` for otter-grader, and `report.json`, what stub and solution score when
they are really graded. It fails unless the stub scores nothing in every exercise and the solution
everything, or if a line of a solution is in `student/`.

`python -m workflow.course grade CHAPTER SUBMISSIONS [--seed 7] [--output FOLDER]` scores a folder
of notebooks and writes `scores.csv` and a page of words for each.
"""

import argparse
import copy
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

from workflow import grading
from workflow.environment import pinned_versions
from workflow.exercises import Cell, exercises, faults, source, tags, without_solutions
from workflow.numbers import number_cells
from workflow.progress import Problem
from workflow.project import HOME, Project, declared_parameters, dump, load, write

#: Seconds for one answer and its tests: solutions take a few.
LIMIT = 120
#: Lines of a solution that say too little to be searched for.
SHORT = 20


def make(project, chapter, seed=None, hidden=None, otter=None):
    """Write the assignment; return its report. ``otter`` is the grading environment's Python."""
    notebook, folder = prepared(project, chapter, seed, hidden), place(project, chapter, seed)
    assigned = assignment(notebook)
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    (new / "student").mkdir(parents=True)
    (new / "instructor").mkdir()
    write(new / "assignment.json", dump(assigned))
    student = marked(without_solutions(notebook))
    write(new / "student" / f"{chapter}.ipynb", dump(student))
    write(new / "instructor" / f"{chapter}.ipynb", dump(marked(notebook)))
    wheel = build_wheel(project, new / "student")
    write(new / "student" / "README.md", README.format(chapter=chapter, wheel=wheel.name))
    if found := leaks(notebook, new / "student"):
        raise Problem(f"The student edition holds parts of solutions: {'; '.join(found)}")
    said(f"{chapter}: its stub and its solution are graded (they run its cells at tier smoke).")
    report = graded(new, chapter, assigned)
    autograder(project, new, assigned, wheel, otter)
    if otter:
        said(f"{chapter}: otter-grader grades both with the autograder.")
        report["otter"] = {
            edition: graded_by_otter(
                otter, new / "autograder.zip", new / where / f"{chapter}.ipynb"
            )
            for edition, where in (("stub", "student"), ("solution", "instructor"))
        }
    report["by_hand"] = [one.label for one in exercises(notebook) if not one.tests]
    write(new / "report.json", dump(report))
    wrong = [id for id, marks in report["exercises"].items() if marks["stub"]]
    if wrong:
        raise Problem(f"A stub scores in {', '.join(wrong)}: its tests hold for no answer.")
    if report["solution"] < report["points"]:
        raise Problem(f"The solution misses points: {'; '.join(report['missed'])}")
    if otter and report["otter"] != {"stub": 0, "solution": report["points"]}:
        raise Problem(f"otter-grader scores otherwise: {report['otter']}")
    shutil.rmtree(folder, ignore_errors=True)
    new.replace(folder)
    return report


def place(project, chapter, seed=None):
    """The folder of an assignment: each seed has its own, so that cohorts stand side by side."""
    name = chapter if seed is None else f"{chapter}-seed-{seed}"
    return project.build / "course" / name


def said(words):
    print(words, flush=True)


def prepared(project, chapter, seed, hidden):
    """The chapter as it is assigned: its own seed, and the lecturer's private tests in it."""
    path = project.notebook(chapter)
    notebook = copy.deepcopy(load(path))
    if wrong := faults(notebook):
        raise Problem(f"Chapter {chapter}: {'; '.join(wrong)}")
    number_cells(notebook, project.numbers)
    if seed is not None:
        if "seed" not in declared_parameters(path):
            raise Problem(f"Chapter {chapter} has no parameter seed: leave SEED out.")
        (cell,) = [c for c in notebook["cells"] if "parameters" in tags(c)]
        cell["source"] = re.sub(r"(?m)^seed = [^#\n]*?(?=\s*(#|$))", f"seed = {seed}", source(cell))
    for file in sorted(Path(hidden).glob("*.py")) if hidden else ():
        add_private_test(notebook, file)
    made = exercises(notebook)
    if not any(one.tests for one in made):
        raise Problem(f"Chapter {chapter} has no exercise with a test: nothing could be graded.")
    if wrong := faults(notebook):
        raise Problem(f"Chapter {chapter} with the tests in {hidden}: {'; '.join(wrong)}")
    return notebook


def add_private_test(notebook, file):
    """Put `LABEL.py` or `LABEL.anything.py` behind the exercise of that label."""
    label = file.name.split(".")[0]
    known = {one.label: one for one in exercises(notebook)}
    if label not in known:
        raise Problem(f"{file.name}: there is no exercise {label!r}, only {', '.join(known)}.")
    one, cells = known[label], notebook["cells"]
    last = [*one.words, *one.code, *one.tests][-1]
    at = 1 + next(number for number, cell in enumerate(cells) if cell is last)
    cell: Cell = {"cell_type": "code", "id": re.sub(r"[^\w-]", "-", f"private-{file.stem}")[:64]}
    cell |= {"metadata": {"tags": ["hidden-test"]}, "source": file.read_text("utf-8").strip()}
    cells.insert(at, cell | {"outputs": [], "execution_count": None})


def assignment(notebook, tier="smoke"):
    """What the grader needs (see `workflow/grading.py`): the chapter runs at the smallest tier."""
    made = exercises(notebook)
    (first, *_) = [n for n, cell in enumerate(notebook["cells"]) if cell is made[0].question]
    before = []
    for cell in notebook["cells"][:first]:
        if cell["cell_type"] == "code":
            before.append(source(cell))
            if "parameters" in tags(cell):
                before.append(f"tier = {tier!r}")
    listed = [
        {
            "label": one.label,
            "title": one.title,
            "names": one.names,
            "solution": "\n".join(map(source, one.code)),
            "tests": [
                {"id": claim(cell), "source": source(cell), "hidden": "hidden-test" in tags(cell)}
                for cell in one.tests
            ],
        }
        for one in made
        if one.code
    ]
    return {"before": before, "limit": LIMIT, "exercises": listed}


def claim(cell):
    """The id of the claim that a test records."""
    found = re.search(r"\.record\(\s*[\"']([^\"']+)[\"']", source(cell))
    if not found:
        raise Problem(f"A test computes the id of its claim: {source(cell)[:60]}")
    return found[1]


def marked(notebook):
    """A copy whose code otter-grader does not execute: its tests read the answers themselves."""
    cells = [
        {**cell, "metadata": {**cell["metadata"], "tags": [*tags(cell), "otter_ignore"]}}
        if cell["cell_type"] == "code"
        else cell
        for cell in notebook["cells"]
    ]
    return {**notebook, "cells": cells}


def build_wheel(project, folder):
    """The package's wheel in a folder, made of a copy of what it is made of."""
    with tempfile.TemporaryDirectory() as copy_of:
        sources = Path(copy_of) / "source"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(project.root / "companion", sources / "companion", ignore=ignored)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(project.root / name, sources / name)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        command += ["--no-build-isolation", "--wheel-dir", str(folder), str(sources)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Problem(f"The wheel was not built:\n{done.stderr[-2000:]}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def leaks(notebook, folder):
    """Lines of solutions and hidden tests that are in the student edition nevertheless."""
    made = exercises(notebook)
    secret = [cell for one in made for cell in (*one.words, *one.code)]
    secret += [cell for one in made for cell in one.tests if "hidden-test" in tags(cell)]
    stubs = "\n".join(one.stub(cell) for one in made for cell in one.code)
    given = "\n".join(source(c) for c in notebook["cells"] if not any(c is s for s in secret))
    wanted = {line.strip() for cell in secret for line in source(cell).splitlines()}
    wanted = {line for line in wanted if len(line) >= SHORT and line not in stubs + given}
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        looked_for = wanted
        if path.suffix == ".whl":  # the package may well have a line that a solution has
            with zipfile.ZipFile(path) as archive:
                members = [archive.read(name) for name in archive.namelist()]
            text = "\n".join(member.decode("utf-8", "replace") for member in members)
            looked_for = {source(cell).strip() for cell in secret if len(source(cell)) >= SHORT}
        else:
            text = path.read_text("utf-8")
            if path.suffix == ".ipynb":
                text = "\n".join(map(source, load(path)["cells"]))
        found += [f"{path.name}: {words}" for words in sorted(looked_for) if words in text]
    return found


def graded(folder, chapter, assigned):
    """What stub and solution score, by exercise and in all, when they are graded."""
    files = [folder / where / f"{chapter}.ipynb" for where in ("student", "instructor")]
    stub, solution = run_grader(folder / "assignment.json", files)
    marks = {}
    for one in assigned["exercises"]:
        ids = [test["id"] for test in one["tests"]]
        marks[one["label"]] = {
            "points": len(ids),
            "stub": sum(stub[id][0] for id in ids),
            "solution": sum(solution[id][0] for id in ids),
        }
    total = {key: sum(m[key] for m in marks.values()) for key in ("stub", "solution", "points")}
    missed = [f"{id}: {words}" for id, (passed, words) in solution.items() if not passed]
    return {**total, "missed": missed, "exercises": marks}


def run_grader(assigned, files):
    """Score notebooks in a process of its own, with one thread: it forks."""
    command = [sys.executable, "-P", grading.__file__, str(assigned), *map(str, files)]
    path = os.pathsep.join([str(HOME), os.environ.get("PYTHONPATH", "")])
    settings = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | settings)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-6:] or ["it said nothing"]
        raise Problem("The chapter itself does not run in the grader:\n  " + "\n  ".join(last))
    return json.loads(done.stdout.splitlines()[-1])


TEST_FILE = """\
from otter.test_files import test_case

OK_FORMAT = False
name = {label!r}
points = None
"""
TEST_CASE = """

@test_case(name={id!r}, points=1, hidden={hidden})
def test_{number}(env):
    from companion_grading import verdict

    passed, words = verdict({id!r})
    assert passed, words
"""


def autograder(project, folder, assigned, wheel, otter):
    """Write `autograder.zip` for otter-grader: its tests ask the grader, which it carries."""
    with tempfile.TemporaryDirectory() as temporary:
        there = Path(temporary)
        (there / "tests").mkdir()
        for one in assigned["exercises"]:
            text = TEST_FILE.format(label=one["label"])
            for number, test in enumerate(one["tests"], 1):
                text += TEST_CASE.format(number=number, id=test["id"], hidden=test["hidden"])
            (there / "tests" / f"{one['label']}.py").write_text(text, "utf-8")
        shutil.copy(grading.__file__, there / "companion_grading.py")
        shutil.copy(folder / "assignment.json", there / "assignment.json")
        shutil.copy(wheel, there / wheel.name)
        project_file = tomllib.loads((project.root / "pyproject.toml").read_text("utf-8"))
        pins = pinned_versions(project.root)
        names = [re.split(r"[<>=]", n)[0] for n in project_file["project"]["dependencies"]]
        lines = [f"{name}=={pins[name]}" for name in names if name in pins]
        lines.append(f"/autograder/source/files/{wheel.name}")
        (there / "requirements.txt").write_text("\n".join(lines) + "\n", "utf-8")
        (there / "otter_config.json").write_text(json.dumps({"show_hidden": False}), "utf-8")
        if not otter:
            return
        command = [str(otter), "-m", "otter", "generate", "--python-version", "3.11"]
        command += ["companion_grading.py", "assignment.json", wheel.name]
        done = subprocess.run(command, cwd=there, capture_output=True, text=True)
        if done.returncode:
            raise Problem(f"otter-grader made no autograder:\n{done.stderr[-1500:]}")
        shutil.move(there / "autograder.zip", folder / "autograder.zip")


def graded_by_otter(otter, autograder, submission, limit=900):
    """The score that otter-grader gives a submission with an autograder."""
    with tempfile.TemporaryDirectory() as there:
        command = [str(otter), "-m", "otter", "run", "-a", str(autograder), "-o", there]
        path = os.pathsep.join([str(HOME), os.environ.get("PYTHONPATH", "")])
        settings = {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "JUPYTER_PREFER_ENV_PATH": "1"}
        done = subprocess.run(
            [*command, "--no-logo", str(submission)],
            capture_output=True, text=True, env=os.environ | settings, timeout=limit,
        )  # fmt: skip
        results = load(Path(there) / "results.json")
    if done.returncode or results is None:
        raise Problem(f"otter-grader failed:\n{(done.stdout + done.stderr)[-1500:]}")
    return sum(test.get("score", 0) for test in results["tests"])


def grade(project, chapter, submissions, output, seed=None):
    """Score every notebook below a folder; return rows of name, score, points."""
    folder = place(project, chapter, seed)
    assigned = load(folder / "assignment.json")
    if assigned is None:
        which = chapter if seed is None else f"{chapter} SEED={seed}"
        raise Problem(f"There is no assignment of {which}: `make course CHAPTER={which}` first.")
    files = sorted(path for path in Path(submissions).rglob("*") if path.is_file())
    if not files:
        raise Problem(f"There is no file in {submissions}.")
    said(f"{len(files)} submissions: an answer that does not end is stopped after {LIMIT} s.")
    results = run_grader(folder / "assignment.json", files)
    rows = []
    for file, result in zip(files, results, strict=True):
        name = file.relative_to(submissions).as_posix()
        score = sum(passed for passed, _ in result.values())
        rows.append((name, score, len(result)))
        write(output / f"{name}.md", feedback(name, assigned, result))
    with (output / "scores.csv").open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        labels = [one["label"] for one in assigned["exercises"]]
        writer.writerow(["submission", "score", "points", *labels])
        for (name, score, points), result in zip(rows, results, strict=True):
            marks = [sum(result[t["id"]][0] for t in one["tests"]) for one in assigned["exercises"]]
            writer.writerow([name, score, points, *marks])
    return rows


def feedback(name, assigned, result):
    """What a student may read about a submission: hidden tests are counted, not told."""
    lines = [f"# {name}", "", f"{sum(p for p, _ in result.values())} of {len(result)} points", ""]
    for one in assigned["exercises"]:
        lines += [f"## {one['title'] or one['label']}", ""]
        for test in one["tests"]:
            passed, words = result[test["id"]]
            words = "a hidden test" if test["hidden"] else words
            lines.append(f"- {'✓' if passed else '✗'} {words}")
        lines.append("")
    return "\n".join(lines)


README = """\
# {chapter}

Python 3.11, 3.12 or 3.13. In this folder:

    python3 -m venv .venv
    .venv/bin/pip install {wheel} jupyterlab
    .venv/bin/jupyter lab {chapter}.ipynb

On Windows the two programs are in `.venv\\Scripts`. On Linux, add
`--extra-index-url https://download.pytorch.org/whl/cpu` to the second line: torch is then 200 MB in
place of several GB.

Run the chapter from top to bottom, then fill in what stands as `...` under *Exercises*. The cells
below each answer test it; others are run when it is graded. Leave the questions and the tests as
they are. Hand in the notebook.
"""


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m workflow.course")
    parser.add_argument("--root", type=Path, default=HOME)
    parser.add_argument("--build", type=Path, help="folder for everything generated")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="make an assignment of a chapter")
    making.add_argument("chapters", nargs="*")
    making.add_argument("--seed", type=int)
    making.add_argument("--hidden", type=Path)
    making.add_argument("--otter", type=Path, help="Python of the grading environment")
    marking = commands.add_parser("grade", help="score a folder of submissions")
    marking.add_argument("chapter")
    marking.add_argument("submissions", type=Path)
    marking.add_argument("--seed", type=int)
    marking.add_argument("--output", type=Path)
    options = parser.parse_args(arguments)
    project = Project(options.root.resolve(), output=options.build)
    try:
        if options.command == "make":
            return _make(project, options)
        chosen = project.select([options.chapter])
        if len(chosen) != 1:
            raise Problem(f"{options.chapter!r} names {len(chosen)} chapters: name one.")
        (chapter,) = chosen
        output = options.output or place(project, chapter, options.seed) / "graded"
        scored = grade(project, chapter, options.submissions, output, options.seed)
        for name, score, points in scored:
            print(f"{score:3} of {points}  {name}")
        print(f"Written to {output}")
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


def _make(project, options):
    if options.hidden and not options.hidden.is_dir():
        raise Problem(f"There is no folder {options.hidden}.")
    otter, failed = options.otter and options.otter.absolute(), 0
    for chapter in project.select(options.chapters):
        notebook = load(project.notebook(chapter))
        if not options.chapters and not any(one.tests for one in exercises(notebook)):
            said(f"{chapter}: no exercise with a test")
            continue
        try:
            report = make(project, chapter, options.seed, options.hidden, otter)
        except Problem as problem:  # of this chapter: the others are made all the same
            print(problem, file=sys.stderr)
            failed = 2
            continue
        marks = f"stub {report['stub']}, solution {report['solution']} of {report['points']} points"
        said(f"{place(project, chapter, options.seed)}: {marks}")
    return failed


if __name__ == "__main__":
    sys.exit(main())

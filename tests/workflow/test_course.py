"""Assignments: what students get, and that submissions of any kind are scored."""

import copy
import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.workflow.conftest import cell, make_toy, notebook
from workflow import course
from workflow.exercises import exercises, source, without_solutions
from workflow.grading import answers
from workflow.progress import Problem
from workflow.project import HOME, Project, dump, load, write

TWICE = """\
```{exercise} Twice
:label: toy-twice

Call it `twice(x)`.
```"""
SUM = """\
```{exercise} The sum
:label: toy-sum

Call the sum of the first `size` numbers, doubled by `twice`, `total`.
```"""
TALK = """\
```{exercise} Talk
:label: toy-talk

Why? This exercise has no numeric check.
```"""
TEST = 'claims.record("{}", "It is so.", {}, at_most=0, source="exercise")'
CELLS = [
    ("heading", "## Exercises", ()),
    ("twice", TWICE, ()),
    ("twice-words", "Text: a secret word about doubling.", ("solution",)),
    ("twice-code", "def twice(x):\n    return x + x  # the secret of doubling", ("solution",)),
    ("twice-test", TEST.format("toy/two", "abs(twice(1) - 2)"), ("test",)),
    ("twice-hidden", TEST.format("toy/big", "abs(twice(seed + 8) - 18)"), ("hidden-test",)),
    ("sum", SUM, ()),
    ("sum-code", "total = sum(map(twice, range(size)))  # a secret sum", ("solution",)),
    ("sum-test", TEST.format("toy/sum", "abs(total - size * (size - 1))"), ("test",)),
    ("talk", TALK, ()),
    ("talk-words", "Text: therefore, and this is secret too.", ("solution",)),
    ("table", "claims.table()", ()),
]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A book of one chapter with exercises, of which an assignment was made."""
    made = make_toy(tmp_path_factory.mktemp("course") / "toy", ["one"])
    content = notebook("one")
    content["cells"] = content["cells"][:-1]
    for number, (name, text, tags) in enumerate(CELLS, 30):
        one = cell(text.replace("```{", "#", 1) if text.startswith("```") else text, number, tags)
        content["cells"].append({**one, "id": name, "source": text})
    (made.root / "notebooks" / "one.ipynb").write_text(json.dumps(content))
    (made.root / "README.md").write_text("# Toy\n")
    (made.root / "LICENSE").write_text("None.\n")
    (made.root / "pyproject.toml").write_text(
        '[project]\nname = "companion"\nversion = "0"\ndependencies = []\n'
        '[build-system]\nrequires = ["setuptools"]\n[tool.setuptools]\npackages = ["companion"]\n'
    )
    made.report = course.make(Project(made.root), "one")
    return made


def student(toy, *, folder="student", **changes):
    """The text of a student's notebook with other sources in some cells; None deletes one."""
    made = load(toy.build / "course" / "one" / folder / "one.ipynb")
    cells = [{**one, "source": changes.get(one["id"].replace("-", "_"), one["source"])}
             for one in made["cells"]]  # fmt: skip
    return json.dumps({**made, "cells": [one for one in cells if one["source"] is not None]})


RIGHT = {
    "twice_code": "def twice(x):\n    return 2 * x",
    "sum_code": "total = sum(twice(i) for i in range(size))",
}


def test_the_stub_scores_nothing_and_the_solution_everything(toy):
    report = load(toy.build / "course" / "one" / "report.json")
    assert {k: report[k] for k in ("stub", "solution", "points")} == {
        "stub": 0, "solution": 3, "points": 3,
    }  # fmt: skip
    assert report["by_hand"] == ["toy-talk"] and report["missed"] == []


def test_students_get_stubs_and_no_word_of_a_solution(toy):
    folder = toy.build / "course" / "one" / "student"
    assert {path.suffix for path in folder.iterdir()} == {".ipynb", ".md", ".whl"}
    text = (folder / "one.ipynb").read_text()
    assert "secret" not in text and "toy/big" not in text and "toy/two" in text
    cells = {one["id"]: one for one in json.loads(text)["cells"]}
    assert cells["twice-code"]["source"] == "def twice(x):\n    ..."
    assert cells["sum-code"]["source"] == "total = ..."
    assert "secret" in (folder.parent / "instructor" / "one.ipynb").read_text()


@pytest.mark.parametrize("chapter", Project().chapters)
def test_no_line_of_a_chapters_solutions_is_in_its_student_edition(chapter, tmp_path):
    assigned = course.prepared(Project(), chapter, None, None)
    student = course.marked(without_solutions(assigned))
    write(tmp_path / f"{chapter}.ipynb", dump(student))
    assert course.leaks(assigned, tmp_path) == []
    # Each solution that is code has a stub in its place, which defines what its tests ask for.
    for one in filter(lambda one: one.code and one.tests, exercises(assigned)):
        stubs = "\n".join(map(one.stub, one.code))
        assert stubs in "\n".join(map(source, student["cells"]))
        assert one.names and all(re.search(rf"\b{name}\b", stubs) for name in one.names)


def test_a_leak_is_found_wherever_it_is(toy, tmp_path):
    content = load(toy.root / "notebooks" / "one.ipynb")
    (tmp_path / "hint.md").write_text("return x + x  # the secret of doubling")
    (found,) = course.leaks(content, tmp_path)
    assert found.startswith("hint.md: return x + x")


SUBMISSIONS = {
    "right": (RIGHT, 3),
    "empty": ({}, 0),
    "half": ({"twice_code": "def twice(x):\n    return 2"}, 1),
    "syntax error": (RIGHT | {"twice_code": "def twice(x:"}, 1),
    "endless loop": (RIGHT | {"twice_code": "while True:\n    pass"}, 1),
    "endless function": (RIGHT | {"twice_code": "def twice(x):\n    while True: pass"}, 1),
    "ends Python": (RIGHT | {"twice_code": "import os\nos._exit(0)"}, 1),
    "asks to exit": (RIGHT | {"twice_code": RIGHT["twice_code"] + "\nraise SystemExit"}, 3),
    "renamed": (RIGHT | {"twice_code": "def double(x):\n    return 2 * x"}, 1),
    "deleted answer": (RIGHT | {"twice_code": None}, 1),
    "deleted question and tests": (RIGHT | {"twice": None, "twice_test": None}, 1),
    "deleted chapter": (RIGHT | {f"cell_{n}": None for n in range(1, 7)}, 3),
    "other claims": ({"twice_code": "class claims:\n    record = print\ntwice = print"}, 0),
    "patched package": (
        {"twice_code": "claims.record = lambda *a, **k: 0\ndef twice(x):\n    return 0"}, 0,
    ),
    "redefined objects": (RIGHT | {"twice_code": "size = 0\nseed = -8\ntwice = lambda x: 2"}, 2),
    "fills the disk": (
        RIGHT | {"twice_code": "open('a', 'wb').truncate(1 << 40)\n" + RIGHT["twice_code"]}, 1,
    ),
    "prints": (RIGHT | {"twice_code": "print('x' * 10**6)\n" + RIGHT["twice_code"]}, 3),
    "magic": (RIGHT | {"twice_code": "%time\n!true\n" + RIGHT["twice_code"]}, 3),
    "two cells": (
        RIGHT | {"twice_code": "def half(x):\n    return x", "twice_test": "twice = lambda x: 2*x"},
        3,
    ),
}  # fmt: skip
if Path("/proc/self/statm").is_file():  # macOS does not bound it
    TAKEN = "import mmap\na = mmap.mmap(-1, 8 << 30)\n" + RIGHT["twice_code"]
    SUBMISSIONS["takes much memory"] = RIGHT | {"twice_code": TAKEN}, 1


@pytest.mark.slow
def test_every_kind_of_submission_is_scored(toy, tmp_path, monkeypatch):
    folder = toy.build / "course" / "one"
    assigned = load(folder / "assignment.json")
    course.write(folder / "assignment.json", course.dump(assigned | {"limit": 2}))
    for name, (changes, _) in SUBMISSIONS.items():
        (tmp_path / f"{name}.ipynb").write_text(student(toy, **changes))
    (tmp_path / "no notebook.ipynb").write_text("{")
    (tmp_path / "late.pdf").write_bytes(b"%PDF\xff")
    (tmp_path / "a list.ipynb").write_text("[1]")
    rows = course.grade(Project(toy.root), "one", tmp_path, tmp_path / "out")
    expected = {f"{name}.ipynb": score for name, (_, score) in SUBMISSIONS.items()}
    expected |= {"no notebook.ipynb": 0, "late.pdf": 0, "a list.ipynb": 0}
    assert {name: score for name, score, points in rows} == expected
    table = (tmp_path / "out" / "scores.csv").read_text().splitlines()
    assert table[0] == "submission,score,points,toy-twice,toy-sum"
    assert "half.ipynb,1,3,1,0" in table
    words = (tmp_path / "out" / "endless loop.ipynb.md").read_text()
    assert "The answer takes more than 2 s." in words and "a hidden test" in words
    patched = (tmp_path / "out" / "patched package.ipynb.md").read_text()
    assert "changes companion.book.claims.record" in patched


@pytest.mark.slow
def test_what_an_answer_starts_ends_with_it(toy, tmp_path):
    """Whether the answer ends by itself or is ended."""
    assigned = load(toy.build / "course" / "one" / "assignment.json") | {"limit": 2}
    started = tmp_path / "started"
    start = "import subprocess\nrun = subprocess.Popen(['sleep', '1000'])\n"
    start += f"print(run.pid, file=open({str(started)!r}, 'a'), flush=True)\n"
    (tmp_path / "assignment.json").write_text(course.dump(assigned))
    for name, rest in {"ends": RIGHT["twice_code"], "stays": "run.wait()"}.items():
        text = student(toy, **RIGHT | {"twice_code": start + rest})
        (tmp_path / f"{name}.ipynb").write_text(text)
    files = [tmp_path / "ends.ipynb", tmp_path / "stays.ipynb"]
    ends, stays = course.run_grader(tmp_path / "assignment.json", files)
    assert ends["toy/two"][0] and "more than 2 s" in stays["toy/two"][1]
    numbers = started.read_text().split()
    assert len(numbers) == 2
    for number in numbers:
        command = ["ps", "-o", "stat=", "-p", number]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        assert said.strip()[:1] in ("", "Z")


def test_answers_are_the_code_between_a_question_and_the_next(toy):
    assigned = load(toy.build / "course" / "one" / "assignment.json")
    found = answers(student(toy, **RIGHT), assigned["exercises"])
    assert found == {
        "toy-twice": RIGHT["twice_code"] + "\n",
        "toy-sum": RIGHT["sum_code"] + "\n",
    }


def test_a_cohort_has_its_own_seed_and_private_tests(toy, tmp_path):
    project, private = Project(toy.root), tmp_path / "hidden"
    private.mkdir()
    (private / "toy-sum.more.py").write_text(TEST.format("toy/more", "abs(total - 0 * seed - 2)"))
    made = course.prepared(project, "one", 7, private)
    ids = [one["id"] for one in made["cells"]]
    assert ids.index("private-toy-sum-more") == ids.index("sum-test") + 1
    (parameters,) = [one for one in made["cells"] if "parameters" in course.tags(one)]
    assert "seed = 7  # of the random numbers" in parameters["source"]
    with pytest.raises(Problem, match=r"there is no exercise 'toy-no', only toy-twice"):
        (private / "toy-no.py").write_text("")
        course.prepared(project, "one", 7, private)


@pytest.mark.slow
def test_a_test_that_holds_for_a_stub_fails_the_assignment(toy, tmp_path, capsys):
    root = tmp_path / "toy"
    course.shutil.copytree(toy.root, root)
    path = root / "notebooks" / "one.ipynb"
    text = path.read_text()
    path.write_text(text.replace("abs(twice(1) - 2)", "0 * bool(twice)"))
    with pytest.raises(Problem, match="A stub scores in toy-twice"):
        course.make(Project(root), "one")
    path.write_text(text.replace("return x + x", "return x + 2 * x"))
    with pytest.raises(Problem, match="The solution misses points: toy/two"):
        course.make(Project(root), "one")
    # All chapters: one that fails is told, and those behind it are made.
    shutil.copy(toy.root / "notebooks" / "one.ipynb", root / "notebooks" / "two.ipynb")
    toc = root / "_toc.yml"
    toc.write_text(toc.read_text() + "  - file: notebooks/two\n")
    assert course.main(["--root", str(root), "make"]) == 2
    said = capsys.readouterr()
    assert "The solution misses points: toy/two" in said.err
    assert "course/two: stub 0, solution 3 of 3 points" in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["grade", "", "."], "'' names 2 chapters: name one"),
        (["grade", "two", "."], "There is no assignment of two: `make course CHAPTER=two` first"),
        (["grade", "one", ".", "--seed", "3"], "`make course CHAPTER=one SEED=3` first"),
        (["grade", "one", "nowhere"], "There is no file in nowhere"),
        (["make", "two"], "Chapter two has no exercise with a test"),
        (["make", "one", "--hidden", "nowhere"], "There is no folder nowhere"),
        (["make", "three"], "There is no chapter 'three'"),
    ],
)
def test_what_cannot_be_made_or_graded_is_said_in_one_sentence(toy, arguments, words, capsys):
    toc = toy.root / "_toc.yml"
    toy.write("two")
    before = toc.read_text()
    toc.write_text(before + "  - file: notebooks/two\n")
    try:
        assert course.main(["--root", str(toy.root), *arguments]) == 2
    finally:
        toc.write_text(before)
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_a_lecturers_path_from_own_data_to_marks(tmp_path, capsys):
    """As the page *Teach with it* tells it: own data in its cell, an assignment, marks."""
    root = tmp_path / "fork"
    (root / "notebooks").mkdir(parents=True)
    for name in ("companion", "requirements"):
        (root / name).symlink_to(HOME / name)
    for name in ("README.md", "LICENSE", "pyproject.toml"):
        shutil.copy(HOME / name, root / name)
    toc = "format: jb-book\nroot: index\nchapters: [{file: notebooks/probabilistic-pca}]\n"
    (root / "_toc.yml").write_text(toc)
    lines = [f"{n % 17},{n % 17 + n * n % 11},{n % 17 / 2 + n * 5 % 13}" for n in range(90)]
    (tmp_path / "my.csv").write_text("length,width,height\n" + "\n".join(lines))
    content = load(HOME / "notebooks" / "probabilistic-pca.ipynb")
    (data,) = [c for c in content["cells"] if "data" in c["metadata"].get("tags", [])]
    data["source"] = f"x, picture = datasets.table({str(tmp_path / 'my.csv')!r})[0], None\n"
    data["source"] += "x = (x - x.mean(0)) / x.std(0)"
    write(root / "notebooks" / "probabilistic-pca.ipynb", dump(content))
    given = ["--root", str(root), "--build", str(tmp_path / "build")]
    assert course.main([*given, "make", "probabilistic-pca", "--seed", "7"]) == 0, (
        capsys.readouterr()
    )
    folder = tmp_path / "build" / "course" / "probabilistic-pca-seed-7"
    points = load(folder / "report.json")["points"]

    right = load(folder / "instructor" / "probabilistic-pca.ipynb")
    (tmp_path / "handed").mkdir()
    answer = "def predicted_gap(parameters, x):\n    return "
    for name, code in {"partly": f"{answer}0.0 * x.sum()", "right": ""}.items():
        handed = copy.deepcopy(right)
        (first,) = [c for c in handed["cells"] if "def predicted_gap" in source(c)]
        first["source"] = code or source(first)
        write(tmp_path / "handed" / f"{name}.ipynb", dump(handed))
    command = ["grade", "probabilistic-pca", str(tmp_path / "handed"), "--seed", "7"]
    assert course.main([*given, *command]) == 0
    with (folder / "graded" / "scores.csv").open() as table:
        scores = {row["submission"]: row for row in csv.DictReader(table)}
    label = "ppca-exercise-gap"
    assert scores["right.ipynb"]["score"] == str(points)
    lost = int(scores["right.ipynb"][label])
    assert scores["partly.ipynb"][label] == "0"
    assert scores["partly.ipynb"]["score"] == str(points - lost)

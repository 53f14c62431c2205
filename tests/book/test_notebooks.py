"""Every chapter in notebooks/: clean sources, one parameters cell, short cells, its own claims."""

import ast
import importlib
import inspect
import io
import json
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from workflow import exercises
from workflow.folds import only_shows

HOME = Path(__file__).resolve().parents[2]
#: What belongs in the package, but for cells of exercises.
LOOPS = (ast.For, ast.While, ast.AsyncFor, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
MACROS = re.compile(r"\\(ELBO|KL|E|H|N|R|T|tr|diag|argmax)(?![A-Za-z])")
#: Columns of a line of code: what a page shows without a break inside a word.
WIDEST = 78
#: Lines of a cell in sight, and of one that is folded on the page.
LONGEST, LONGEST_FOLDED = 15, 26
FOLDED = {"hide-input", "remove-cell", "solution", "test", "hidden-test"}
#: A statement that can be true or false has one of these.
VERBS = frozenset(
    """
    add adds agree agrees are average be beats breaks can carries changes choose closes collapse
    comes converges curves differ differs do does enters equal equals exceed exceeds fail fails
    falls finds follows give gives grows has have holds integrate integrates is keeps lacks lead
    leads learns leave leaves let lie lies lose loses lower make makes meet meets mislead
    misleads misses must need needs obey obeys opens pass passes predict predicts raise raises
    reach reaches reads refute remain remains reports rise satisfies satisfy says sees shows
    stands stays stops tends turn turns uses vanish vanishes varies was were
    """.split()
)


def faults(notebook):
    """One sentence for each way in which a chapter departs from the conventions."""
    found, names = [], []
    cells = notebook["cells"]
    if (notebook["nbformat"], notebook["nbformat_minor"]) < (4, 5):
        found.append("the format is older than 4.5, which has cell ids")
    if notebook["metadata"].get("kernelspec", {}).get("name") != "python3":
        found.append("the kernel is not python3")
    ids = [cell.get("id") for cell in cells]
    if None in ids or len(set(ids)) != len(ids):
        found.append("cell ids are missing or not unique")
    tagged = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
    if len(tagged) != 1:
        found.append(f"{len(tagged)} cells are tagged parameters")
    elif not re.search(r'^tier = "book"', "".join(tagged[0]["source"]), re.MULTILINE):
        found.append('the parameters cell does not set tier = "book"')
    else:
        lines = "".join(tagged[0]["source"]).splitlines()
        found += [f"parameter without a comment: {line}" for line in lines if "#" not in line]
    if not "".join(cells[0]["source"]).startswith("# "):
        found.append("the first cell is not a title")
    for number, cell in enumerate(cells, 1):
        text = "".join(cell["source"])
        if "further" in cell["metadata"].get("tags", []) and not text.startswith("## "):
            found.append(f"cell {number} is tagged further, and begins with no heading ##")
        if cell["cell_type"] == "markdown":
            if macro := MACROS.search(text):
                found.append(
                    f"cell {number} uses {macro.group()}, which Jupyter and Colab don't know"
                )
            continue
        if cell["outputs"] or cell["execution_count"] is not None:
            found.append(f"cell {number} has outputs or an execution count")
        lines = [line for line in text.splitlines() if line.strip()]
        folded = FOLDED & set(cell["metadata"].get("tags", [])) or only_shows(cell)
        if len(lines) > (longest := LONGEST_FOLDED if folded else LONGEST):
            found.append(f"cell {number} has {len(lines)} lines: at most {longest}")
        if wide := [line for line in lines if len(line) > WIDEST]:
            found.append(f"cell {number} has {len(wide[0])} columns, at most {WIDEST}: {wide[0]}")
        if not folded and (rows := list(ragged(text))):
            found.append(f"cell {number} breaks a line without aligning the next: {rows[0]}")
        tree = ast.parse(re.sub(r"^[%!].*$", "pass", text, flags=re.MULTILINE))
        exercise = {"solution", "test", "hidden-test"} & set(cell["metadata"].get("tags", []))
        for node in ast.walk(tree) if not exercise else ():
            if isinstance(node, LOOPS):
                kind = type(node).__name__
                found.append(f"cell {number} has a {kind}: it belongs in the package")
        names += [name for name in recorded(tree, number, found) if name]
    if len(names) < 4:
        found.append(f"{len(names)} claims: a chapter makes at least four")
    if repeated := {name for name in names if names.count(name) > 1}:
        found.append(f"claims made twice: {', '.join(sorted(repeated))}")
    return found + exercises.faults(notebook)


def ragged(source):
    """Lines in a bracket that are not aligned with what stands behind it, where something does."""
    open_at, row, lines = [], 0, source.splitlines()
    skipped = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in skipped:
            continue
        closes = token.type == tokenize.OP and token.string in ")]}"
        if open_at and not closes:
            first_row, column = open_at[-1]
            if column is None and token.start[0] == first_row:
                open_at[-1] = (first_row, token.start[1])
            elif column is not None and token.start[0] > row and token.start[1] != column:
                yield lines[token.start[0] - 1].strip()
        row = token.start[0]
        if closes:
            open_at.pop()
        elif token.type == tokenize.OP and token.string in "([{":
            open_at.append((row, None))


def recorded(tree, number, found):
    """Ids of the claims a cell records; claims without source or with computed ids are faults."""
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) else None
        if not (isinstance(called, ast.Attribute) and called.attr == "record"):
            continue
        given = {word.arg: word.value for word in node.keywords}
        first = node.args[0] if node.args else given.get("id")
        source = given.get("source")
        if not isinstance(source, ast.Constant) or not str(source.value).strip():
            found.append(f"cell {number} records a claim without its source")
        said = node.args[1] if len(node.args) > 1 else given.get("statement")
        if not (isinstance(said, ast.Constant) and is_sentence(str(said.value))):
            found.append(f"cell {number} states nothing that is true or false: write a sentence")
        if isinstance(first, ast.Constant):
            yield first.value
        else:
            found.append(f"cell {number} computes the id of a claim: write it out")


def is_sentence(text):
    """Whether a text has a verb outside its formulas, and a full stop."""
    words = re.sub(r"\$[^$]*\$|`[^`]*`|\|[^|]*\|", " ", text).lower()
    return text.rstrip().endswith(".") and not VERBS.isdisjoint(re.findall("[a-z]+", words))


CHAPTERS = sorted((HOME / "notebooks").glob("*.ipynb"))
TEMPLATE = HOME / "workflow" / "my-topic.ipynb"


def first_code(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return "".join(next(cell for cell in cells if cell["cell_type"] == "code")["source"])


def test_chapters_open_with_one_cell_that_looks_for_the_package():
    assert len({first_code(path) for path in (*CHAPTERS, TEMPLATE)}) == 1


@pytest.mark.parametrize("foreign", [False, True], ids=["absent", "another companion"])
def test_a_chapter_without_its_package_says_in_one_sentence_what_to_do(tmp_path, foreign):
    if foreign:
        (tmp_path / "companion").mkdir()
        (tmp_path / "companion" / "__init__.py").write_text("")
    command = [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, '.')\n"]
    command[-1] += first_code(CHAPTERS[0])
    ended = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False)
    last = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 1 and "This chapter needs its package: take" in last


#: What Colab's own server says of the notebook that is open, as its users report.
ON_COLAB = """
import json, subprocess, sys, types, urllib.request
from io import BytesIO

def answer(address, timeout):
    assert address.startswith("http://") and address.endswith(":9000/api/sessions")
    if {reached}:
        return BytesIO(json.dumps([{{"path": "fileId={opened}"}}]).encode())
    raise urllib.request.URLError("refused")

def install(command):
    print("RAN", *command[1:])
    return types.SimpleNamespace(returncode={ended})

urllib.request.urlopen, subprocess.run = answer, install
sys.modules["google.colab"] = types.ModuleType("google.colab")
"""


@pytest.mark.parametrize(
    ("opened", "reached", "ended", "installs"),
    [
        ("https%3A//github.com/a-b/c.d/blob/main/notebooks/theorem-1.ipynb", True, 0, True),
        ("https%3A%2F%2Fgithub.com%2Fa-b%2Fc.d%2Fblob%2Fmain%2Fx.ipynb", True, 0, True),
        ("https%3A//github.com/a-b/c.d/blob/main/notebooks/theorem-1.ipynb", True, 1, False),
        ("1x2y3z", True, 0, False),
        ("https%3A//github.com/a-b/c.d/blob/main/x.ipynb", False, 0, False),
    ],
    ids=["as it is", "quoted", "pip fails", "of a drive", "no answer"],
)
def test_on_colab_a_chapter_installs_its_package_from_where_it_was_opened(
    tmp_path, opened, reached, ended, installs
):
    given = ON_COLAB.format(opened=opened, reached=reached, ended=ended)
    command = [sys.executable, "-I", "-S", "-c", given + first_code(CHAPTERS[0])]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False)
    tried = reached and "github" in opened
    wanted = "RAN -m pip install -q --no-deps git+https://github.com/a-b/c.d\n" if tried else ""
    assert done.stdout == wanted
    assert (done.returncode == 0) == installs, done.stderr
    assert installs or "This chapter needs its package: take" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_keeps_the_conventions(path):
    assert faults(json.loads(path.read_text("utf-8"))) == []


def test_every_chapter_is_in_the_table_of_contents_and_the_other_way_round():
    from workflow.project import Project

    assert sorted(Project().chapters) == [path.stem for path in CHAPTERS]


def test_claims_of_different_chapters_have_different_names():
    owners = {}
    for path in CHAPTERS:
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                source = re.sub(r"^[%!].*$", "pass", "".join(cell["source"]), flags=re.MULTILINE)
                for name in recorded(ast.parse(source), 0, []):
                    assert owners.setdefault(name, path.stem) == path.stem


def good():
    record = 'claims.record("toy/{}", "It is.", 1, at_most=2, source="this companion")'
    sources = ['tier = "book"  # size', *(record.format(letter) for letter in "abcd")]
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{n}",
            "metadata": {"tags": ["parameters"]} if n == 0 else {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for n, source in enumerate(sources)
    ]
    title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# Title"}
    return {
        "cells": [title, *cells],
        "metadata": {"kernelspec": {"name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


@pytest.mark.parametrize("lines", ["f(1,\n  2)", "f(\n    1, [2,\n        3])", "f(a, [\n    1])"])
def test_lines_are_broken_behind_a_bracket_or_aligned(lines):
    assert list(ragged(lines)) == []


def test_a_good_chapter_has_no_faults():
    assert faults(good()) == []


@pytest.mark.parametrize(
    ("cell", "change", "sentence"),
    [
        (2, {"outputs": [{"output_type": "stream"}]}, "outputs"),
        (2, {"execution_count": 3}, "execution count"),
        (2, {"id": "title"}, "cell ids"),
        (2, {"metadata": {"tags": ["parameters"]}}, "2 cells are tagged"),
        (1, {"source": "tier = 'book'"}, "does not set tier"),
        (1, {"source": 'tier = "book"  # size\nseed = 1'}, "without a comment: seed = 1"),
        (2, {"source": "for i in range(3): pass"}, "a For"),
        (2, {"source": "def f(): pass"}, "a FunctionDef"),
        (2, {"source": "\n".join(["x = 1"] * 16)}, "16 lines"),
        (2, {"source": "x = " + " + ".join("1" * 20)}, "81 columns, at most 78: x = 1"),
        (2, {"source": "f(1,\n    2)"}, "without aligning the next: 2)"),
        (2, {"source": "1 + 1"}, "3 claims"),
        (2, {"source": 'claims.record("toy/b", "It is.", 1, source="x")'}, "made twice: toy/b"),
        (2, {"source": 'claims.record("toy/a", "It is.", 1)'}, "without its source"),
        (2, {"source": 'claims.record("toy/a", "Norm of it.", 1, source="x")'}, "states nothing"),
        (2, {"source": 'claims.record("toy/a", "$x is 1$", 1, source="x")'}, "states nothing"),
        (2, {"source": 'claims.record(name, "It is.", 1, source="x")'}, "computes the id"),
        (0, {"source": "# Title\n\n$\\ELBO = 1$"}, "\\ELBO"),
        (0, {"source": "No title"}, "not a title"),
        (0, {"metadata": {"tags": ["further"]}}, "begins with no heading ##"),
        (2, {"metadata": {"tags": ["test"]}}, "before the first exercise"),
    ],
)
def test_each_planted_fault_is_found(cell, change, sentence):
    notebook = good()
    notebook["cells"][cell] |= change
    assert any(sentence in fault for fault in faults(notebook))


def printed_sources():
    """The functions and classes whose source a chapter prints, as ``chapter: name``."""
    for path in CHAPTERS:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
        known = {}
        for node in ast.walk(ast.parse("\n".join(c for c in code if "%" not in c))):
            if isinstance(node, ast.ImportFrom):
                known |= {a.asname or a.name: (node.module, a.name) for a in node.names}
        for expression in re.findall(r"getsource\(([\w.]+)\)", "\n".join(code)):
            first, *rest = expression.split(".")
            module, name = known[first]
            found = vars(importlib.import_module(module)).get(name)
            found = found or importlib.import_module(f"{module}.{name}")
            for each in rest:
                found = getattr(found, each)
            yield pytest.param(inspect.getsource(found), id=f"{path.stem}: {expression}")


@pytest.mark.parametrize("source", [*printed_sources()])
def test_source_that_a_chapter_prints_is_no_wider_than_its_code(source):
    assert [line for line in source.splitlines() if len(line) > WIDEST] == []

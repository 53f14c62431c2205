"""Exercises as cells of a chapter: a question, its solution, and tests that are claims.

An exercise is a run of cells below the heading `## Exercises`: a question in Markdown, in one
`{exercise}` with a label; the solution, in Markdown and in code that the book executes, tagged
`solution`; and tests, tagged `test` or (where reading them gives the answer away) `hidden-test`. A
test records one claim, from the names that the question asks the reader to define.
"""

import ast
import re
from dataclasses import dataclass, field
from typing import Any

Cell = dict[str, Any]
QUESTION = re.compile(
    r"^(?P<fence>[`:]{3,})\{exercise\}(?P<title>[^\n]*)\n(?P<body>.*?)^(?P=fence)[ \t]*$",
    re.M | re.S,
)
LABEL = re.compile(r"^:label:[ \t]*(\S+)", re.M)
UNCHECKED = "This exercise has no numeric check."
TESTS = ("test", "hidden-test")


@dataclass
class Exercise:
    """One exercise: the cells of its question, solution and tests, in the chapter's order."""

    label: str
    title: str
    question: Cell
    words: list[Cell] = field(default_factory=list)
    code: list[Cell] = field(default_factory=list)
    tests: list[Cell] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """What the reader defines: names that the solution assigns and a test uses, in order."""
        used = set().union(*(_loaded(cell) for cell in self.tests))
        assigned = [name for cell in self.code for name in _assigned(cell)]
        return [name for name in dict.fromkeys(assigned) if name in used]

    def stub(self, cell: Cell) -> str:
        """What stands in the place of a solution's cell for the reader to fill in."""
        kept = [part for node in _tree(cell).body for part in _stub(node, source(cell), self.names)]
        return "\n".join(kept) or "..."


def source(cell: Cell) -> str:
    return "".join(cell.get("source", ""))


def tags(cell: Cell) -> list[str]:
    found: list[str] = cell.get("metadata", {}).get("tags", [])
    return found


def is_test(cell: Cell) -> bool:
    return any(tag in TESTS for tag in tags(cell))


def exercises(notebook: Cell) -> list[Exercise]:
    """The exercises in cells."""
    found: list[Exercise] = []
    for cell in notebook["cells"]:
        if asked := _asked(cell):
            found += asked
        elif found and "solution" in tags(cell):
            (found[-1].code if cell["cell_type"] == "code" else found[-1].words).append(cell)
        elif found and is_test(cell):
            found[-1].tests.append(cell)
    return found


def _asked(cell: Cell) -> list[Exercise]:
    if cell["cell_type"] != "markdown" or "solution" in tags(cell):
        return []
    matches = QUESTION.finditer(source(cell))
    labels = [(match, LABEL.search(match["body"])) for match in matches]
    return [Exercise(label[1] if label else "", m["title"].strip(), cell) for m, label in labels]


def faults(notebook: Cell) -> list[str]:
    """One sentence for each way in which exercises depart from their form."""
    found, cells = [], notebook["cells"]
    made = exercises(notebook)
    owned = [cell for e in made for cell in (*e.words, *e.code, *e.tests)]
    marked = [cell for cell in cells if "solution" in tags(cell) or is_test(cell)]
    if len(marked) > len(owned):
        found.append("a cell tagged solution or test stands before the first exercise")
    for one in made:
        found += [f"exercise {one.label or one.title!r} {fault}" for fault in _faults(one)]
        last = max(cells.index(cell) for cell in (one.question, *one.words, *one.code, *one.tests))
        first = cells.index(one.question)
        between = cells[first + 1 : last + 1]
        if [c for c in between if c not in one.words and c not in one.code and c not in one.tests]:
            found.append(f"exercise {one.label} is broken by a cell that has none of its tags")
    tables = [
        n for n, cell in enumerate(cells) if re.search(r"^claims\.table\(", source(cell), re.M)
    ]
    if marked and tables and tables[-1] < cells.index(marked[-1]):
        found.append("the table of the chapter's claims stands before exercises: it comes after")
    return found


def _faults(one: Exercise) -> list[str]:
    found = []
    if not one.label:
        found.append("has no label")
    if len(QUESTION.findall(source(one.question))) > 1:
        found.append("shares its cell with another: one exercise a cell")
    if not one.words and not one.code:
        found.append("has no solution")
    if any(re.search(r"^#+ |^[`:]{3,}\{solution", source(cell), re.M) for cell in one.words):
        found.append("has a heading or a directive of a solution in its solution")
    if any(cell["cell_type"] != "code" for cell in one.tests):
        found.append("has a test that is no code")
    if not one.tests:
        if one.code:
            found.append("has code in its solution, and no test")
        if UNCHECKED not in " ".join(source(one.question).split()):
            found.append(f"has no test, and its question does not say: {UNCHECKED}")
        return found
    if not one.code:
        found.append("has tests, and no code in its solution")
    for cell in one.tests:
        calls = [n for n in ast.walk(_tree(cell)) if isinstance(n, ast.Call) and _records(n)]
        if len(calls) != 1:
            found.append(f"has a test with {len(calls)} claims: one claim each")
        if one.code and not _loaded(cell) & set(one.names):
            found.append("has a test that uses no name of its solution")
    words = " ".join(re.findall(r"`([^`\n]+)`", source(one.question)))
    for name in one.names:
        if not re.search(rf"\b{re.escape(name)}\b", words):
            found.append(f"does not say in its question that `{name}` is to be defined")
    return found


def _records(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "record"


def without_solutions(notebook: Cell, hidden: bool = False) -> Cell:
    """The notebook as students get it: stubs for solutions, tests that go on when they fail.

    Hidden tests are left out, or kept if ``hidden``. Cells are copied where they change.
    """
    owner = {id(cell): one for one in exercises(notebook) for cell in one.code}
    cells = []
    for cell in notebook["cells"]:
        found = tags(cell)
        if cell["cell_type"] == "markdown":
            if "solution" in found:
                continue
        elif "hidden-test" in found and not hidden:
            continue
        elif is_test(cell):  # with this tag, "Run all" goes on where it fails
            cell = {**cell, "metadata": {**cell["metadata"], "tags": [*found, "raises-exception"]}}
        elif "solution" in found:
            text = owner[id(cell)].stub(cell) if id(cell) in owner else "..."
            rest = [tag for tag in found if tag != "solution"]
            cell = {**cell, "source": text, "metadata": {**cell["metadata"], "tags": rest}}
        cells.append(cell)
    return {**notebook, "cells": cells}


def folded(cells: list[Cell], labels: list[str]) -> list[Cell]:
    """Cells of a page with each solution and its tests between the marks of a folded box.

    ``labels`` are those of the exercises in cells; the code of tests is folded once more.
    """
    made: list[Cell] = []
    label, inside = "", False
    for cell in cells:
        part = "solution" in tags(cell) or is_test(cell) or (inside and _continues(cell))
        asked = [one.label for one in _asked(cell) if one.label in labels]
        if inside and not part:
            made.append(_mark(f"{label}-end", "```{solution-end}\n```"))
        elif part and not inside and label:
            made.append(
                _mark(f"{label}-start", f"```{{solution-start}} {label}\n:class: dropdown\n```")
            )
        inside = part and bool(label)
        label = asked[-1] if asked else label
        if is_test(cell) and "hide-input" not in tags(cell):
            cell["metadata"]["tags"].append("hide-input")
        made.append(cell)
    if inside:
        made.append(_mark(f"{label}-end", "```{solution-end}\n```"))
    return made


def _continues(cell: Cell) -> bool:
    """Whether a cell holds a figure of the one before, which staging has split."""
    return tags(cell) == ["remove-input"]


def _mark(id: str, text: str) -> Cell:
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": text}


def _tree(cell: Cell) -> ast.Module:
    try:
        return ast.parse(re.sub(r"^[%!].*$", "pass", source(cell), flags=re.MULTILINE))
    except SyntaxError:
        return ast.Module([], [])


def _loaded(cell: Cell) -> set[str]:
    nodes = [node for node in ast.walk(_tree(cell)) if isinstance(node, ast.Name)]
    return {n.id for n in nodes if isinstance(n.ctx, ast.Load)}


def _assigned(cell: Cell) -> list[str]:
    found = []
    for node in _tree(cell).body:
        found += _targets(node)
    return found


def _targets(node: ast.stmt) -> list[str]:
    """Names that a statement at the top of a cell defines; what it imports is given, not asked."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return []
    names = [n for target in targets if target for n in ast.walk(target) if isinstance(n, ast.Name)]
    return [n.id for n in names if isinstance(n.ctx, ast.Store)]


def _stub(node: ast.stmt, text: str, names: list[str]) -> list[str]:
    """A statement of the solution as its stub: imports stay, the rest loses what it computes."""
    lines = text.splitlines()
    if isinstance(node, ast.Import | ast.ImportFrom):
        return ["\n".join(lines[node.lineno - 1 : node.end_lineno])]
    wanted = [name for name in _targets(node) if name in names]
    if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [f"{name} = ..." for name in wanted]
    if not wanted:
        return []
    first = node.body[0]
    start = min([node.lineno, *(one.lineno for one in node.decorator_list)]) - 1
    if first.lineno == node.lineno:  # def f(x): return x
        return [lines[start][: first.col_offset].rstrip() + " ..."]
    end = first.end_lineno if ast.get_docstring(node) else first.lineno - 1
    return ["\n".join([*lines[start:end], " " * first.col_offset + "..."])]

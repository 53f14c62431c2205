"""One dialect in all chapters: symbols, names, forms, and what a page shows of its code."""

import ast
import json
import re
from pathlib import Path

import pytest

from workflow.folds import only_shows

HOME = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((HOME / "notebooks").glob("*.ipynb"))
MATHEMATICS = re.compile(r"\$\$.*?\$\$|(?<!\\)\$(?!\$)(?:[^$\\]|\\.)+?\$", re.DOTALL)

#: What must not stand in formulas, and what stands there instead; `book/notation.md` lists these.
FORMULAS = {
    r"\\top(?![A-Za-z])": r"the transpose is ^{\mathsf T}",
    r"(?<![A-Za-z\\])q_(?:n(?![A-Za-z])|\{n\})": "variational distributions are q^{(n)}",
    r"(?<![A-Za-z\\])x_(?:n(?![A-Za-z])|\{n[a-z]?\})": "data points are x^{(n)}",
    r"(?<![A-Za-z\\{_^])(?<!mathcal )(?<!mathcal\{)F\s*(?:[-=><]|_[tTK]\b)": (
        r"the ELBO is \mathcal F"
    ),
    r"\\mathcal\{?\s?F\}? [-=] S(?![A-Za-z])": r"the entropy sum is \mathcal S",
    r"(?:\\tilde|\\hat)\s*\{?\\mathcal": r"pseudo forms have a \widetilde",
}
#: The same for prose.
PROSE = {
    r"\[chapter \d": 'chapters are "Chapter 7" where they carry a number',
    r"\*\*Proof\.?\*\*": "proofs stand in ```{prf:proof}",
    r"(?m)\A# [^\n]*\n+> ": "a lead is one bold paragraph",
    r"(?i)\b(?:standardiz|normaliz|optimiz|initializ|summariz|minimiz|maximiz)(?:e|es|ed|ing|ation)\b"
    r"|\bbehavior|\bneighbor": "spelling is British",
    r"\b(?:lines?|rows?) below\b": "prose does not count lines of an output",
}


def texts(cell):
    """The texts a reader sees of a cell: prose, or the words in its code."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [re.sub(r"```python.*?```|`[^`\n]+`", "", source, flags=re.DOTALL)]
    tree = ast.parse(re.sub(r"^[%!].*$", "pass", source, flags=re.MULTILINE))
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def records_in_sight(cell):
    """Whether readers would see the code that records claims or describes a figure."""
    folded = {"hide-input", "test", "hidden-test"} & set(cell["metadata"].get("tags", []))
    if cell["cell_type"] != "code" or folded:
        return False
    source = "".join(cell["source"])
    return bool(re.search(r"\bclaims\.(record|note|say|table)\(|\balt=", source)) and not (
        only_shows(cell)
    )


def faults(notebook):
    """One sentence for each departure from the dialect, with the number of its cell."""
    found = []
    for number, cell in enumerate(notebook["cells"], 1):
        if records_in_sight(cell):
            found.append(f"claims and figures' words stand in cells of their own (cell {number})")
        for text in texts(cell):
            formulas = MATHEMATICS.findall(text)
            for pattern, sentence in FORMULAS.items():
                if any(re.search(pattern, formula) for formula in formulas):
                    found.append(f"{sentence} (cell {number})")
            if cell["cell_type"] == "markdown":
                for pattern, sentence in PROSE.items():
                    if re.search(pattern, text):
                        found.append(f"{sentence} (cell {number})")
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_speaks_the_dialect(path):
    assert faults(json.loads(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        ("markdown", r"$\eta^\top T$", "transpose"),
        ("markdown", r"$\mathcal H[q_n]$", "variational distributions"),
        ("markdown", "$$\n\\sum_n x_n\n$$", "data points"),
        ("markdown", r"$r = x_{nd}$", "data points"),
        ("markdown", r"$F - \mathcal S$", "the ELBO is"),
        ("markdown", r"$|F_t - \mathcal S|$", "the ELBO is"),
        ("markdown", r"$\mathcal F - S$", "the entropy sum is"),
        ("markdown", r"$\tilde{\mathcal S}$", "widetilde"),
        ("markdown", "see [chapter 3](theorem-1.ipynb)", "Chapter 7"),
        ("markdown", "**Proof.** Clear.", "prf:proof"),
        ("markdown", "# Title\n\n> A lead.\n", "bold paragraph"),
        ("markdown", "We normalize.", "British"),
        ("markdown", "Two lines below stands a gap.", "count lines"),
        ("code", 'claims.record("a/b", "The gap $F - S$.", 1)', "the ELBO is"),
        ("code", 'gap = 1\nclaims.note("a/b", gap + f(2))\nx = f(3)', "cells of their own"),
        ("code", 'x = f(1)\nshow(figure(x), alt="A line.")', "cells of their own"),
    ],
)
def test_each_planted_fault_is_found(kind, text, sentence):
    (fault,) = faults({"cells": [{"cell_type": kind, "source": text, "metadata": {}}]})
    assert sentence in fault and fault.endswith("(cell 1)")


@pytest.mark.parametrize(
    "text",
    [
        r"$\mathcal F - \mathcal S$ and $\mathcal{F} = 1$, $\mathcal F_t - \widetilde{\mathcal S}$",
        r"$W^{\mathsf T} x^{(n)}$, $q^{(n)}$, $\sum_n x$",
        "`normalize(x_n)` and ```python\nF - S\n```",
        "**A lead.** the parameterization criterion",
    ],
)
def test_the_dialect_itself_is_no_fault(text):
    assert faults({"cells": [{"cell_type": "markdown", "source": text, "metadata": {}}]}) == []


def test_the_notation_page_lists_the_dialect():
    page = (HOME / "book" / "notation.md").read_text("utf-8")
    for word in (r"\mathcal S", r"\widetilde", "x^{(n)}", "q_\\Phi^{(n)}", r"\mathsf T", "$g(x)$"):
        assert word in page, word

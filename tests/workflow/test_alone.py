"""A chapter rendered alone: links and labels of other pages hold, solutions and sections fold."""

import json
import shutil

import pytest
from bs4 import BeautifulSoup

from tests.workflow.conftest import HOME, cell, make_toy, notebook
from workflow.alone import outline, render
from workflow.progress import Problem
from workflow.project import Project

QUESTION = "```{exercise} Twice\n:label: toy-twice\n\nCall it `six`.\n```"
EXTRA = [
    ("# See\n\n{prf:ref}`two-lemma`, [](two.ipynb) and {cite:t}`luecke-warnken`.", []),
    ("## Going further\n\nFor the few.\n\n### Deeper\n\nWell.", ["further"]),
    ("## Exercises", []),
    (QUESTION, []),
    ("Text: three times two.", ["solution"]),
    ("six = 6", ["solution"]),
    ('claims.record("one/six", "Six.", six - 6, at_most=0, source="exercise")', ["test"]),
    ("## The claims", []),
]


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A toy book with two chapters, of which the first is taken for executed."""
    monkeypatch.setenv("PYTHONPATH", str(HOME))  # a toy has no workflow of its own
    toy = make_toy(tmp_path / "toy")
    for name in ("_config.yml", "book/assets", "book/references.bib", "book/bibliography.md"):
        copy = shutil.copytree if (HOME / name).is_dir() else shutil.copy
        (toy.root / "book").mkdir(exist_ok=True)
        copy(HOME / name, toy.root / name)
    (toy.root / "book" / "index.md").write_text("# Toy\n")
    toc = (toy.root / "_toc.yml").read_text()
    (toy.root / "_toc.yml").write_text(toc + "  - file: bibliography\n")
    lemma = "Text\n\n```{prf:lemma} L\n:label: two-lemma\n\nIt holds.\n```"
    toy.write("two", [lemma])
    made = notebook("one")
    made["cells"] = made["cells"][:1]
    made["cells"] += [cell(text, n, tags) for n, (text, tags) in enumerate(EXTRA, 20)]
    for one in made["cells"]:
        if one["source"].startswith("```"):
            one["cell_type"] = "markdown"
            del one["outputs"], one["execution_count"]
    toy.executed("one").parent.mkdir(parents=True)
    toy.executed("one").write_text(json.dumps(made))
    return Project(toy.root)


@pytest.mark.slow
def test_a_chapter_is_rendered_with_what_it_names_of_others(book):
    (path,) = render(book, ["one"])
    page = BeautifulSoup(path.read_text("utf-8"), "html.parser")
    (solution,) = page.select("div.solution.dropdown")
    assert "three times two" in solution.text and "six = 6" in solution.text
    (box,) = page.select("section#going-further > details.companion-further")
    assert "For the few." in box.text and "Well." in box.text
    assert [h.text[:7] for h in page.select("h2")][1:] == ["Going f", "Exercis", "The cla"]
    assert not box.select("h2") and not page.select("details.companion-further details")
    (link,) = page.select("a[href='two.html#two-lemma']")
    assert "Lemma 1" in link.text
    elsewhere = (path.parent / "two.html").read_text("utf-8")
    assert "It holds." not in elsewhere and "This page stands here without its text" in elsewhere
    (work,) = page.select("a[href^='../bibliography.html#id']")
    works = (path.parents[1] / "bibliography.html").read_text("utf-8")
    assert f'id="{work["href"].partition("#")[2]}"' in works


@pytest.mark.slow
def test_a_label_that_no_page_has_is_named(book):
    text = book.executed("one").read_text().replace("two-lemma", "two-theorem")
    book.executed("one").write_text(text)
    with pytest.raises(Problem, match="two-theorem"):
        render(book, ["one"])


def test_outlines_have_no_comments_of_code_for_headings():
    text = "# Page\n\n```python\n# no heading\n```\n\n(target)=\n## Part\n\nWords."
    assert outline(text, "page").splitlines()[::2][:1] == ["# Page"]
    assert "(target)=\n\n## Part" in outline(text, "page") and "no heading" not in outline(text, "")
    assert outline("", "ledger") == "# ledger"


def test_the_reference_of_one_chapter_is_renewed_alone(made):
    made.write("one", ["claims.record('one/new', 'New.', 0, at_most=1, source='this companion')"])
    before = json.loads((made.root / "reference" / "claims.json").read_text())["claims"]
    status, output = made.run("--chapters", "one", "--reference")
    assert status == 0 and "✓ one/new in one, cell 8" in output, output
    after = json.loads((made.root / "reference" / "claims.json").read_text())["claims"]
    assert [c for c in after if c["id"] != "one/new"] == before and len(after) == len(before) + 1

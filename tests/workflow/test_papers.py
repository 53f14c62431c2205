"""Papers line by line: every chapter, claim and paper that the data file names exists."""

import re

import pytest

from workflow import papers
from workflow.claims import reference_of
from workflow.project import Project

PROJECT = Project()
PAPERS = papers.load(PROJECT)
ROWS = [(paper["paper"], row) for paper in PAPERS for row in paper["rows"]]
OWNERS = {claim["id"]: claim["chapter"] for claim in reference_of(PROJECT)}


def faults(row, chapters, owners):
    """One sentence for each thing wrong with a row."""
    found = []
    if unknown := row.keys() - {"item", "chapter", "claims", "verdict", "note"}:
        found.append(f"unknown words {sorted(unknown)}")
    if row["verdict"] not in papers.VERDICTS:
        found.append(f"no verdict: {row['verdict']}")
    if row["verdict"] == "not covered":
        if {"chapter", "claims"} & row.keys() or not row.get("note"):
            found.append("not covered: say why, and name no chapter")
        return found
    if row["chapter"] not in chapters:
        found.append(f"there is no chapter {row['chapter']}")
    if not row["claims"]:
        found.append("no claim")
    for claim in row["claims"]:
        if owners.get(claim) != row["chapter"]:
            found.append(f"{claim} is no claim of {row['chapter']}")
    if row["verdict"] != "agrees" and not row.get("note"):
        found.append("say what the condition or the difference is")
    return found


@pytest.mark.parametrize(("paper", "row"), ROWS, ids=lambda value: str(value)[:60])
def test_a_row_names_what_exists(paper, row):
    assert faults(row, PROJECT.chapters, OWNERS) == []


def good():
    claims = ["theorem-1/each-line"]
    return {"item": "A.", "chapter": "theorem-1", "claims": claims, "verdict": "agrees"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"chapter": "theorem-9"}, "no chapter"),
        ({"claims": []}, "no claim"),
        ({"claims": ["theorem-1/nothing"]}, "no claim of"),
        ({"claims": ["ppca/beta"]}, "no claim of"),
        ({"verdict": "maybe"}, "no verdict"),
        ({"verdict": "differs"}, "what the condition"),
        ({"verdict": "not covered", "note": "why"}, "name no chapter"),
        ({"extra": 1}, "unknown words"),
    ],
)
def test_each_planted_fault_is_found(change, sentence):
    assert faults(good(), PROJECT.chapters, OWNERS) == []
    assert any(sentence in fault for fault in faults(good() | change, PROJECT.chapters, OWNERS))


def test_papers_are_in_the_bibliography_and_the_page_in_the_table_of_contents():
    bibliography = (PROJECT.root / "book" / "references.bib").read_text("utf-8")
    assert [p["paper"] for p in PAPERS if f"{{{p['paper']}," not in bibliography] == []
    assert "- file: papers" in (PROJECT.root / "_toc.yml").read_text("utf-8")


def test_no_number_is_given_that_was_not_seen():
    text = (PROJECT.root / papers.FILE).read_text("utf-8")
    seen = {"Theorem 1", "Theorem 2", "Figure 1", "Figure 9", "Figure 10"}
    pattern = (
        r"(?:Theorem|Figure|Equation|Eq\.|Definition|Proposition|Lemma|Table|Section) \(?\w?\d+"
    )
    assert set(re.findall(pattern, text)) <= seen


def test_the_page_has_every_row_and_its_links():
    text = papers.pages(PROJECT)["papers.md"]
    assert text.count("<tr><td>") == len(ROWS)
    number = PROJECT.numbers["theorem-1"]
    assert f'<a href="notebooks/theorem-1.html">Chapter {number}</a>' in text
    assert 'href="notebooks/theorem-1.html#claim-theorem-1-each-line"' in text
    assert f"**{len(ROWS)} rows**: " in text and " agree, " in text and " 1 differs" in text


def test_a_book_without_the_file_has_no_page(tmp_path):
    assert papers.pages(Project(tmp_path)) == {}

"""The mutants can still be planted, and the script can tell a survivor. Running them all: `run`."""

from __future__ import annotations

import ast
import json

import pytest

from tests.mutation import chapters, run
from tests.mutation.mutants import MUTANTS, Mutant


@pytest.mark.slow
def test_the_text_of_every_mutant_is_still_there_and_changes_the_code():
    for mutant in (*MUTANTS, *chapters.NOTICES):
        source = (run.ROOT / "companion" / mutant.file).read_text(encoding="utf-8")
        changed = run.mutated(mutant, source)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source)), mutant.name
    assert all((run.ROOT / mutant.tests).is_file() for mutant in MUTANTS)


def test_every_chapter_must_notice_something():
    listed = {chapter for each in chapters.NOTICES.values() for chapter in each}
    assert listed == {path.stem for path in (run.ROOT / "notebooks").glob("*.ipynb")}


@pytest.mark.slow
def test_a_claim_and_nothing_else_notices(tmp_path):
    """A chapter that raises has not noticed; a claim that fails has."""
    cell = "claims.record('a/b', 'A.', {}, at_most=1, source='x')"
    for name, sources in {
        "quiet": [cell.format(0.5)],
        "raises": [cell.format(0.5), "1 / 0"],
        "fails": ["1 / 0", cell.format(2)],
    }.items():
        texts = ["from companion.book import claims", *sources]
        cells = [{"cell_type": "code", "metadata": {}, "source": [text]} for text in texts]
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    found = {
        name: chapters.executed(run.ROOT, name, tmp_path) for name in ("quiet", "raises", "fails")
    }
    assert [list(each.failing) for each in found.values()] == [[], [], ["a/b"]]
    assert [len(each.errors) for each in found.values()] == [0, 1, 1]


def test_names_are_unique_and_there_are_enough():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30


def test_text_that_has_gone_is_an_error():
    gone = Mutant(
        "gone", "support/tree.py", "no such text", "", "tests/theory/test_verify.py", "tree"
    )
    with pytest.raises(
        ValueError, match=r"gone: expected 1 × 'no such text' in companion/support/tree\.py"
    ):
        run.mutated(gone, "other text")


@pytest.mark.slow
def test_a_survivor_is_told_from_a_casualty():
    """A change of a comment survives, a wrong formula does not, and both are said."""
    file, tests = "support/tables.py", ("tests/support/test_tables.py", "cells_are_escaped")
    harmless = Mutant("harmless", file, '"""Small tables of results', '"""Tables', *tests)
    wrong = Mutant("wrong", file, "html.escape(name)}</th>", "name}</th>", *tests)
    nowhere = Mutant("nowhere", file, wrong.old, wrong.new, tests[0], "no_such_test")
    noticed, how = run.check(harmless)
    assert noticed is False and "SURVIVED" in how
    assert run.check(wrong)[0] is True
    noticed, how = run.check(nowhere)
    assert noticed is False and "pytest ended with 5" in how

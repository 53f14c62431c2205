"""Exercises in cells: their form, the stubs of their solutions, and how a page folds them."""

import copy

import pytest

from workflow import stage
from workflow.exercises import exercises, faults, folded, without_solutions

QUESTION = (
    "```{exercise} Twice\n:label: toy-twice\n\nCall it `twice(x)`, and twice three `six`.\n```"
)
CODE = """\
import math
half = 0.5
def twice(x):
    \"\"\"Two times x.\"\"\"
    # the secret
    return x / half
six = twice(3)  # 6
six"""
TEST = 'claims.record("toy/six", "Six.", abs(six - 6) + twice(0), at_most=0, source="exercise")'
HIDDEN = 'claims.record("toy/nine", "Nine.", abs(twice(4.5) - 9), at_most=0, source="exercise")'


def cell(id, kind, text, *tags):
    return {"id": id, "cell_type": kind, "metadata": {"tags": list(tags)}, "source": text}


def notebook():
    return {
        "metadata": {},
        "cells": [
            cell("heading", "markdown", "## Exercises"),
            cell("question", "markdown", QUESTION),
            cell("words", "markdown", "Divide by a half.", "solution"),
            cell("code", "code", CODE, "solution"),
            cell("test", "code", TEST, "test"),
            cell("hidden", "code", HIDDEN, "hidden-test"),
            cell("claims-md", "markdown", "## The claims of this chapter"),
            cell("claims", "code", "claims.table()"),
        ],
    }


def changed(id, **change):
    made = notebook()
    for one in made["cells"]:
        if one["id"] == id:
            one.update(change)
    return made


def without(*ids):
    return {"cells": [one for one in notebook()["cells"] if one["id"] not in ids]}


def test_an_exercise_is_read_from_its_cells():
    (one,) = exercises(notebook())
    assert (one.label, one.title, one.names) == ("toy-twice", "Twice", ["twice", "six"])
    assert [c["id"] for c in (*one.words, *one.code, *one.tests)] == [
        *("words", "code", "test", "hidden")
    ]
    assert faults(notebook()) == []


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (without("words", "code", "test", "hidden"), "has no solution"),
        (without("test", "hidden"), "has code in its solution, and no test"),
        (without("code", "test", "hidden"), "This exercise has no numeric check."),
        (without("code"), "has tests, and no code"),
        (without("question"), "stands before the first exercise"),
        (changed("test", source="twice(six)"), "a test with 0 claims"),
        (changed("test", source=f"{TEST}\n{TEST}"), "a test with 2 claims"),
        (changed("hidden", source=HIDDEN.replace("twice(4.5)", "9")), "uses no name"),
        (changed("question", source=QUESTION.replace("`six`", "so")), "that `six` is to be"),
        (changed("question", source=QUESTION.replace(":label: toy-twice", "")), "has no label"),
        (changed("question", source=f"{QUESTION}\n{QUESTION}"), "one exercise a cell"),
        (changed("words", source="## Then"), "has a heading"),
        (changed("words", metadata={}), "is broken by a cell"),
        ({"cells": [notebook()["cells"][-1], *notebook()["cells"][:-1]]}, "it comes after"),
    ],
)
def test_each_departure_from_the_form_is_named(made, sentence):
    assert any(sentence in fault for fault in faults(made))


def test_students_get_stubs_and_the_public_tests():
    made = notebook()
    before = copy.deepcopy(made)
    cells = {one["id"]: one for one in without_solutions(made)["cells"]}
    assert made == before
    assert list(cells) == ["heading", "question", "code", "test", "claims-md", "claims"]
    stub = 'import math\ndef twice(x):\n    """Two times x."""\n    ...\nsix = ...'
    assert cells["code"]["source"] == stub
    assert cells["code"]["metadata"]["tags"] == []
    assert cells["test"]["metadata"]["tags"] == ["test", "raises-exception"]
    assert "hidden" in {one["id"] for one in without_solutions(made, hidden=True)["cells"]}


@pytest.mark.parametrize(
    ("code", "stub"),
    [
        ("def twice(x): return 2 * x", "def twice(x): ..."),
        ("def twice(\n    x,\n):\n    y = 2\n    return x * y", "def twice(\n    x,\n):\n    ..."),
        ("@f\ndef twice(x):\n    return 6", "@f\ndef twice(x):\n    ..."),
        ("helper, twice = 1, abs", "twice = ..."),
        ("twice: object = abs", "twice = ..."),
        ("class twice:\n    a = 6", "class twice:\n    ..."),
        ("print('6')", "..."),
    ],
)
def test_a_stub_keeps_what_is_asked_and_nothing_of_the_answer(code, stub):
    made = changed("code", source=code)
    assert without_solutions(made)["cells"][2]["source"] == stub


def test_a_page_folds_words_code_and_tests_in_one_box():
    cells = notebook()["cells"]
    shown = folded(cells, ["toy-twice"])
    assert [one["id"] for one in shown] == [
        *("heading", "question", "toy-twice-start", "words", "code", "test", "hidden"),
        *("toy-twice-end", "claims-md", "claims"),
    ]
    assert shown[2]["source"] == "```{solution-start} toy-twice\n:class: dropdown\n```"
    assert "hide-input" in shown[5]["metadata"]["tags"]
    (*_, last) = folded(cells[:4], ["toy-twice"])
    assert last["source"].startswith("```{solution-end}")


def test_staging_folds_solutions_with_their_figures():
    made = notebook()
    figure = {"output_type": "display_data", "data": {"image/png": "AA=="}, "metadata": {}}
    figure["metadata"]["companion"] = {"alt": "A line."}
    words = {"output_type": "stream", "name": "stdout", "text": "six"}
    made["cells"][3]["outputs"] = [words, figure]
    assert stage.prepare(made, "toy", {}) == []
    ids = [one["id"] for one in made["cells"]]
    assert ids[2:8] == ["toy-twice-start", "words", "code", "code-1", "test", "hidden"]


def test_reading_times_leave_solutions_out():
    made = changed("words", source="long " * 3000)
    assert stage.minutes(made) == 5

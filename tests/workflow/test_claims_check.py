"""The check names every claim that is wrong: each kind of fault is planted once."""

import pytest

from workflow.claims import check, rewrite_reference
from workflow.progress import Problem
from workflow.project import Project, load


def claim(id="toy/a", **changes):
    made = {
        "id": id,
        "chapter": "one",
        "cell": 3,
        "statement": "A statement.",
        "value": 2.0,
        "relation": "at_least",
        "bound": 1.0,
        "within": None,
        "source": "this companion",
        "drift": 1e-6,
        "standard_error": None,
    }
    return made | changes


def test_nothing_is_wrong_with_the_claims_of_the_reference():
    assert check([claim(), claim("toy/b")], [claim("toy/b"), claim()]) == []


@pytest.mark.parametrize(
    ("made", "listed", "sentence"),
    [
        ([claim(value=0.5)], [claim()], "does not hold: toy/a in one, cell 3"),
        ([claim(value=None)], [claim()], "value not a finite number"),
        ([], [claim()], "missing: toy/a is listed in reference/claims.json, but chapter one"),
        ([claim()], [], "not listed: toy/a in one, cell 3 is new"),
        ([claim(value=2.1)], [claim()], "drifted: toy/a in one, cell 3 is 2.1, was 2.0"),
        ([claim(value=None)], [claim()], "drifted: toy/a"),
        ([claim(), claim(chapter="two", cell=7)], [claim()], "made twice: toy/a in one, cell 3"),
        ([claim(bound=0.5)], [claim()], "changed: toy/a has bound 0.5"),
        ([claim(drift=0.5)], [claim()], "changed: toy/a has drift 0.5"),
        ([claim(relation="at_most")], [claim()], "changed: toy/a has relation at_most"),
    ],
)
def test_each_fault_is_named(made, listed, sentence):
    assert any(sentence in problem for problem in check(made, listed))


def test_what_a_file_says_about_a_claim_does_not_count():
    """`holds` is computed from value and bound; no claim at all is a failure."""
    assert any("does not hold" in p for p in check([claim(value=0.5) | {"holds": True}], [claim()]))
    assert check([], []) == ["none: no chapter made any, so nothing was checked"]


def test_the_allowance_is_the_references_own():
    wide = claim(value=2.1, drift=0.5)
    assert any("drifted" in problem for problem in check([wide], [claim()]))


@pytest.mark.parametrize(
    ("value", "listed", "drifts"),
    [
        (2.0 + 1e-6, claim(), False),
        (2.0 + 3e-6, claim(), True),
        (9.0, claim(drift=None), False),
        (2.39, claim(drift=None, standard_error=0.1), False),
        (2.41, claim(drift=None, standard_error=0.1), True),
        (1.59, claim(drift=None, standard_error=0.1), True),
    ],
)
def test_drift_is_relative_or_in_standard_errors(value, listed, drifts):
    problems = check([listed | {"value": value}], [listed])
    assert bool(problems) is drifts


def test_other_tiers_check_bounds_and_names_but_no_drift():
    assert check([claim(value=5.0)], [claim()], tier="smoke") == []
    assert check([claim(value=0.5)], [claim()], tier="smoke")
    assert check([], [claim()], tier="smoke")
    assert check([claim("toy/b")], [], tier="smoke")


def test_the_reference_is_sorted_stable_and_never_takes_a_failed_claim(tmp_path):
    project = Project(tmp_path)
    path = rewrite_reference(project, [claim("toy/b"), claim("toy/a")])
    first = path.read_bytes()
    assert [c["id"] for c in load(path)["claims"]] == ["toy/a", "toy/b"]
    assert "cell" not in load(path)["claims"][0]
    assert rewrite_reference(project, load(path)["claims"][::-1] and [claim(), claim("toy/b")])
    assert path.read_bytes() == first
    with pytest.raises(Problem, match="does not hold: toy/a"):
        rewrite_reference(project, [claim(value=0.5)])
    with pytest.raises(Problem, match="made twice"):
        rewrite_reference(project, [claim(), claim()])
    assert path.read_bytes() == first

"""The check names every claim that is wrong: each kind of fault is planted once."""

import pytest

from workflow.claims import check, reference_of, rewrite_reference
from workflow.progress import Problem
from workflow.project import Project, load
from workflow.reference import CONDITIONS, KEPT, entry, measured


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
    }
    return made | changes


def listed(*values, **changes):
    """What the reference says of a claim that had these values."""
    values = values or (2.0,)
    return entry(claim(**changes), list(values))


def test_nothing_is_wrong_with_the_claims_of_the_reference():
    assert check([claim(), claim("toy/b")], [listed(id="toy/b"), listed()]) == []


@pytest.mark.parametrize(
    ("made", "reference", "sentence"),
    [
        ([claim(value=0.5)], [listed()], "does not hold: toy/a in one, cell 3"),
        ([claim(value=None)], [listed()], "value not a finite number"),
        ([], [listed()], "missing: toy/a is listed in reference/claims.json, but chapter one"),
        ([claim()], [], "not listed: toy/a in one, cell 3 is new"),
        ([claim(value=2.1)], [listed()], "drifted: toy/a in one, cell 3 is 2.1, was 2.0"),
        ([claim(value=None)], [listed()], "drifted: toy/a"),
        ([claim(), claim(chapter="two", cell=7)], [listed()], "made twice: toy/a in one, cell 3"),
        ([claim(bound=0.5)], [listed()], "changed: toy/a has bound 0.5"),
        ([claim(relation="at_most")], [listed()], "changed: toy/a has relation at_most"),
    ],
)
def test_each_fault_is_named(made, reference, sentence):
    assert any(sentence in problem for problem in check(made, reference))


def test_what_a_file_says_about_a_claim_does_not_count():
    """`holds` is computed from value and bound; no claim at all is a failure."""
    made = [claim(value=0.5) | {"holds": True}]
    assert any("does not hold" in problem for problem in check(made, [listed()]))
    assert check([], []) == ["none: no chapter made any, so nothing was checked"]


SMALL = {"relation": "at_most", "bound": 1e-8}
LARGE = {"relation": "at_most", "bound": 0.5}
CLOSE = {"relation": "close_to", "bound": 1.0, "within": 0.5}


@pytest.mark.parametrize(
    ("values", "changes", "allowed"),
    [
        ([2.0], {}, [2.0 - 2e-6, 2.0 + 2e-6]),  # equal runs: round-off
        ([2.0, 2.0, 2.0], {}, [2.0 - 2e-6, 2.0 + 2e-6]),
        ([2.0, 2.01, 1.99], {}, [1.8, 2.2]),  # ten times the spread of 0.02
        ([2.0, 2.3], {}, [1.0, 5.0]),  # but never below the bound of 1
        ([0.1, 0.2], LARGE, [-0.9, 0.5]),
        ([1.2, 1.4], CLOSE, [0.5, 1.5]),
        ([0.0], {"relation": "at_most", "bound": 0.0}, [-1e-9, 0.0]),
        ([1e-16, 3e-15], SMALL, [None, 1e-11]),  # a residual: round-off
        ([1e-16, 3e-12], SMALL, [None, 3e-11]),  # ten times the largest
        ([2e-9], SMALL, [None, 1e-8]),  # but never beyond the bound
    ],
)
def test_what_is_allowed_follows_from_the_runs(values, changes, allowed):
    low, high = listed(*values, **changes)["allowed"]
    assert high == pytest.approx(allowed[1], rel=1e-12)
    assert low is allowed[0] is None or low == pytest.approx(allowed[0], rel=1e-12)


@pytest.mark.parametrize(
    ("value", "reference", "drifts"),
    [
        (2.0 + 1e-6, listed(), False),
        (2.0 + 3e-6, listed(), True),
        (2.19, listed(2.0, 2.02), False),
        (2.21, listed(2.0, 2.02), True),
        (9e-9, listed(1e-16, **SMALL), True),  # the bound alone would let it pass
        (9e-12, listed(1e-16, **SMALL), False),
    ],
)
def test_a_value_drifts_when_it_leaves_what_is_allowed(value, reference, drifts):
    changes = {name: reference[name] for name in ("relation", "bound", "within")}
    assert bool(check([claim(value=value, **changes)], [reference])) is drifts


def test_other_tiers_check_bounds_and_names_but_no_drift():
    assert check([claim(value=5.0)], [listed()], tier="smoke") == []
    assert check([claim(value=0.5)], [listed()], tier="smoke")
    assert check([], [listed()], tier="smoke")
    assert check([claim("toy/b")], [], tier="smoke")


def test_spread_and_allowance_of_the_book_are_those_of_its_runs():
    """Nobody widens an allowance by hand: all of it follows from what was measured."""
    file = load(Project().root / "reference" / "claims.json")
    assert len(set(file["conditions"])) == len(file["conditions"]) >= 1
    for made in file["claims"]:
        assert made == entry(made, made["runs"]), made["id"]
        assert len(made["runs"]) == len(file["conditions"]) and measured(made["runs"])


def test_conditions_differ_and_the_first_is_that_of_the_book():
    assert CONDITIONS[0] == {}
    assert len({tuple(condition.items()) for condition in CONDITIONS}) == len(CONDITIONS) == 5


def test_the_reference_is_sorted_stable_and_never_takes_a_failed_claim(tmp_path):
    project = Project(tmp_path)
    path, news = rewrite_reference(project, {"x": [claim("toy/b"), claim("toy/a")]}, ["one"])
    assert news == ["new: toy/b", "new: toy/a"]
    first = path.read_bytes()
    assert [c["id"] for c in load(path)["claims"]] == ["toy/a", "toy/b"]
    assert load(path)["claims"][0].keys() == {*KEPT, "value", "runs", "spread", "allowed"}
    again = {"x": [claim(value=2.0 + 1e-12), claim("toy/b")]}
    assert rewrite_reference(project, again, ["one"])[1] == []
    assert path.read_bytes() == first, "round-off is no news"
    with pytest.raises(Problem, match="does not hold: toy/a"):
        rewrite_reference(project, {"x": [claim()], "y": [claim(value=0.5)]}, ["one"])
    with pytest.raises(Problem, match="made twice"):
        rewrite_reference(project, {"x": [claim(), claim()]}, ["one"])
    assert path.read_bytes() == first


def test_runs_are_added_while_a_claim_stays_and_start_anew_where_it_moved(tmp_path):
    project = Project(tmp_path)
    other = claim("toy/b", chapter="two")
    rewrite_reference(project, {"x": [claim(), other]}, ["one", "two"])
    runs = {"x": [claim()], "y": [claim(value=2.01)]}
    assert rewrite_reference(project, runs, ["one"])[1] == []
    (a, b) = reference_of(project)
    assert a["runs"] == [2.0, 2.01] and a["spread"] == pytest.approx(0.01)
    assert b["runs"] == [2.0, None], "what was not executed keeps its runs"
    assert rewrite_reference(project, {"x": [claim(value=2.05)]}, ["one"])[1] == []
    assert reference_of(project)[0]["runs"] == [2.05, 2.01]
    news = rewrite_reference(project, {"y": [claim(value=3.0)]}, ["one"])[1]
    assert news == ["moved: toy/a from 2.05 to 3"]
    assert reference_of(project)[0]["runs"] == [None, 3.0]
    assert rewrite_reference(project, {"x": [claim(id="toy/c")]}, ["one"])[1] == [
        "gone: toy/a",
        "new: toy/c",
    ]

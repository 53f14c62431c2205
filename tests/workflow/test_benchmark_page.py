"""The page of benchmarks: every target with its measured value, and why where it is not met."""

import json
import re

import pytest

from workflow.benchmarks import duration, growth, number, page, pages
from workflow.project import HOME, Project

TARGET = {"quantity": "ratio", "words": "times as fast", "at_least": 4.0, "at_most": None}
WORDS = {
    "title": "Some work",
    "peer": "a <peer>",
    "work": "Both do it.",
    "limits": "Reading the data.",
    "differs": "",
    "targets": [TARGET],
}
MADE = {
    "status": "measured",
    "quantities": {"ratio": {"median": 5.25, "low": 4.5, "high": 6.0, "unit": "×"}},
    "checks": [
        {
            "what": "log-likelihood",
            "ours": -1.5,
            "peer": -1.5,
            "tolerance": 1e-9,
            "relation": "equal",
            "holds": True,
        }
    ],
    "times": {"ours": {"median": 0.001, "low": 0.001, "high": 0.002, "unit": "s"}},
    "sizes": {"N": 100000, "kind": "full"},
    "precision": "float64",
    "repeats": 5,
    "threads": 1,
    "date": "2026-01-02",
    "versions": {"python": "3.11.1"},
    "processor": "A Processor",
    "cores": 2,
    "others": 0.3,
}


def entry(**changes):
    return {"name": "work", **WORDS, "measurement": {**MADE, **changes}}


def test_a_target_that_is_met_shows_value_range_and_circumstances():
    text = page([entry()])
    assert "**1 of 1 targets are met**" in text and "✓ met" in text
    assert "≥ 4 times as fast" in text and "5.25×<br><small>from 4.5 to 6</small>" in text
    assert "a &lt;peer&gt;" in text and '<a href="#benchmark-work">' in text
    for words in (
        "(benchmark-work)=",
        "N: 100\u202f000; kind: full",
        "one thread",
        "5 times each",
        "2026-01-02",
    ):
        assert words in text
    assert "log-likelihood: -1.5 ≈ -1.5" in text and "others kept 0.3 busy" in text


def test_what_computes_in_no_precision_has_none():
    assert "5 times each, one thread, float64." in page([entry()])
    assert "5 times each, one thread." in page([entry(precision="none")])


def test_rows_whose_work_differs_stand_apart_and_missed_targets_first():
    slow = {"ratio": {"median": 3.0, "low": 2.0, "high": 3.5, "unit": "×"}}
    unequal = entry() | {"name": "unequal", "differs": "Theirs draws more."}
    missed = entry(quantities=slow) | {"name": "missed"}
    text = page([unequal, entry(), missed])
    first, second = text.split("## Where the work is not the same")
    assert (
        "**1 of 2 targets are met**; missed: 1, not measured: 0" in first and "unequal" not in first
    )
    assert first.index("#benchmark-missed") < first.index("#benchmark-work")
    assert (
        "**1 of 1 targets are met**" in second and "**What differs.** Theirs draws more." in second
    )


def test_what_was_not_measured_stands_last():
    made = {"status": "left out", "reason": "no peer here"}
    lacking = {"name": "lacking", **WORDS, "measurement": made}
    text = page([lacking, entry()])
    assert text.index('"#benchmark-work"') < text.index('"#benchmark-lacking"')


def test_a_target_that_is_not_met_says_why():
    slow = {"ratio": {"median": 3.0, "low": 2.0, "high": 3.5, "unit": "×"}}
    text = page([entry(quantities=slow)])
    assert "**0 of 1 targets are met**; missed: 1, not measured: 0" in text
    assert "✗ not met" in text and "<small>Reading the data.</small></td>" in text


@pytest.mark.parametrize(
    "made, status",
    [
        ({"status": "left out", "reason": "no peer here"}, "– not measured"),
        ({"status": "failed", "reason": "it broke"}, "✗ failed"),
    ],
)
def test_a_row_without_measurement_gives_the_reason(made, status):
    text = page([{"name": "work", **WORDS, "measurement": made}])
    assert status in text and text.count(made["reason"]) == 2
    assert "**0 of 1 targets are met**; missed: 0, not measured: 1" in text


def test_differing_results_are_shown_as_such():
    changed = [{**MADE["checks"][0], "peer": -2.0, "holds": False}]
    made = {name: value for name, value in MADE.items() if name != "quantities"}
    made |= {"status": "differs", "checks": changed}
    text = page([{"name": "work", **WORDS, "measurement": made}])
    assert "✗ results differ" in text and "**They differ.**" in text and "5.25" not in text


def test_from_where_a_gpu_pays_follows_from_both_records():
    side = {"seconds": [0.05, 0.2], "megabytes": [1.0, 2.0], "exponent": 1.0}
    curve = {"work": "Ten steps", "letter": "S", "sizes": [1, 4], "sides": {"ours": side}}
    found = {"curves": [curve], "steps": 10, "versions": {}, "missing": [], "date": "today"}
    found |= {"processor": "a core", "others": 0.0}
    gpu = {"processor": "a GPU", "seeds": 100, "step": 0.02}
    text = growth({**found, "gpu": gpu})  # a step takes 5 ms for each seed on a core
    assert "took 20\u00a0ms for 100 seeds" in text and "takes 5\u00a0ms" in text
    assert "25 cores are as fast as that GPU" in text and "from 4 seeds on" in text
    assert "a GPU" not in growth({**found, "gpu": None})


def test_an_upper_bound_is_one():
    upper = {**TARGET, "at_least": None, "at_most": 6.0}
    assert "≤ 6 times as fast" in page([entry() | {"targets": [upper]}])
    assert "✗ not met" in page([entry() | {"targets": [upper | {"at_most": 5.0}]}])


def test_numbers_are_short_and_never_counted_zeros():
    shown = {
        0.0: "0",
        1234.5: "1\u202f230",
        0.05: "0.05",
        3.14159: "3.14",
        1e-12: "1.0\u00a0×\u00a010⁻¹²",
    }
    assert {value: number(value) for value in shown} == shown
    assert [duration(t) for t in (90.0, 2.0, 0.0123, 4.5e-5)] == [
        *("90\u00a0s", "2\u00a0s", "12.3\u00a0ms", "45\u00a0µs")
    ]


def test_the_page_is_made_of_the_committed_results_and_its_targets_are_all_there(tmp_path):
    made = pages(Project())["benchmarks.md"]
    rows = json.loads((HOME / "benchmarks" / "results.json").read_text("utf-8"))["rows"]
    against = made.partition("## How it grows")[0]
    assert against.count("<tr><td>") == sum(len(row["targets"]) for row in rows)
    assert set(re.findall(r"#benchmark-([a-z0-9-]+)", made)) == {row["name"] for row in rows}
    assert pages(Project(tmp_path)) == {}


def test_growth_has_a_row_for_each_side_and_says_what_fits():
    sides = {
        "ours": {"seconds": [1.0, 4.0], "megabytes": [10.0, 257.69803776], "exponent": 1.0},
        "a <peer>": {"seconds": [1.0, 16.0], "megabytes": [1.0, 2.0], "exponent": 2.04},
    }
    curve = {"work": "Some work", "letter": "N", "sizes": [10, 40], "sides": sides}
    about = {
        "date": "2026-01-02",
        "processor": "A Processor",
        "others": 0.2,
        "versions": {"x": "1"},
    }
    text = growth({**about, "curves": [curve], "missing": ["More work, against D"]})
    assert text.count('<th scope="rowgroup" rowspan="2">Some work<br><small>N from 10 to 40') == 1
    assert text.count("<tr>") == 3 and "<tr><td>a &lt;peer&gt;</td>" in text
    assert "N<sup>2.0</sup>" in text and "Not measured yet: More work, against D." in text
    assert "N ≈ " in text and text.count("N ≈ ") == 1 and "others kept 0.2 cores" in text

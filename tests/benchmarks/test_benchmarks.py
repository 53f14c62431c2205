"""The benchmarks' harness: alternation, ratios, refusals, merging, reasons for absent peers."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import machine, official, results
from benchmarks.harness import (
    Check,
    LeftOut,
    Measured,
    Pair,
    Row,
    Setting,
    Target,
    alternate,
    constant,
    spread,
)
from benchmarks.rows import ROWS, book, deep_vaes
from companion import datasets
from companion.book.claims import CLAIM, Claim
from workflow.project import Project

# A file in the way of the official one: it asks for a GPU where it is imported and where it is run.
OFFICIAL = """
import sys
import torchvision
import torch
from tqdm.auto import tqdm
import neighbour
torch.set_default_tensor_type("torch.cuda.FloatTensor")

def moved(x):
    return [part.cuda() for part in tqdm([x.cuda(), x])]

SEEN = list(sys.argv)
"""


class Clock:
    """A clock that only the work itself moves on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, *seconds: float):
        """A call that lasts each of ``seconds`` in turn, the last one ever after."""
        left = list(seconds)

        def call() -> str:
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]
            return name

        return call


def row(name: str = "row", measure=lambda setting: None, **more) -> Row:
    target = Target("ratio", "times as fast", at_least=2.0)
    words = {"title": f"The {name}", "peer": "someone", "work": "Work.", "limits": "Nothing."}
    return Row(name=name, targets=(target,), measure=measure, **words, **more)


def measured(ours: float = 1.0, peer: float = 1.0) -> Measured:
    ratio = {"ratio": Pair([1.0], [3.0]).ratio}
    return Measured(ratio, [Check("value", ours, peer, 1e-9)], {"N": 3})


def test_both_sides_run_in_turn_after_a_warm_up():
    clock = Clock()
    pair = alternate(clock.work("a", 1.0), clock.work("b", 3.0), 3, shortest=0, clock=clock)
    assert "".join(clock.calls) == "ab" + "ababab"
    assert pair.results == ("a", "b") and pair.ours == [1.0] * 3 and pair.peer == [3.0] * 3


def test_short_work_is_repeated_within_one_timing():
    clock = Clock()
    pair = alternate(clock.work("a", 0.25), clock.work("b", 2.0), 2, shortest=1, clock=clock)
    assert "".join(clock.calls) == "aabb" + "aaaab" * 2
    assert pair.ours == [0.25] * 2 and pair.peer == [2.0] * 2
    with pytest.raises(ValueError, match="repeats must be at least 1: got 0"):
        alternate(clock.work("a", 1.0), clock.work("b", 1.0), 0)


def test_the_ratio_is_of_medians_with_the_range_of_neighbours():
    pair = Pair([1.0, 2.0, 4.0], [10.0, 40.0, 4.0])
    assert (pair.ratio.median, pair.ratio.low, pair.ratio.high) == (5.0, 1.0, 20.0)
    assert spread([3.0, 1.0, 2.0]).median == 2.0
    with pytest.raises(ValueError, match="at least one measurement"):
        spread([])


@pytest.mark.parametrize(
    "check, holds",
    [
        (Check("x", 100.0, 100.0 + 1e-8, 1e-9), True),
        (Check("x", 100.0, 100.001, 1e-9), False),
        (Check("x", 0.0, 1e-8, 1e-9), False),
        (Check("x", math.nan, math.nan, 1.0), False),
        (Check("x", 2.0, 1.0, 0.0, "at least"), True),
        (Check("x", 1.0, 2.0, 0.0, "at least"), False),
        (Check("x", 1.0, 2.0, 0.0, "at most"), True),
        (Check("x", 2.0, 1.0, 0.0, "at most"), False),
    ],
)
def test_results_agree_within_the_tolerance_only(check, holds):
    assert check.holds is holds


def test_differing_results_give_no_ratio():
    assert measured().to_json()["quantities"]["ratio"]["median"] == 3.0
    refused = measured(peer=1.1).to_json()
    assert refused["status"] == "differs" and "quantities" not in refused
    unchecked = Measured({"ratio": constant(3.0)}, [], {}).to_json()
    assert unchecked["status"] == "differs"
    assert "RESULTS DIFFER" in command.said(row(), refused)[0]


def test_a_target_has_one_bound():
    with pytest.raises(ValueError, match="exactly one of at_least and at_most"):
        Target("ratio", "times as fast", at_least=1.0, at_most=2.0)
    lines = command.said(row(), measured().to_json())
    assert lines[-1].startswith("✓ times as fast: 3×") and "≥ 2" in lines[-1]


def test_runs_are_merged_by_row():
    rows = [row("first"), row("second"), row("third"), row("fourth")]
    old, new = {"status": "measured", "date": "old"}, {"status": "measured", "date": "new"}
    absent = {"status": "left out", "reason": "no peer"}
    before = results.merge(rows, [], dict.fromkeys(("first", "second", "third"), old))
    latest = {"second": new, "third": absent, "fourth": absent}
    merged = results.merge(rows, before, latest)
    made = [entry["measurement"] for entry in merged]
    assert made == [old, new, old, absent]
    failed = results.merge(rows, before, {"first": {"status": "failed", "reason": "broken"}})
    assert failed[0]["measurement"]["status"] == "failed"
    assert results.merge(rows, [], {})[0]["measurement"]["reason"] == "not measured yet"
    assert [entry["title"] for entry in merged] == [entry.title for entry in rows]
    assert [entry["name"] for entry in results.merge(rows[1:], merged, {})] == [
        "second",
        "third",
        "fourth",
    ]


def test_an_absent_peer_or_checkout_leaves_a_row_out_with_the_reason(tmp_path):
    assert command.left_out(row(), Setting()) is None
    missing = command.run(row(needs=("no_such_package",)), Setting())
    assert missing == {"status": "left out", "reason": "no_such_package is not installed here"}
    unnamed = command.left_out(row(official=True), Setting())
    assert "make bench OFFICIAL=path" in unnamed and official.REPOSITORY in unnamed
    wrong = command.left_out(row(official=True), Setting(official=tmp_path))
    assert wrong == "the checkout that was named has no verification/VAE.py"


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch):
    """What other tests left in this process is not searched before each call of a toy."""
    monkeypatch.setattr("benchmarks.harness.gc.collect", lambda: 0)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name in (official.VERIFICATION, official.STREAMING):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(OFFICIAL)
        (tmp_path / name).with_name("neighbour.py").write_text("")
    monkeypatch.delitem(sys.modules, "neighbour", raising=False)
    return tmp_path


def test_the_official_code_runs_without_cuda_and_stays_as_it_is(checkout):
    import torch

    before, arguments, path = official.fingerprint(checkout), list(sys.argv), list(sys.path)
    module = official.load(checkout)
    x = torch.ones(2)
    assert module.moved(x)[0] is x and torch.get_default_dtype() == torch.float32
    assert module.SEEN == ["VAE.py"] and not hasattr(module, "torchvision")
    assert (list(sys.argv), list(sys.path)) == (arguments, path)
    assert official.fingerprint(checkout) == before
    (checkout / official.STREAMING).write_text(OFFICIAL + "\n")
    assert official.fingerprint(checkout) != before
    with pytest.raises(official.Absent, match="OFFICIAL=path"):
        official.load(None)


def test_a_word_selects_rows_and_an_unknown_one_is_refused(capsys):
    assert {r.name for r in command.select(ROWS, "mixture")} >= {"mixture-full", "mixture-pyro"}
    assert command.main(["--rows", "no-such-row"]) == 2
    assert (
        "No row has 'no-such-row' in its name; the rows are mixture-full" in capsys.readouterr().err
    )


@pytest.mark.slow
def test_a_quick_row_is_measured_in_a_process_of_its_own(tmp_path, capsys):
    output = tmp_path / "results.json"
    status = command.main(["--rows", "ppca", "--quick", "--output", str(output)])
    said = capsys.readouterr().out
    assert status == 0, said
    entries = {entry["name"]: entry for entry in json.loads(output.read_text())["rows"]}
    assert set(entries) == {r.name for r in ROWS}
    made = entries["ppca"]["measurement"]
    assert made["status"] == "measured" and made["quantities"]["ratio"]["median"] > 0
    assert made["sizes"]["N"] == 300 and made["threads"] == 1 and made["versions"]["scikit-learn"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", made["date"]) and made["processor"]
    assert entries["sbn"]["measurement"] == {"status": "left out", "reason": "not measured yet"}


GOOD = {**measured().to_json(), "date": "today"}
ABSENT = {"status": "left out", "reason": "y"}


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """A function that runs the command on rows a and b, with these outcomes instead of work."""
    output = tmp_path / "results.json"

    def run(row, setting):
        if row.name not in bench.outcomes:
            raise KeyboardInterrupt
        return bench.outcomes[row.name]

    def bench(*options, **outcomes):
        bench.outcomes = outcomes
        status = command.main([*options, "--output", str(output)])
        return status, [entry["measurement"]["status"] for entry in results.read(output)]

    monkeypatch.setattr("benchmarks.rows.ROWS", (row("a"), row("b")))
    monkeypatch.setattr(command, "run", run)
    return bench


def test_a_row_that_fails_or_is_left_out_says_so(bench, capsys):
    status, made = bench(a={"status": "failed", "reason": "x"}, b=ABSENT)
    captured = capsys.readouterr()
    assert (status, made) == (1, ["failed", "left out"])
    assert "failed: x" in captured.out and "left out: y" in captured.out
    assert captured.err == "Failed or with differing results: a\n"
    assert bench(a=ABSENT, b=ABSENT)[0] == 0


def test_an_interrupt_keeps_what_was_measured(bench, capsys):
    assert bench(a=GOOD) == (130, ["measured", "left out"])
    assert "What was measured is kept" in capsys.readouterr().err


def test_each_row_is_written_as_it_ends_and_none_begins_after_the_time(bench, monkeypatch, capsys):
    now, save, saved = iter([0.0, 59.0, 61.0]), results.save, []
    monkeypatch.setattr(command.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(results, "save", lambda *given: saved.append(save(*given)))
    assert bench("--minutes", "1", a=GOOD) == (0, ["measured", "left out"])
    assert len(saved) == 1 and "The time is over: 1 rows are left." in capsys.readouterr().out


def test_what_a_busy_machine_measured_is_measured_again_after_what_none_did():
    rows = [row("done"), row("more", differs="It does more."), row("busy"), row("new"), row("bad")]
    entries = [
        {"name": "done", "measurement": {"status": "measured", "others": 0.1}},
        {"name": "busy", "measurement": {"status": "measured", "others": 0.5}},
        {"name": "bad", "measurement": {"status": "failed", "others": 0.1}},
    ]
    left = results.unmeasured(rows, entries)
    assert [one.name for one in left] == ["new", "bad", "busy", "more"]


def test_what_others_disturbed_is_not_published():
    quiet, busy = {"status": "measured", "others": 0.49}, {"status": "measured", "others": 0.5}
    assert results.published(quiet) is quiet
    said = {"status": "left out", "reason": "others kept 0.5 cores busy meanwhile"}
    assert results.published(busy) == said


def test_others_are_told_from_ones_own_work(monkeypatch):
    """Ten seconds of two cores: 5 of our own, 3 of our children, 2 and 1 of others, 9 idle."""
    cores = namedtuple("cores", "user nice system idle iowait guest")
    looks = iter([cores(50, 1, 7, 90, 2, 5), cores(57, 2, 10, 98, 3, 6)])
    own = iter([(1.0, 1.0, 0.0, 0.0, 100.0), (5.0, 2.0, 2.0, 1.0, 110.0)])
    clock = iter([100.0, 110.0])
    monkeypatch.setattr(machine.psutil, "cpu_times", lambda: next(looks))
    monkeypatch.setattr(machine.os, "times", lambda: next(own))
    monkeypatch.setattr(machine.time, "monotonic", lambda: next(clock))
    # A guest's second stands in user too.
    assert machine.Others().cores() == pytest.approx((11 - 8) / 10)


def test_a_child_passes_on_why_it_left_a_row_out(monkeypatch, tmp_path):
    from benchmarks import child

    def measure(setting):
        assert setting == Setting(True, Path("/code"))
        raise LeftOut("one core only")

    monkeypatch.setattr("benchmarks.rows.ROWS", (row("a", measure),))
    answer = tmp_path / "answer.json"
    assert child.main(["a", str(answer), "quick", "/code"]) == 0
    assert json.loads(answer.read_text()) == {"status": "left out", "reason": "one core only"}


def test_memory_is_what_a_call_adds_at_its_peak():
    """In a process of its own, as rows are: one that has freed much does not grow."""
    work = "from benchmarks import memory; print(memory.added(lambda: len(b'x' * 60_000_000)))"
    added = subprocess.run([sys.executable, "-c", work], capture_output=True, check=True, text=True)
    assert 50 <= float(added.stdout) <= 100


def test_every_row_has_its_own_name_and_targets_that_it_measures():
    names = [r.name for r in ROWS]
    assert len(set(names)) == len(names)
    for one in ROWS:
        assert one.targets and one.limits.endswith(".") and one.work.endswith(".")
        assert re.fullmatch(r"[a-z0-9-]+", one.name)


def test_the_committed_results_have_the_rows_and_words_of_today():
    entries = results.read(results.RESULTS)
    assert [entry["name"] for entry in entries] == [r.name for r in ROWS]
    fresh = json.loads(json.dumps(results.merge(ROWS, entries, {})))
    assert entries == fresh, "run: python -m benchmarks --refresh"
    for one, entry in zip(ROWS, entries, strict=True):
        made = entry["measurement"]
        if made["status"] == "measured":
            assert {t.quantity for t in one.targets} <= set(made["quantities"])


def test_no_host_or_home_is_recorded():
    import platform

    text = results.RESULTS.read_text("utf-8")
    assert str(Path.home()) not in text and "/tmp/" not in text
    node = platform.node()
    assert len(node) < 4 or node not in text
    assert machine.processor()


def test_claims_are_read_from_an_executed_chapter():
    shown = [
        {"data": {CLAIM: asdict(Claim("a/b", "Said.", value, "at_most", 1.0, None, ""))}}
        for value in (0.5, 2.0)
    ]
    cells = [{"metadata": {}, "outputs": [{"data": {"text/plain": "3"}}, one]} for one in shown]
    assert book._claims({"cells": cells}) == [("a/b", True), ("a/b", False)]


def test_the_part_beyond_the_papers_is_executed_last(tmp_path):
    shutil.copy(book.HOME / "_toc.yml", tmp_path)
    before = Project(tmp_path).chapters
    papers = book._papers_first(tmp_path)
    project = Project(tmp_path, output=tmp_path)
    order = sorted(project.chapters, key=project.priority, reverse=True)
    assert set(order) == set(before) and set(order[: len(papers)]) == set(papers)
    assert {"theorem-1", "manifolds"} <= set(papers) and "topics" not in papers
    (tmp_path / "_toc.yml").write_text("parts:\n- {caption: A, chapters: [{file: notebooks/a}]}")
    with pytest.raises(ValueError, match="must have a part 'Beyond the papers'"):
        book._papers_first(tmp_path)


def test_a_chapters_start_lasts_until_its_imports_end():
    def cell(tags, ends):
        made = {"end_time": f"2026-01-01T00:00:{ends:09.6f}+00:00"}
        return {"metadata": {"tags": tags, "papermill": made}}

    began = {"start_time": "2026-01-01T00:00:01+00:00", "duration": 20.0}
    cells = [{"metadata": {}}, cell(["remove-cell"], 1.5), cell(["setup"], 2.25), cell([], 20)]
    made = {"cells": cells, "metadata": {"papermill": began}}
    assert book._until_first_cell(made, seconds=20.5) == 1.75


def test_held_out_bounds_are_integrated_with_the_given_noise():
    x = datasets.pca_ring(60, latent=2)
    noise = torch.randn(3, 20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    runs = deep_vaes.ours(x[:40], "scalar", steps=2, batch=20, rate=1e-3, log_every=1)
    values = [deep_vaes.held_out(runs, x[40:], noise, logged) for logged in range(3)]
    q, parameters = runs.q(0).on(x[40:], None).gaussian(), runs.parameters(0)
    z = q.mean + q.scale * noise
    joint = [runs.model.log_joint(parameters, x[40:], at[:, None])[:, 0] for at in z]
    wanted = torch.stack(joint).mean(0) + q.entropy()
    assert values[-1] == pytest.approx(float(wanted.mean()), rel=1e-12)
    assert len(set(values)) == 3

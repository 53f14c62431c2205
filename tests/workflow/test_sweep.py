"""Sweeps: one JSON file for each run, resuming, failures that don't stop the rest, summaries."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from companion.training.settings import Settings, train
from workflow.project import HOME, Problem
from workflow.sweep import plan, spread, summarize

GRID = """
settings: {count: 40, steps: 10, log_every: 10}
grid: {learning_rate: [0.01, 0.003]}
seeds: 2
"""


class Sweep:
    def __init__(self, folder):
        self.grid, self.output = folder / "grid.yaml", folder / "out"

    def command(self, *options):
        start = [sys.executable, "-m", "workflow.sweep", str(self.grid)]
        return [*start, "--output", str(self.output), *options]

    def run(self, grid=GRID, *options):
        self.grid.write_text(grid)
        ended = subprocess.run(
            self.command(*options), cwd=HOME, capture_output=True, text=True, timeout=300
        )
        return ended.returncode, ended.stdout + ended.stderr

    def records(self):
        return {path.stem: path.stat().st_mtime_ns for path in self.output.glob("runs/*.json")}


@pytest.fixture
def sweep(tmp_path):
    return Sweep(tmp_path)


def test_runs_are_recorded_summarized_and_not_run_again(sweep):
    status, output = sweep.run()
    assert status == 0, output
    before = sweep.records()
    assert len(before) == 4
    record = json.loads((sweep.output / "runs" / f"{next(iter(before))}.json").read_text())
    again = train(Settings.of(record["run"]["settings"]), record["run"]["seed"])
    assert record["run"]["rows"][-1] == pytest.approx(again.rows[-1], rel=1e-9)
    assert record["versions"]["torch"] and record["device"] == "cpu" and record["seconds"] > 0
    rows = list(csv.DictReader((sweep.output / "summary.csv").read_text().splitlines()))
    assert [row["learning_rate"] for row in rows] == ["0.01", "0.003"]
    assert all(row["seeds"] == "2" for row in rows)
    for name in ("bound", "gap"):
        figure = (sweep.output / "figures" / f"{name}.svg").read_text()
        assert "learning_rate=0.003" in figure and "nats per data" in figure
    status, output = sweep.run(GRID.replace("seeds: 2", "seeds: 3"))
    assert status == 0 and "6 runs: 4 done before" in output
    assert before.items() <= sweep.records().items() and len(sweep.records()) == 6


def test_a_run_that_fails_is_named_and_the_others_go_on(sweep):
    status, output = sweep.run(GRID.replace("0.003", "1.0e+200"))
    assert status == 1
    assert "-0001 failed: ValueError: training diverged: after step 10" in output
    assert "2 of 4 runs are in" in output and len(sweep.records()) == 2
    failures = [json.loads(path.read_text()) for path in sweep.output.glob("failed/*.json")]
    assert {(f["seed"], f["settings"]["learning_rate"]) for f in failures} == {
        (0, 1e200),
        (1, 1e200),
    }
    assert "Traceback" in failures[0]["traceback"]
    summary = json.loads((sweep.output / "summary.json").read_text())
    assert len(summary["failed"]) == 2 and len(summary["rows"]) == 1


def test_a_killed_sweep_goes_on_where_it_was(sweep):
    long = GRID.replace("steps: 10", "steps: 60").replace("seeds: 2", "seeds: 3")
    sweep.grid.write_text(long)
    said = sweep.grid.with_suffix(".log")
    with said.open("w") as log:
        process = subprocess.Popen(
            sweep.command("--cores", "1"), cwd=HOME, stdout=log, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + 240
    while len(sweep.records()) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(sweep.records()) >= 2, said.read_text()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = sweep.records()
    assert 2 <= len(kept) < 6
    status, output = sweep.run(long)
    assert status == 0, output
    assert kept.items() <= sweep.records().items() and len(sweep.records()) == 6
    assert not list(sweep.output.glob("runs/.*"))  # nothing half-written


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ("settings: {steps: 0}", "steps must be"),
        ("settings: {step: 1}", "there is no setting 'step': choose from data, folder"),
        ("settings: {data: cifar}", "data must be one of"),
        ("grid: {steps: 3}", "grid steps must be a list of values: found 3"),
        ("settings: {data: pca, folder: x}", "folder must be left out for data='pca'"),
        ("settings: {device: tpu}", "device must be one of auto, cpu, cuda: got 'tpu'"),
        ("settings: {steps: 3}\ngrid: {steps: [3]}", "steps is both in settings and in grid"),
        ("seeds: 0", "seeds must be a number of seeds or a list of them: found 0"),
        ("seeds: [1, 1]", "asks for the same run twice"),
        ("models: 3", "must have settings, grid and seeds, and nothing else"),
        ("settings: {a: [", "is not readable YAML"),
    ],
)
def test_a_bad_grid_is_refused_before_anything_runs(tmp_path, grid, sentence):
    path = tmp_path / "grid.yaml"
    path.write_text(grid)
    with pytest.raises(Problem, match=sentence.replace("[", r"\[")):
        plan(path)


def test_an_absent_grid_is_named(tmp_path):
    with pytest.raises(Problem, match="Cannot read the grid"):
        plan(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", sorted((HOME / "workflow" / "sweeps").glob("*.yaml")), ids=str)
def test_the_grids_that_we_ship_can_be_run(path):
    assert len(plan(Path(path))) > 1


def test_the_summary_is_that_of_the_last_step():
    runs = [
        {
            "run": {
                "settings": {"steps": 1},
                "seed": seed,
                "columns": ["step", "elbo", "entropy_sum", "gap", "gradient_norm"],
                "maximum": 5.0,
                "rows": [[0.0, -9.0, 0.0, 0.0, 0.0], [1.0, elbo, elbo - 0.5, 0.5, 0.1]],
            }
        }
        for seed, elbo in enumerate((1.0, 3.0))
    ]
    (row,) = summarize(runs)
    assert row["elbo"] == {"mean": 2.0, "sd": pytest.approx(2**0.5), "min": 1.0, "max": 3.0}
    assert row["gap"]["sd"] == 0.0 and row["below_maximum"]["max"] == 4.0
    assert spread([4.0])["sd"] == 0.0

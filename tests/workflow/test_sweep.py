"""Sweeps: one JSON file for each run, resuming, failures that don't stop the rest, summaries."""

import csv
import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from workflow import drive, progress, settings, trainings
from workflow.grid import plan
from workflow.progress import Problem
from workflow.project import HOME, sealed, unsealed
from workflow.settings import Settings, train
from workflow.sweep import attempt_at, key, main, name_of, result, spread, summarize

GRID = """
settings: {count: 40, steps: 10, log_every: 10}
grid: {learning_rate: [0.01, 0.003]}
seeds: 1
"""


class Sweep:
    """A sweep by the command that a reader types, or with its jobs in this very process."""

    def __init__(self, folder):
        self.grid, self.output = folder / "grid.yaml", folder / "out"

    def words(self, grid, *options):
        self.grid.write_text(grid)
        return [str(self.grid), "--output", str(self.output), *options]

    def run(self, grid=GRID):
        command = [sys.executable, "-m", "workflow.sweep", *self.words(grid)]
        ended = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=300)
        return ended.returncode, ended.stdout + ended.stderr

    def here(self, grid, *options):
        status = main(self.words(grid, *options))
        return status, "".join(self.capsys.readouterr())

    def records(self):
        return {path.stem: path.stat().st_mtime_ns for path in self.output.glob("runs/*.json")}


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    """Snakemake, which starts a process for each job, is left out: it is in ``swept``."""

    def trained(snakefile, folder, arguments, options, view):
        for group in (folder / "groups").glob("*.json"):
            trainings.here(group, folder / "done" / group.name)

    monkeypatch.setattr(drive, "snakemake", trained)
    monkeypatch.setattr("workflow.sweep.nursery", lambda *_: nullcontext())
    monkeypatch.setenv(progress.LOCK, "")
    made = Sweep(tmp_path)
    made.capsys = capsys
    return made


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Two runs that are done and one that fails, and what was said: nobody may change its files."""
    sweep = Sweep(tmp_path_factory.mktemp("swept"))
    return sweep, *sweep.run(GRID.replace("0.003]", "0.003, 1.0e+200]"))


def test_runs_are_recorded_and_summarized(swept):
    sweep, _, output = swept
    records = [json.loads(path.read_text()) for path in sweep.output.glob("runs/*.json")]
    assert len(records) == 2, output
    record = records[0]
    again = train(Settings(**record["run"]["settings"]), record["run"]["seed"])
    assert record["run"]["rows"][-1] == pytest.approx(again.rows[-1], rel=1e-9)
    assert record["versions"]["torch"] and record["device"] == "cpu" and record["seconds"] > 0
    rows = list(csv.DictReader((sweep.output / "summary.csv").read_text().splitlines()))
    assert [row["learning_rate"] for row in rows] == ["0.01", "0.003"]
    assert all(row["seeds"] == "1" for row in rows)
    for name in ("bound", "gap"):
        figure = (sweep.output / "figures" / f"{name}.svg").read_text()
        assert "learning_rate=0.003" in figure and "nats per data" in figure


def test_a_run_that_fails_is_named_and_the_others_go_on(swept):
    sweep, status, output = swept
    assert status == 1
    assert "-0000 failed: ValueError: training diverged: after step 10" in output
    assert "2 of 3 runs are in" in output
    (failure,) = (json.loads(path.read_text()) for path in sweep.output.glob("failed/*.json"))
    assert (failure["seed"], failure["settings"]["learning_rate"]) == (0, 1e200)
    assert "Traceback" in failure["traceback"]
    summary = json.loads((sweep.output / "summary.json").read_text())
    assert len(summary["failed"]) == 1 and len(summary["rows"]) == 2


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ("settings: {steps: 0}", "steps must be"),
        ("settings: {step: 1}", "there is no setting 'step': choose from steps, learning_rate"),
        ("grid: {steps: 3}", "grid steps must be a list of values: found 3"),
        ("settings: {device: tpu}", "device: input should be 'auto', 'cpu' or 'cuda': found 'tpu'"),
        ("settings: {steps: 3}\ngrid: {steps: [3]}", "steps is both in settings and in grid"),
        ('settings: {decay: "no"}', "decay: input should be a valid boolean: found 'no'"),
        ("settings: {hidden: 50}", "hidden: input should be a valid array: found 50"),
        ('settings: {hidden: "55"}', "hidden: input should be a valid array: found '55'"),
        ('settings: {steps: "30"}', "steps: input should be a valid integer: found '30'"),
        ("settings: {steps: 3.5}", "steps: input should be a valid integer"),
        ("settings: {learning_rate: .inf}", "learning_rate must be finite: found inf"),
        ("grid: {learning_rate: [0.1, .nan]}", "learning_rate must be finite: found nan"),
        ("settings: {hidden: [5, -1]}", "hidden .* must be a positive integer: got -1"),
        ("settings: {latent: -2}", "latent must be a positive integer: got -2"),
        ("settings: {data: 2020-01-01}", "date is not JSON serializable"),
        ("settings: {steps: 3, steps: 4}", "'steps' stands there twice"),
        ("settings: {steps: 3}\nsettings: {steps: 4}", "'settings' stands there twice"),
        ("seeds: 20000000", "asks for 20000000 runs: at most 1000000"),
        ("seeds: [12345678901234567890123456]", "seeds must be at most 9223372036854775807"),
        ("seeds: 0", "seeds must be a number of seeds or a list of them: found 0"),
        ("seeds: [1, 1]", "asks for the same run twice"),
        ("models: 3", "must have settings, grid, cases and seeds, and nothing else"),
        ("cases: {steps: 3}", "cases must be a list of settings: found {'steps': 3}"),
        ("cases: [{steps: 3}]\ngrid: {steps: [3]}", "steps is both in cases and in grid"),
        ("cases: [{stops: 3}]", "there is no setting 'stops'"),
        ("settings: {a: [", "is not readable YAML"),
    ],
)
def test_a_bad_grid_is_refused_before_anything_runs(tmp_path, grid, sentence):
    path = tmp_path / "grid.yaml"
    path.write_text(grid)
    with pytest.raises(Problem, match=sentence.replace("[", r"\[")):
        plan(path)


def test_numbers_are_read_as_everybody_writes_them(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text("settings: {data: pca, decay: no}\ngrid: {learning_rate: [1e-3, 3E-4, 1]}\n")
    settings = [run["settings"] for run in plan(path)]
    assert [each["learning_rate"] for each in settings] == [1e-3, 3e-4, 1.0]
    assert not settings[0]["decay"]


def test_data_of_ones_own_are_found_from_the_grid(tmp_path):
    path = tmp_path / "grids" / "grid.yaml"
    path.parent.mkdir()
    path.write_text("settings: {data: {file: ../my.csv}}\n")
    with pytest.raises(Problem, match="data must name a file, from the grid's folder"):
        plan(path)
    table = tmp_path / "my.csv"
    table.write_text("a,b\n1,2\n")
    (first,) = plan(path)
    assert first["settings"]["data"]["file"] == str(table.resolve())
    table.write_text("a,b\n1,3\n")
    assert plan(path)[0]["id"] != first["id"], "other data are another run"


def test_cases_replace_what_holds_for_all_runs(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(
        "settings: {steps: 5, samples: 1}\ngrid: {latent: [1, 2]}\n"
        "cases: [{}, {samples: 3, draws: device}]\nseeds: [4]\n"
    )
    chosen = [run["settings"] for run in plan(path)]
    assert [(c["latent"], c["samples"], c["draws"], c["steps"]) for c in chosen] == [
        *((1, 1, "cpu", 5), (2, 1, "cpu", 5)),
        *((1, 3, "device", 5), (2, 3, "device", 5)),
    ]


def test_groups_are_trained_elsewhere_and_the_sweep_goes_on(sweep):
    grid = "settings: {count: 30, steps: 2, log_every: 2}\ngrid: {latent: [1, 2]}\nseeds: 2"
    status, output = sweep.here(grid, "--prepare", "--group", "2", "--cores", "1")
    names = sorted(path.name for path in (sweep.output / "groups").glob("*.json"))
    assert status == 0 and len(names) == 2 and all(name in output for name in names)
    assert not sweep.records()
    trainings.here(sweep.output / "groups" / names[0], sweep.output / "done" / names[0])
    assert len(sweep.records()) == 2
    status, output = sweep.here(grid)
    assert status == 0 and "4 runs: 2 done before" in output


def test_runs_without_a_direction_count(sweep):
    """A softplus has no v, so that there is no certificate; all else must be a number."""
    status, output = sweep.here(
        "settings: {count: 30, hidden: [4], steps: 4, log_every: 4}\n"
        "cases: [{noise: softplus}, {encoder_scale: softplus, activation: relu}]"
    )
    assert status == 0 and "2 of 2 runs are in" in output
    for path in sweep.output.glob("runs/*.json"):
        run = json.loads(path.read_text())["run"]
        at = run["columns"].index("certificate")
        assert all(row[at] is None and None not in row[:at] + row[at + 1 :] for row in run["rows"])


def test_on_a_gpu_runs_of_the_same_settings_are_trained_together(tmp_path, monkeypatch):
    path = tmp_path / "grid.yaml"
    path.write_text("settings: {count: 30, steps: 2}\ngrid: {latent: [1, 2]}\nseeds: 2")
    runs = plan(path)
    assert [len(batch) for batch in trainings.batches(runs)] == [1, 1, 1, 1]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert [len(batch) for batch in trainings.batches(runs)] == [2, 2]
    monkeypatch.undo()
    assert trainings.several(tmp_path, runs[:2], key({}))
    alone = settings.train(Settings(**runs[1]["settings"]), 1)
    record = unsealed(tmp_path / "runs" / f"{runs[1]['id']}.json")
    assert record["together"] == 2 and result(tmp_path, runs[1], key({})) == record
    assert record["run"]["rows"][-1] == pytest.approx(alone.rows[-1], rel=1e-9)
    assert record["run"]["maximum"] == alone.maximum

    asked = []

    def fails(settings, seeds):
        asked.append(seeds)
        raise ValueError("no")

    monkeypatch.setattr(settings, "train_together", fails)
    assert not trainings.several(tmp_path, runs[2:], key({}))
    assert asked == [[0, 1], [0], [1]] and len(list(tmp_path.glob("failed/*.json"))) == 2


def test_encodings_are_understood_or_refused(tmp_path):
    path, text = tmp_path / "grid.yaml", "# Größe der Stapel\nsettings: {data: pca}\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text(text, encoding)
        assert len(plan(path)) == 1
    path.write_text(text, "latin-1")
    with pytest.raises(Problem, match="save it as UTF-8"):
        plan(path)


def test_grids_of_one_name_have_folders_of_their_own(tmp_path):
    names = {name_of(tmp_path / place / "grid.yaml") for place in ("a", "b")}
    assert len(names) == 2 and name_of(tmp_path / "...yaml").strip(".") != ""
    assert "/" not in name_of(tmp_path / "...yaml")


def damaged(run):
    """A record's run as it was, but for one thing; each must be found out and repeated."""
    *rows, last = run["rows"]
    yield "another number", run | {"rows": [*rows, [last[0], 999.0, *last[2:]]]}
    yield "not a number", run | {"rows": [*rows, [float("nan")] * len(last)]}
    yield "null", run | {"rows": [*rows, [None] * len(last)]}
    yield "a row is missing", run | {"rows": rows}
    yield "a shorter row", run | {"rows": [*rows, last[:-1]]}
    yield "a list", [run]
    yield "another seed", run | {"seed": 5}


def test_a_damaged_record_is_run_again_with_what_is_new_and_the_rest_is_kept(swept, sweep):
    shutil.copytree(swept[0].output, sweep.output)
    sweep.grid.write_text(GRID)
    before = sweep.records()
    path = sweep.output / "runs" / f"{min(before)}.json"
    text, record = path.read_text(), unsealed(path)
    present, run = key({}), next(r for r in plan(sweep.grid) if r["id"] == path.stem)
    assert result(sweep.output, run, present) == record
    for name, made in damaged(record["run"]):
        path.write_text(json.dumps({**json.loads(text), "run": made}))  # its seal is broken
        assert result(sweep.output, run, present) is None, name
        if name != "another number":  # sealed, and still not what it should be
            path.write_text(sealed({**record, "run": made}))
            assert result(sweep.output, run, present) is None, name
    for harm in ("", text[:50], "[]", "null"):
        path.write_text(harm)
        assert result(sweep.output, run, present) is None
    status, output = sweep.here(GRID.replace("seeds: 1", "seeds: 2"))
    assert status == 0 and "4 runs: 1 done before" in output
    after = sweep.records()
    assert len(after) == 4
    assert {name for name in before if after[name] != before[name]} == {path.stem}
    assert unsealed(path)["run"] == record["run"]
    summary = json.loads((sweep.output / "summary.json").read_text())
    assert [row["seeds"] for row in summary["rows"]] == [[0, 1], [0, 1]]


def test_the_name_of_an_attempt_is_no_number():
    """A hash such as 383331e6 is one: every seventieth sweep ended without a word."""
    names = [attempt_at(time) for time in range(1000)]
    assert len(set(names)) == 1000
    for name in names:
        with pytest.raises(ValueError, match="could not convert"):
            float(name)


def test_an_absent_grid_is_named(tmp_path):
    with pytest.raises(Problem, match="Cannot read the grid"):
        plan(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", sorted((HOME / "workflow" / "sweeps").rglob("*.yaml")), ids=str)
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

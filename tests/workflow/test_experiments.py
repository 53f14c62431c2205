"""The published experiments: records become summaries, and runs that are drawn are run again."""

import json
import types

import numpy as np
import pytest

from workflow import experiments, trainings
from workflow.grid import plan
from workflow.project import load, sealed, unsealed, write
from workflow.sweep import key

GRID = """
settings: {data: pca_ring, count: 30, hidden: [3], steps: 6, log_every: 3, batch_size: 10}
cases: [{samples: 12, draws: device}, {samples: 1, noise: softplus}]
seeds: 3
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """One small experiment, with every run of its grid recorded, in folders of its own."""
    write(tmp_path / "grids" / "tiny.yaml", GRID)
    monkeypatch.setattr(experiments, "GRIDS", tmp_path / "grids")
    monkeypatch.setattr(experiments, "SUMMARIES", tmp_path)
    monkeypatch.setattr(experiments, "HOME", tmp_path)
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"tiny": ["tiny"]})
    build = types.SimpleNamespace(build=tmp_path / "build")
    monkeypatch.setattr(experiments, "Project", lambda: build)
    # In this process: each start of another takes seconds.
    run = types.SimpleNamespace(run=lambda words, **_: trainings.here(*words[4:]), DEVNULL=None)
    monkeypatch.setattr(experiments, "subprocess", run)
    runs = plan(tmp_path / "grids" / "tiny.yaml")
    for run in runs:
        assert trainings.several(tmp_path / "made", [run], key({}))
    return tmp_path, runs


def test_a_summary_holds_every_seed_and_the_seals_of_the_records(small, capsys):
    folder, runs = small
    assert experiments.main(["collect", str(folder / "made")]) == 0
    assert "tiny.json: 6 of 6 runs" in capsys.readouterr().out
    cases = load(folder / "tiny.json")["cases"]
    assert [case["planned"] for case in cases] == [3, 3]
    assert [case["settings"]["samples"] for case in cases] == [12, 1]
    for case, made in zip(cases, (runs[:3], runs[3:]), strict=True):
        paths = [folder / "made" / "runs" / f"{run['id']}.json" for run in made]
        assert case["seeds"] == [0, 1, 2] and case["steps"] == [0, 3, 6]
        assert case["sha256"] == [load(path)["sha256"] for path in paths]
        rows = np.array([load(path)["run"]["rows"] for path in paths], dtype=float)
        np.testing.assert_allclose(case["elbo"], rows[..., 1], rtol=1e-6)
        np.testing.assert_allclose(case["gap"], rows[..., 3], rtol=1e-6)
        quartiles = np.quantile(rows[..., 4], (0, 0.25, 0.5, 0.75, 1), axis=0)
        np.testing.assert_allclose(case["spread"]["posterior_entropy"], quartiles, rtol=1e-6)
        assert sum(machine["runs"] for machine in case["machines"]) == 3
        (middle,) = {machine["seconds"] for machine in case["machines"]}
        assert middle == np.median([load(path)["seconds"] for path in paths])


def test_a_seed_that_was_run_twice_counts_once(small):
    folder, runs = small
    record = unsealed(folder / "made" / "runs" / f"{runs[1]['id']}.json")
    record["device"], record["processor"] = "cuda", "a card"
    record["run"]["rows"][-1][1] = 7.5
    write(folder / "lent" / "runs" / "it.json", sealed(record))
    experiments.main(["collect", str(folder / "made"), str(folder / "lent")])
    case = load(folder / "tiny.json")["cases"][0]
    assert case["seeds"] == [0, 1, 2] and case["elbo"][1][-1] == 7.5
    (again,) = case["replays"]
    assert again["seed"] == 1 and again["elbo"] < 0
    assert sorted(machine["runs"] for machine in case["machines"]) == [1, 3]


def test_what_is_no_record_is_refused(small, capsys):
    folder, runs = small
    assert experiments.main(["collect", str(folder / "nothing")]) == 2
    path = folder / "made" / "runs" / f"{runs[0]['id']}.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 9'))
    assert experiments.main(["collect", str(folder / "made")]) == 2
    said = capsys.readouterr().err
    assert "There are no records" in said and "was changed since it was written" in said
    assert not (folder / "tiny.json").exists()


def test_runs_are_repeated_and_a_changed_one_is_found(small, capsys):
    folder, _ = small
    experiments.main(["collect", str(folder / "made")])
    words = ["replay", "--share", "0.3", "--cores", "1"]
    assert experiments.main(words) == 0
    assert "2 of 2 drawn runs agree, 0 differ" in capsys.readouterr().out
    content = load(folder / "tiny.json")
    for case in content["cases"]:
        for name in ("elbo", "gap"):
            case[name] = [[value + 50 for value in row] for row in case[name]]
    (folder / "tiny.json").write_text(json.dumps(content))
    assert experiments.main(words) == 1
    assert "0 of 2 drawn runs agree, 2 differ" in capsys.readouterr().out
    assert experiments.main([*words, "--minutes", "0"]) == 1  # none was begun
    for case in content["cases"]:
        case["settings"]["data"] = "mnist_sample"
        case["settings"]["folder"] = str(folder)
    (folder / "tiny.json").write_text(json.dumps(content))
    for path in (folder / "build").rglob("runs/*.json"):
        path.unlink()
    assert experiments.main(words) == 1
    assert "2 failed" in capsys.readouterr().out


def test_what_takes_hours_is_not_drawn(small, capsys, monkeypatch):
    folder, _ = small
    assert experiments.main(["collect", str(folder / "made")]) == 0
    monkeypatch.setattr(experiments, "hours", lambda settings: settings["samples"] == 12)
    monkeypatch.setattr(experiments, "again", lambda *run: run[3]["settings"]["samples"])
    assert experiments.main(["replay", "--share", "1"]) == 1
    assert "of 3 drawn runs" in capsys.readouterr().out
    one = {"samples": 100, "noise": "softplus"}
    monkeypatch.undo()
    assert experiments.hours(one)
    assert not experiments.hours(one | {"noise": "scalar"})
    assert not experiments.hours(one | {"samples": 10})

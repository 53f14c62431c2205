"""Runs from plain settings: every data set, every choice, and the device they ran on."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from workflow.settings import COLUMNS, DATA, DRAWN, READ, Settings, train

TINY = {"latent": 1, "count": 30, "steps": 4, "log_every": 4, "nodes": 2}


@pytest.mark.parametrize("data", [name for name in DATA if name not in READ])
def test_every_data_set_trains_from_its_name(data):
    run = train(Settings(data=data, **TINY), seed=3)
    record = json.loads(json.dumps(run.to_json()))
    assert record["columns"] == list(COLUMNS) and len(record["rows"]) == 2
    assert record["device"] in ("cpu", "cuda") and record["maximum"] >= record["rows"][-1][1]
    other = train(Settings(data=data, **TINY), seed=4)
    assert other.rows != run.rows
    assert (other.maximum != run.maximum) == (data in DRAWN)  # the seed draws the data, or not


def test_a_run_is_what_its_settings_say():
    settings = Settings(
        **TINY, hidden=[4], noise="pixel", learnable_prior=True, profile=["noise", "prior"]
    )
    run = train(settings, seed=0)
    gap = COLUMNS.index("gap")
    assert max(abs(row[gap]) for row in run.rows) < 1e-12 and run.maximum is None
    total = run.rows[-1][COLUMNS.index("entropy_sum")]
    parts = [
        run.rows[-1][COLUMNS.index(f"{n}_entropy")] for n in ("posterior", "prior", "observable")
    ]
    assert total == pytest.approx(parts[0] - parts[1] - parts[2], abs=1e-12)


def test_data_are_read_from_the_folder_that_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="MNIST"):
        train(Settings(data="mnist", folder=str(tmp_path), **TINY), seed=0)


@pytest.mark.parametrize("name", ("my.csv", "my.npy", "pictures"))
def test_data_of_ones_own_are_read(tmp_path, name):
    x = np.random.default_rng(0).random((20, 2, 2))
    if name == "my.csv":
        np.savetxt(tmp_path / name, x.reshape(20, 4), delimiter=",", header="a,b,c,d", comments="")
    elif name == "my.npy":
        np.save(tmp_path / name, x)
    else:
        (tmp_path / name).mkdir()
        for index, each in enumerate(x):
            Image.fromarray((255 * each).astype("u1")).save(tmp_path / name / f"{index}.png")
    assert train(Settings(data={"file": str(tmp_path / name)}, **TINY), seed=0).maximum is not None


def test_a_file_that_changed_is_not_trained_on(tmp_path):
    (tmp_path / "my.csv").write_text("a,b,c\n1,2,3\n4,5,7\n")
    data = {"file": str(tmp_path / "my.csv"), "sha256": "0" * 64}
    with pytest.raises(ValueError, match="must stay as it was when the grid was read"):
        train(Settings(data=data, **TINY), seed=0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"data": {"folder": "x"}}, r"or a file of your own as \{file: PATH\}: got"),
        ({"data": "cifar"}, "data must be one of celeba, circle"),
        ({"data": "wine", "folder": "here"}, "folder must be left out for data='wine'"),
        ({"data": "celeba"}, "folder must name where CelebA lies"),
        ({"noise": "fixed"}, "noise must be one of scalar, pixel, head, softplus: got 'fixed'"),
        ({"activation": "sin"}, "activation must be one of tanh, relu: got 'sin'"),
        ({"encoder_scale": "abs"}, "encoder_scale must be one of exp, softplus: got 'abs'"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda: got 'tpu'"),
        ({"profile": ["prior"]}, "needs learnable_prior=True"),
        ({"profile": ["noise"], "noise": "softplus"}, "no closed form"),
        ({"nodes": 0}, "nodes must be"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        Settings(**settings)


def test_a_gpu_is_asked_for_where_the_run_takes_place(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settings = Settings(device="cuda", **TINY)
    with pytest.raises(ValueError, match='device="cuda" needs a GPU'):
        train(settings, seed=0)

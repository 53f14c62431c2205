"""Manifolds: the noise-free points obey their equations, the noise has its size, seeds matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import make_swiss_roll

from companion import datasets

COLUMNS = {"circle": 2, "eight_gaussians": 2, "cosine": 2, "lemniscate": 2}
COLUMNS |= {"swiss_roll": 3, "spiral": 3, "manifold": 10}

every_manifold = pytest.mark.parametrize("name", COLUMNS)


def make(name, *arguments, **options):
    return getattr(datasets, name)(*arguments, **options)


def clean(name, count=3000):
    return make(name, count, noise_std=0).T


@every_manifold
def test_shape_type_and_seed(name):
    x = make(name, 200, seed=3)
    assert x.shape == (200, COLUMNS[name]) and x.dtype == torch.float64
    assert torch.equal(x, make(name, 200, seed=3))
    assert not torch.equal(x, make(name, 200, seed=4))


@every_manifold
def test_noise_is_gaussian_of_its_standard_deviation_on_the_same_points(name):
    noise = (make(name, 4000, noise_std=0.3) - make(name, 4000, noise_std=0)) / 0.3
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float((noise**4).mean()) == pytest.approx(3, abs=0.2)
    off = torch.corrcoef(noise.T) - torch.eye(COLUMNS[name])
    assert float(off.abs().max()) < 0.08


def uniform(values, low, high):
    """Extremes and first two moments of a uniform distribution, to sampling error."""
    values = torch.as_tensor(values)
    unit = (values - low) / (high - low)
    return (
        0 <= float(unit.min()) < 0.01
        and 0.99 < float(unit.max()) <= 1
        and abs(float(unit.mean()) - 1 / 2) < 0.02
        and abs(float(unit.var()) - 1 / 12) < 0.005
    )


def test_the_circle():
    x, y = clean("circle")
    torch.testing.assert_close(x**2 + y**2, torch.ones_like(x))
    assert uniform(torch.atan2(y, x), -math.pi, math.pi)


def test_the_eight_gaussians():
    x, y = clean("eight_gaussians")
    torch.testing.assert_close(torch.hypot(x, y), torch.full_like(x, 0.4))
    eighths = torch.atan2(y, x) / (math.pi / 4)
    assert float((eighths - eighths.round()).abs().max()) < 1e-12
    share = torch.bincount(eighths.round().long() % 8) / len(x)
    assert len(share) == 8 and float((share - 1 / 8).abs().max()) < 0.03


def test_the_cosine():
    x, y = clean("cosine")
    torch.testing.assert_close(y, 1 + torch.cos(x))
    assert uniform(x, 0, 3 * math.pi)


def test_the_lemniscate():
    x, y = 2 * clean("lemniscate")
    torch.testing.assert_close(y**2, x**2 * (1 - x**2))
    assert uniform(torch.atan2(y / x, x), -math.pi, math.pi), "all of it, with equal weights"


def test_the_swiss_roll_is_that_of_scikit_learn():
    theirs = make_swiss_roll(50, noise=0.2, random_state=3)[0]
    np.testing.assert_array_equal(datasets.swiss_roll(50, 0.2, seed=3), theirs)


def test_the_spiral():
    x, y, z = clean("spiral") / 2.5
    t = (z - x) / 2.4
    assert uniform(t, 0, 1)
    torch.testing.assert_close((x + z) / 2, torch.sin(2 * math.pi * t))
    torch.testing.assert_close(y, torch.cos(2 * math.pi * t))


@pytest.mark.parametrize(("intrinsic", "observed"), ((1, 3), (2, 2), (3, 9)))
def test_the_manifold_is_the_graph_of_cosines_of_squares(intrinsic, observed):
    x = datasets.manifold(2000, intrinsic, observed, noise_std=0)
    assert x.shape == (2000, observed)
    assert all(uniform(column, -1, 1) for column in x[:, :intrinsic].T)
    pairs = [(a, b) for a in range(intrinsic) for b in range(a + 1, intrinsic)] or [(0, 0)]
    for column in x[:, intrinsic:].T:
        found = [torch.cos(x[:, a] ** 2 + x[:, b] ** 2) for a, b in pairs]
        assert min(float((column - wanted).abs().max()) for wanted in found) < 1e-14


def test_the_manifold_has_its_number_of_dimensions():
    """Locally, all but k directions shrink: near a point the cloud is a k-dimensional plane."""
    x = datasets.manifold(200_000, 2, 6, noise_std=0)
    near = x[((x - x[0]) ** 2).sum(1) < 0.1**2]
    values = torch.linalg.eigvalsh(torch.cov(near.T)).flip(0)
    assert values[1] > 0.2 * values[0] and values[2] < 0.02 * values[1]


@pytest.mark.parametrize(
    ("call", "message"),
    (
        (lambda: datasets.cosine(5, noise_std=-1), "noise_std must be a finite .*: got -1"),
        (
            lambda: datasets.spiral(5, noise_std=math.nan),
            "noise_std must be .* at least 0: got nan",
        ),
        (lambda: datasets.manifold(5, intrinsic=0), "intrinsic must be a positive integer: got 0"),
        (lambda: datasets.manifold(5, 2, observed=0), "observed must be a positive integer: got 0"),
        (lambda: datasets.manifold(5, 4, 3), "intrinsic must be at most observed = 3: got 4"),
    ),
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

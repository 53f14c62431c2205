"""Fits to data in blocks end where fits to the same data in memory do."""

import numpy as np
import pytest
import torch

from companion import fit, models, verify
from companion.datasets import Blocks, iris


@pytest.fixture
def x():
    data = iris()
    narrow = torch.randn(60, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.cat([data, 1e2 + 1e-2 * narrow])


def cut(x):
    return [x[:1], x[1:97].numpy(), x[97:]]


def same(one, other, tolerance=1e-9):
    for name, value in one.parameters.items():
        torch.testing.assert_close(other.parameters[name], value, rtol=tolerance, atol=tolerance)
    assert one.trace.steps == other.trace.steps
    for a, b in zip(one.trace.records, other.trace.records, strict=True):
        for name in ("elbo", "entropy_sum", "posterior_entropy", "observable_entropy", "slope"):
            assert abs(getattr(a, name) - getattr(b, name)) <= tolerance * (1 + abs(a.elbo)), name
        assert b.relative_residual < 1e-12
        assert abs(a.gradient_norm - b.gradient_norm) <= 1e-7 * (1 + a.gradient_norm)


@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
@pytest.mark.parametrize("covariance", ["spherical", "diagonal", "full", "tied"])
def test_a_mixture_learns_from_blocks_what_it_learns_from_all(x, covariance, narrow):
    data = x if narrow else x[:150]
    model = models.GaussianMixture(4, 2, covariance)
    start = model.random_start(data, torch.Generator().manual_seed(1))
    if narrow:
        start["means"] = torch.stack([data[0], data[-1]])
    settings = {"steps": 8, "log_every": 4, "tolerance": None}
    same(fit.em(model, start, data, **settings), fit.em(model, start, cut(data), **settings))


@pytest.mark.parametrize("learnable", [False, True])
def test_factor_analysis_learns_from_blocks_what_it_learns_from_all(x, learnable):
    model, data = models.FactorAnalysis(4, 1, learnable_prior=learnable), x[:150]
    start = model.initial_parameters(torch.Generator().manual_seed(1))
    settings = {"steps": 60, "log_every": 20, "tolerance": None}
    same(fit.em(model, start, data, **settings), fit.em(model, start, cut(data), **settings))


def test_ppca_takes_its_maximum_from_blocks(x, tmp_path):
    model, data = models.PPCA(4, 2), x[:150]
    np.save(tmp_path / "x.npy", data.numpy())
    expected = model.maximum_likelihood(data)
    for blocks in (cut(data), Blocks(tmp_path / "x.npy"), np.load(tmp_path / "x.npy", "r")):
        found = model.maximum_likelihood(blocks)
        assert abs(verify(model, found, None, data).gap) < 1e-12
        torch.testing.assert_close(found["log_variance"], expected["log_variance"])
        torch.testing.assert_close(found["weights"].abs(), expected["weights"].abs())


def test_fewer_points_than_columns_give_the_same_axes():
    g = torch.Generator().manual_seed(3)
    x = torch.randn(9, 14, dtype=torch.float64, generator=g) * torch.linspace(1, 3, 14)
    model = models.PPCA(14, 3)
    for chosen in ((0, 1, 2), (0, 2), ()):
        found = model.stationary_point(x, chosen)
        report = verify(model, found, None, x)
        assert abs(report.gap) < 1e-12 and report.gradient_norm < 1e-12
        # The same data with each point twice have the same covariance, by the other route.
        other = model.stationary_point(x.repeat(2, 1), chosen)
        torch.testing.assert_close(found["weights"].abs(), other["weights"].abs())
        torch.testing.assert_close(found["log_variance"], other["log_variance"])
    with pytest.raises(ValueError, match="give no stationary point"):
        model.stationary_point(x, (9,))


def test_what_needs_all_data_at_once_says_so(x):
    blocks, mixture = cut(x), models.GaussianMixture(4, 2)
    start = mixture.initial_parameters(torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="x must"):
        verify(mixture, start, None, blocks)
    with pytest.raises(ValueError, match="x must"):
        mixture.random_start(Blocks(blocks))
    with pytest.raises(ValueError, match="x must"):
        fit.lbfgs(mixture, start, None, Blocks(blocks))


def test_blocks_of_other_columns_are_refused(x):
    model = models.GaussianMixture(3, 2)
    start = model.initial_parameters(torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="block 1 of x must have 3 columns"):
        fit.em(model, start, cut(x))

"""Families from a reader's functions: SciPy, quadrature, the shipped families, bad functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from companion import families, models, verify
from tests.cases import generator


def logarithmic(**options):
    return families.Custom(
        lambda x: x,
        lambda eta: (-torch.log1p(-eta.exp())).log().sum(-1),
        lambda x: -x.log().sum(-1),
        support=lambda x: (x >= 1) & (x == x.round()),
        name="logarithmic series",
        **options,
    )


def rayleigh():
    return families.Custom(
        lambda x: x**2, lambda eta: -(-2 * eta).log().sum(-1), lambda x: x.log().sum(-1)
    )


def poisson():
    return families.Custom(
        lambda x: x, lambda eta: eta.exp().sum(-1), lambda x: -torch.lgamma(x + 1).sum(-1)
    )


@pytest.mark.parametrize("p", [0.1, 0.7, 0.99])
def test_logarithmic_series_against_scipy(p):
    family, k = logarithmic(), torch.arange(1, 5000, dtype=torch.float64)[:, None]
    eta = torch.tensor([p], dtype=torch.float64).log()
    log_p = family.log_prob(k, eta)
    np.testing.assert_allclose(log_p.exp(), stats.logser.pmf(k[:, 0], p), rtol=1e-9, atol=1e-300)
    assert float(log_p.exp().sum()) == pytest.approx(1.0, abs=1e-12)
    mean = float(family.mean_parameters(eta)[0])
    assert mean == pytest.approx(stats.logser.mean(p), rel=1e-10)
    relative = log_p - family.log_base_measure(k)
    entropy = -float((log_p.exp() * relative).sum())
    assert float(family.pseudo_entropy(eta)) == pytest.approx(entropy, rel=1e-10)


def test_rayleigh_against_scipy_and_quadrature():
    family, scale = rayleigh(), 1.7
    eta = torch.tensor([-1 / (2 * scale**2)], dtype=torch.float64)
    x = torch.linspace(0.1, 9, 50, dtype=torch.float64)[:, None]
    expected = stats.rayleigh(scale=scale)
    np.testing.assert_allclose(family.log_prob(x, eta), expected.logpdf(x[:, 0]), rtol=1e-12)

    def integrand(value):
        given = torch.tensor([value], dtype=torch.float64)
        relative = family.log_prob(given, eta) - family.log_base_measure(given)
        return -float(relative) * expected.pdf(value)

    assert float(family.pseudo_entropy(eta)) == pytest.approx(
        integrate.quad(integrand, 0, 40)[0], rel=1e-8
    )


def test_it_equals_a_family_that_the_package_ships():
    own, shipped = poisson(), families.Poisson()
    g = generator("custom")
    eta = torch.randn(5, 3, dtype=torch.float64, generator=g)
    x = torch.poisson(torch.full((5, 3), 2.0, dtype=torch.float64), generator=g)
    for method in ("log_partition", "mean_parameters", "pseudo_entropy"):
        torch.testing.assert_close(getattr(own, method)(eta), getattr(shipped, method)(eta))
    torch.testing.assert_close(own.log_prob(x, eta), shipped.log_prob(x, eta))
    torch.testing.assert_close(own.pairwise_log_prob(x, eta), shipped.pairwise_log_prob(x, eta))
    assert not own.constant_base_measure
    with pytest.raises(ValueError, match="use pseudo_entropy"):
        own.entropy(eta)


def test_without_a_base_measure_it_is_one():
    family = families.Custom(lambda x: x, lambda eta: -(-eta).log().sum(-1))
    eta = torch.tensor([-2.0], dtype=torch.float64)
    assert family.constant_base_measure
    torch.testing.assert_close(family.entropy(eta), families.Exponential().entropy(eta))


def words(family):
    return models.GenerativeModel(
        families.Bernoulli(),
        lambda p: p["a"],
        family,
        lambda p, z: torch.nn.functional.logsigmoid(p["b"] + z * p["step"]),
        states=torch.tensor([[0.0], [1.0]], dtype=torch.float64),
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_model_with_it_obeys_the_identity(seed):
    g = torch.Generator().manual_seed(seed)
    p = {n: torch.randn(1, dtype=torch.float64, generator=g) for n in ("a", "b", "step")}
    x = torch.tensor([[1.0], [1.0], [2.0], [7.0], [30.0]], dtype=torch.float64)
    model = words(logarithmic())
    report = verify(model, p, model.posterior(p, x), x)
    assert report.relative_residual < 1e-12
    assert report.form == "pseudo"


def test_bad_functions_and_values_are_named():
    one = torch.ones(1, dtype=torch.float64)
    unsummed = families.Custom(lambda x: x, lambda eta: eta.exp(), name="mine")
    with pytest.raises(ValueError, match=r"log_partition of the mine family.*sum over the last"):
        unsummed.log_partition(one)
    unsummed = families.Custom(lambda x: x, lambda eta: eta.sum(-1), lambda x: x)
    with pytest.raises(ValueError, match="log_base_measure of the custom family"):
        unsummed.log_base_measure(one)
    with pytest.raises(ValueError, match="give it a sampler"):
        logarithmic().sample(-one)
    p = {n: -one for n in ("a", "b", "step")}
    with pytest.raises(ValueError, match=r"x must be in the support .*logarithmic.*\[0, 2\]"):
        words(logarithmic()).check(p, torch.tensor([[0.0], [2.0]]))
    assert rayleigh().invalid(torch.tensor([[torch.nan]])) is not None


def test_a_sampler_is_used():
    family = logarithmic(sampler=lambda eta, generator: torch.full_like(eta, 3.0))
    assert float(family.sample(-torch.ones(2))[0]) == 3.0
    assert repr(family) == "Custom(logarithmic series)"

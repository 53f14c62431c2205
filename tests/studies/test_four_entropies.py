"""Weights by torch.distributions, and the bound's change along v by finite differences."""

import pytest
import torch

from companion import iwae_bound, models, variational, verify
from companion.studies.four_entropies.bounds import along_direction, log_weights


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(5)
    model = models.PPCA(observed=3, latent=2, learnable_prior=True)
    x, mean = (torch.randn(4, k, dtype=torch.float64, generator=generator) for k in (3, 2))
    rule = variational.samples(4, 6, 2, generator)
    q = variational.Gaussian(mean, torch.full_like(mean, 0.7), rule)
    return model, model.initial_parameters(generator), q, x


def test_the_log_mean_of_the_weights_is_the_bound(case):
    log_w = log_weights(*case)
    assert log_w.shape == (4, 6)
    torch.testing.assert_close(log_w.exp().mean(1).log().mean(), iwae_bound(*case))


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_finite_differences_are_the_slope_along_v(case, alpha):
    model, parameters, q, x = case
    v, at = model.gap_direction(parameters), torch.zeros((), dtype=torch.float64)
    _, slope = torch.func.jvp(
        lambda s: iwae_bound(model, {k: p + s * v[k] for k, p in parameters.items()}, q, x, alpha),
        (at,),
        (torch.ones_like(at),),
    )
    assert along_direction(*case, step=1e-4, alpha=alpha) == pytest.approx(float(slope), rel=1e-6)


def test_it_is_the_slope_that_verify_reports(case):
    found = verify(*case, samples=6).slope
    assert along_direction(*case, step=1e-4) == pytest.approx(found, rel=1e-6)

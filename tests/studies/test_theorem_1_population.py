"""The population ELBO is what the ELBO of a sample with that very covariance is."""

import pytest
import torch

from companion import elbo, models
from companion.studies.theorem_1.population import population_elbo


def test_it_is_the_elbo_of_points_with_the_populations_covariance():
    g = torch.Generator().manual_seed(0)
    model = models.PPCA(observed=5, latent=2)
    parameters = model.initial_parameters(g)
    x = torch.randn(30, 5, dtype=torch.float64, generator=g) * torch.arange(1, 6)
    centred = x - parameters["mean"]
    covariance = centred.T @ centred / len(x)
    expected = elbo(model, parameters, model.posterior(parameters, x), x)
    found = population_elbo(model, parameters, covariance)
    assert float(found) == pytest.approx(float(expected), rel=1e-12)

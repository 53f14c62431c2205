"""Covariance matrices and random starts of Gaussian mixtures, for every covariance type."""

import pytest
import torch

from companion import datasets, models

TYPES = ("spherical", "diagonal", "full", "tied")


@pytest.mark.parametrize("covariance", TYPES)
def test_covariance_matrices_are_those_of_the_density(covariance):
    generator = torch.Generator().manual_seed(5)
    model = models.GaussianMixture(observed=3, components=2, covariance_type=covariance)
    parameters = model.initial_parameters(generator)
    x = torch.randn(7, 3, dtype=torch.float64, generator=generator)
    matrices = model.covariance_matrices(parameters)
    assert matrices.shape == (2, 3, 3)
    oracle = torch.distributions.MultivariateNormal(parameters["means"], matrices)
    log_prior = torch.log_softmax(parameters["prior_logits"], 0)
    joint = model.log_joint(parameters, x, model.states)
    torch.testing.assert_close(
        joint, oracle.log_prob(x[:, None, :]) + log_prior, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("covariance", TYPES)
def test_a_random_start_has_means_in_the_data_and_the_covariance_of_all_data(covariance):
    x = datasets.iris(standardize=True)
    model = models.GaussianMixture(observed=4, components=3, covariance_type=covariance)
    start = model.random_start(x, torch.Generator().manual_seed(1))
    model.check(start, x)
    assert all(bool((x == mean).all(1).any()) for mean in start["means"])
    assert len(torch.unique(start["means"], dim=0)) == 3
    torch.testing.assert_close(
        torch.softmax(start["prior_logits"], 0), torch.full((3,), 1 / 3).double()
    )
    matrix = model.covariance_matrices(start)[0]
    expected = torch.cov(x.T, correction=0)
    if covariance in ("spherical", "diagonal"):
        expected = torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(matrix, expected)
    again = model.random_start(x, torch.Generator().manual_seed(1))
    assert torch.equal(start["means"], again["means"])


def test_a_random_start_needs_a_point_for_each_component():
    model = models.GaussianMixture(observed=4, components=3)
    with pytest.raises(ValueError, match="got 2 for 3 components"):
        model.random_start(datasets.iris()[:2])

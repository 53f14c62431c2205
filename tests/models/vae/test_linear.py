"""Probabilistic PCA as a linear VAE: the same likelihood, and bad calls."""

import pytest
import torch

from companion import datasets, elbo, models
from companion.models.vae.linear import linear_vae

X = datasets.wine(standardize=True)[:, :7] + torch.arange(7.0)  # not centred


def test_its_elbo_is_the_likelihood():
    ppca = models.PPCA(7, 3)
    parameters = ppca.stationary_point(X, (0, 2, 3))
    model, own, q = linear_vae(ppca, parameters, X)
    expected = float(ppca.log_likelihood(parameters, X))
    assert float(elbo(model, own, q, X)) == pytest.approx(expected, rel=1e-13)


def test_bad_calls():
    ppca = models.PPCA(7, 3)
    parameters = ppca.initial_parameters(torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="columns of W must be orthogonal"):
        linear_vae(ppca, parameters, X)
    learnable = models.PPCA(7, 3, learnable_prior=True)
    with pytest.raises(ValueError, match="fixed prior"):
        linear_vae(learnable, learnable.maximum_likelihood(X), X)

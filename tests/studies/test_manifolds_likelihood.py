"""Quadrature over the latents against closed forms: likelihood, divergence, ELBO."""

from __future__ import annotations

import math

import pytest
import torch

from companion import datasets, elbo, models, variational
from companion.studies.manifolds.likelihood import latent_grid, marginal

X = datasets.wine(standardize=True)[:30, [0, 6, 9]]


def draw(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def some_q():
    scale = 0.3 + 0.2 * draw(len(X), 2, seed=2).abs()
    return variational.Gaussian(draw(len(X), 2, seed=1), scale)


@pytest.mark.parametrize("learnable", (False, True))
def test_likelihood_and_posterior_of_a_linear_decoder_are_exact(learnable):
    """x ~ N(b, WΛW' + σ²I), and KL between Gaussians in closed form."""
    model = models.GaussianVAE(3, 2, learnable_prior=learnable)
    p = model.initial_parameters(torch.Generator().manual_seed(3))
    p = {name: value + 0.3 * draw(*value.shape, seed=4) for name, value in p.items()}
    found = marginal(model, p, some_q(), X)
    w, variance = p["mean.weights"], p["log_variance"].exp()
    prior = p["prior_log_variance"].exp() if learnable else torch.ones(2, dtype=torch.float64)
    covariance = w @ torch.diag(prior) @ w.T + variance * torch.eye(3, dtype=torch.float64)
    normal = torch.distributions.MultivariateNormal(p["mean.bias"], covariance)
    torch.testing.assert_close(found.log_likelihood, normal.log_prob(X), rtol=0, atol=1e-12)

    precision = torch.diag(1 / prior) + w.T @ w / variance
    mean = (X - p["mean.bias"]) @ w @ torch.linalg.inv(precision) / variance
    posterior = torch.distributions.MultivariateNormal(mean, precision_matrix=precision)
    q = some_q()
    own = torch.distributions.MultivariateNormal(q.mean, scale_tril=torch.diag_embed(q.scale))
    wanted = torch.distributions.kl_divergence(own, posterior)
    torch.testing.assert_close(found.divergence, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("noise", ("scalar", "head", "softplus"))
def test_elbo_and_divergence_add_up_to_the_likelihood(noise):
    model = models.GaussianVAE(3, 2, (4,), noise_type=noise)
    p = model.initial_parameters(torch.Generator().manual_seed(5))
    q = some_q()
    fine = variational.Gaussian(q.mean, q.scale, variational.gauss_hermite(2, 40))
    found = marginal(model, p, q, X)
    bound = float(elbo(model, p, fine, X))
    assert float(found.log_likelihood.mean()) - float(found.divergence.mean()) == pytest.approx(
        bound, abs=1e-8
    )
    assert float(found.divergence.min()) > 0
    (_, likelihood), (_, divergence) = found.rows()
    assert likelihood - divergence == pytest.approx(bound, abs=1e-8)


def test_a_finer_grid_agrees_and_chunks_do_not_matter(monkeypatch):
    model = models.GaussianVAE(3, 2, (4,))
    p = model.initial_parameters(torch.Generator().manual_seed(5))
    fine = marginal(model, p, some_q(), X)
    finest = latent_grid(model, p, some_q(), resolution=0.25)
    assert len(finest.z) > 3 * len(latent_grid(model, p, some_q()).z)
    close = marginal(model, p, some_q(), X, finest)
    torch.testing.assert_close(close.log_likelihood, fine.log_likelihood, rtol=0, atol=1e-9)
    monkeypatch.setattr("companion.studies.manifolds.likelihood._PAIRS", 1000)
    pieces = marginal(model, p, some_q(), X)
    torch.testing.assert_close(pieces.log_likelihood, fine.log_likelihood, rtol=0, atol=1e-12)
    torch.testing.assert_close(pieces.divergence, fine.divergence, rtol=0, atol=1e-12)


def test_the_grid_covers_prior_and_q():
    model = models.GaussianVAE(3, 2, learnable_prior=True)
    p = model.initial_parameters() | {"prior_log_variance": torch.tensor([math.log(9.0), 0.0])}
    p = {name: value.to(torch.float64) for name, value in p.items()}
    mean = torch.tensor([[0.0, 10.0]], dtype=torch.float64)
    z, weights = latent_grid(model, p, variational.Gaussian(mean, 0 * mean + 0.5), reach=4)
    torch.testing.assert_close(z.amin(0), z.new_tensor([-12.0, -4.0]))
    torch.testing.assert_close(z.amax(0), z.new_tensor([12.0, 12.0]))
    steps = [torch.unique(column).diff().max() for column in z.T]
    assert 0.24 < float(steps[0]) <= 0.25, "half of q's standard deviation"
    assert 0.19 < float(steps[1]) <= 0.2 + 1e-12, "a fifth of the prior's"
    torch.testing.assert_close(weights, (steps[0] * steps[1]).expand(len(z)))


@pytest.mark.parametrize(
    ("call", "message"),
    (
        (lambda m, p, q: latent_grid(m, p, q, resolution=0), "resolution must be positive: got 0"),
        (lambda m, p, q: latent_grid(m, p, q, reach=-1), "reach must be positive: got -1"),
        (lambda m, p, q: latent_grid(m, p, q, resolution=1e-3), "nodes, and 4000000 are allowed"),
        (lambda m, p, q: marginal(m, p, q, X[:2]), "for each of 2 points: got 30"),
        (
            lambda m, p, q: marginal(m, p, m.posterior(p, X), X),
            "q must be Gaussian with a diagonal covariance",
        ),
    ),
)
def test_bad_arguments_are_named(call, message):
    model = models.PPCA(3, 2)
    with pytest.raises(ValueError, match=message):
        call(model, model.initial_parameters(torch.Generator().manual_seed(0)), some_q())


def test_other_priors_are_refused():
    model = models.SparseCoding(3, 2)
    p = model.initial_parameters(torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="Gaussian prior with independent latents: got"):
        latent_grid(model, p, some_q())

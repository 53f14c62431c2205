"""Slopes of the ELBO along single latents, and what a latent knows: against quadrature."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from companion import elbo, gap_blocks, models, variational, verify
from companion.models.vae.latents import latent_entropies
from companion.studies.collapse.latents import latent_information, latent_slopes
from tests.models.vae.points import POINTS, D, H, N, encoded, generator, vae


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())
def test_difference_minus_kl_is_the_slope_of_the_elbo_along_each_latents_block(point):
    model, parameters, q, x = point()
    latents = latent_entropies(model, parameters, q)
    slopes = latent_slopes(model, parameters, q, x)
    bound = 1e-12 * (1 + abs(float(elbo(model, parameters, q, x))))
    assert float((latents.gap - slopes).abs().max()) < bound
    assert float(slopes.abs().max()) > 0.05  # the check could fail


def test_slopes_need_the_nodes_and_differ_from_the_gap_where_those_are_samples():
    model, parameters, q, x = encoded()
    noisy = q.on(x, variational.samples(N, 2, H, generator()))
    gap = latent_entropies(model, parameters, noisy).gap
    assert float((latent_slopes(model, parameters, noisy, x) - gap).abs().max()) > 1e-3


def test_slopes_are_those_of_the_projections_blocks():
    model, parameters, q, x = encoded()
    blocks = gap_blocks(model, parameters, q, x)
    each = [
        verify(model, parameters, q, x, direction=blocks[f"latent {h}"]).slope for h in range(H)
    ]
    np.testing.assert_allclose(latent_slopes(model, parameters, q, x).numpy(), each, atol=1e-13)


def test_information_of_a_constant_posterior_is_zero():
    mean, std = torch.ones(5, 2, dtype=torch.float64), torch.full((5, 2), 0.3, dtype=torch.float64)
    found = latent_information(variational.Gaussian(mean, std))
    assert float(found.abs().max()) < 1e-12


def test_information_of_points_far_apart_is_log_n():
    mean = 30 * torch.arange(4, dtype=torch.float64)[:, None]
    found = latent_information(variational.Gaussian(mean, torch.ones_like(mean)))
    assert float(found[0]) == pytest.approx(math.log(4), abs=1e-12)


def test_information_against_quadrature_and_below_the_kl():
    model, parameters, q, _ = vae()
    mean, std = q.mean.numpy(), q.scale.numpy()
    for h, found in enumerate(latent_information(q).tolist()):

        def integrand(z, h=h):
            density = stats.norm.pdf(z, mean[:, h], std[:, h]).mean()
            return -density * math.log(density) if density else 0.0

        entropy = integrate.quad(integrand, -12, 12, limit=400, epsabs=1e-11)[0]
        own = 0.5 * math.log(2 * math.pi * math.e) + np.log(std[:, h]).mean()
        assert found == pytest.approx(entropy - own, abs=1e-8)
    assert bool((latent_information(q) < latent_entropies(model, parameters, q).kl).all())


def test_too_narrow_for_the_grid():
    mean = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"not be narrower .* found a standard deviation of 1e-05"):
        latent_information(variational.Gaussian(mean, torch.full_like(mean, 1e-5)))


def test_a_model_without_a_gaussian_prior_has_no_slopes():
    x = vae()[-1]
    net = models.SigmoidBeliefNet(D, H)
    states = variational.MeanFieldBernoulli(torch.zeros(N, H, dtype=torch.float64))
    bits = (x > 0).double()
    with pytest.raises(ValueError, match="model must have a Gaussian prior"):
        latent_slopes(net, net.initial_parameters(generator()), states, bits)

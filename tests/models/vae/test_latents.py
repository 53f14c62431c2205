"""Entropies of single latents: against densities, against the ELBO's gradient, and bad calls."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from companion import elbo, entropy_sum, gap_blocks, models, project, variational, verify
from companion.models.vae.latents import latent_entropies, latent_information, latent_slopes
from companion.theory.elbo import expected_log_probs

N, D, H = 9, 5, 3


def generator():
    return torch.Generator().manual_seed(4)


def vae(learnable_prior=False, hidden=(4,), noise="scalar"):
    """A random VAE with random free q, at no stationary point."""
    g = generator()
    model = models.GaussianVAE(D, H, hidden, noise, learnable_prior)
    parameters = model.initial_parameters(g)
    if learnable_prior:
        parameters["prior_log_variance"] = torch.randn(H, dtype=torch.float64, generator=g)
    mean = torch.randn(N, H, dtype=torch.float64, generator=g)
    std = 0.2 + torch.rand(N, H, dtype=torch.float64, generator=g)
    x = torch.randn(N, D, dtype=torch.float64, generator=g)
    return model, parameters, variational.Gaussian(mean, std), x


def encoded(learnable_prior=False):
    """The same VAE with an encoder for q."""
    model, parameters, _, x = vae(learnable_prior)
    encoder = models.Encoder(D, H, (4,))
    return model, parameters, encoder.posterior(encoder.initial_parameters(generator()), x), x


POINTS = {
    "vae-1": vae,
    "vae-2": lambda: vae(learnable_prior=True),
    "vae-3": lambda: vae(noise="head"),
    "linear, per pixel": lambda: vae(hidden=(), noise="pixel"),
    "vae-1, encoder": encoded,
    "vae-2, encoder": lambda: encoded(learnable_prior=True),
}


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())
def test_difference_minus_kl_is_the_slope_of_the_elbo_along_each_latents_block(point):
    model, parameters, q, x = point()
    latents = latent_entropies(model, parameters, q)
    slopes = latent_slopes(model, parameters, q, x)
    bound = 1e-12 * (1 + abs(float(elbo(model, parameters, q, x))))
    assert float((latents.gap - slopes).abs().max()) < bound
    assert float(slopes.abs().max()) > 0.05  # the check could fail


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())
def test_latents_add_up_to_the_terms_of_elbo_and_entropy_sum(point):
    model, parameters, q, x = point()
    latents = latent_entropies(model, parameters, q)
    sums = entropy_sum(model, parameters, q, x)
    assert float(latents.posterior.sum()) == pytest.approx(float(sums.posterior), abs=1e-12)
    assert float(latents.prior.sum()) == pytest.approx(float(sums.prior), abs=1e-12)
    kl = -expected_log_probs(model, parameters, q, x)["prior"] - q.entropy().mean()
    assert float(latents.kl.sum()) == pytest.approx(float(kl), abs=1e-12)


def test_kl_against_scipy():
    model, parameters, q, _ = vae(learnable_prior=True)
    alpha = parameters["prior_log_variance"].exp().numpy()
    mean, std = q.mean.numpy(), q.scale.numpy()
    expected = np.empty((N, H))
    for n, h in np.ndindex(N, H):
        own, prior = stats.norm(mean[n, h], std[n, h]), stats.norm(0, alpha[h] ** 0.5)
        expected[n, h] = integrate.quad(
            lambda z, own=own, prior=prior: own.pdf(z) * (own.logpdf(z) - prior.logpdf(z)),
            *(mean[n, h] - 12 * std[n, h], mean[n, h] + 12 * std[n, h]),
        )[0]
    found = latent_entropies(model, parameters, q)
    np.testing.assert_allclose(found.kl.numpy(), expected.mean(0), rtol=1e-8)


def test_variances_are_those_of_prior_and_q():
    model, parameters, q, _ = vae(learnable_prior=True)
    found = latent_entropies(model, parameters, q)
    torch.testing.assert_close(found.prior_variance, parameters["prior_log_variance"].exp())
    torch.testing.assert_close(found.posterior_variance, q.scale.log().mean(0).exp() ** 2)


def test_closed_form_does_not_depend_on_the_nodes():
    model, parameters, q, x = encoded()
    noisy = q.on(x, variational.samples(N, 2, H, generator()))
    exact, sampled = (latent_entropies(model, parameters, each) for each in (q, noisy))
    torch.testing.assert_close(exact.kl, sampled.kl, rtol=0, atol=0)
    assert float((latent_slopes(model, parameters, noisy, x) - sampled.gap).abs().max()) > 1e-3


@pytest.mark.parametrize("learnable_prior", [False, True])
def test_after_the_projection_every_difference_is_a_kl(learnable_prior):
    model, parameters, q, x = encoded(learnable_prior)
    before = latent_entropies(model, parameters, q)
    own, moved = project(model, parameters, q, x)
    after = latent_entropies(model, own, moved)
    assert float(before.gap.abs().max()) > 0.1
    assert float(after.gap.abs().max()) < 1e-12
    assert bool((after.difference >= -1e-12).all())


def test_slopes_are_those_of_the_projections_blocks():
    model, parameters, q, x = encoded()
    blocks = gap_blocks(model, parameters, q, x)
    each = [
        verify(model, parameters, q, x, direction=blocks[f"latent {h}"]).slope for h in range(H)
    ]
    np.testing.assert_allclose(latent_slopes(model, parameters, q, x).numpy(), each, atol=1e-13)


def test_a_collapsed_latent_contributes_nothing_whatever_its_scale():
    model, parameters, q, _ = vae(learnable_prior=True)
    scale = parameters["prior_log_variance"][1] / 2
    mean, std = q.mean.clone(), q.scale.clone()
    mean[:, 1], std[:, 1] = 0.0, float(scale.exp())
    found = latent_entropies(model, parameters, variational.Gaussian(mean, std))
    assert abs(float(found.difference[1])) < 1e-15
    assert abs(float(found.kl[1])) < 1e-15
    assert found.active.tolist() == [True, False, True]
    assert found.order[-1] == 1
    assert "collapsed" in str(found).splitlines()[-1]
    assert "collapsed" in found._repr_html_()


def test_the_threshold_is_a_number_of_nats():
    model, parameters, q, _ = vae()
    kl = latent_entropies(model, parameters, q).kl
    middle = float(kl.sort().values[1])
    assert int(latent_entropies(model, parameters, q, threshold=middle).active.sum()) == 1
    assert int(latent_entropies(model, parameters, q, threshold=0.99 * middle).active.sum()) == 2


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


def test_models_and_posteriors_that_have_no_latent_entropies():
    model, parameters, q, x = vae()
    with pytest.raises(ValueError, match="threshold must be at least 0 nats: got -1"):
        latent_entropies(model, parameters, q, threshold=-1)
    with pytest.raises(ValueError, match="over the model's 3 latents: got 2"):
        latent_entropies(model, parameters, variational.Gaussian(q.mean[:, :2], q.scale[:, :2]))
    ppca = models.PPCA(D, H)
    own = ppca.initial_parameters(generator())
    with pytest.raises(ValueError, match="diagonal covariance: got a full covariance"):
        latent_entropies(ppca, own, ppca.posterior(own, x))
    net = models.SigmoidBeliefNet(D, H)
    states = variational.MeanFieldBernoulli(torch.zeros(N, H, dtype=torch.float64))
    with pytest.raises(ValueError, match="got MeanFieldBernoulli"):
        latent_entropies(net, net.initial_parameters(generator()), states)
    with pytest.raises(ValueError, match="Gaussian prior with independent latents: got Bernoulli"):
        latent_entropies(net, net.initial_parameters(generator()), q)
    bits = (x > 0).double()
    with pytest.raises(ValueError, match="model must have a Gaussian prior"):
        latent_slopes(net, net.initial_parameters(generator()), states, bits)

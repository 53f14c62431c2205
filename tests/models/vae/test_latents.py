"""Entropies of single latents: against densities and sums of entropies, and bad calls."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from companion import entropy_sum, models, project, variational
from companion.models.vae.latents import latent_entropies
from companion.theory.elbo import expected_log_probs
from tests.models.vae.points import POINTS, D, H, N, encoded, generator, vae


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


@pytest.mark.parametrize("learnable_prior", [False, True])
def test_after_the_projection_every_difference_is_a_kl(learnable_prior):
    model, parameters, q, x = encoded(learnable_prior)
    before = latent_entropies(model, parameters, q)
    own, moved = project(model, parameters, q, x)
    after = latent_entropies(model, own, moved)
    assert float(before.gap.abs().max()) > 0.1
    assert float(after.gap.abs().max()) < 1e-12
    assert bool((after.difference >= -1e-12).all())


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

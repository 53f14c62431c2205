"""The importance-weighted bound: against torch.distributions, and its four entropies everywhere."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Bernoulli, Normal

from companion import elbo, iwae_bound, iwae_entropy_sum, models, variational, verify
from companion.theory.identity import full_direction
from companion.theory.importance import with_samples
from companion.theory.variational import Amortized, Gaussian
from tests.cases import draw, generator, in_turn, names, point, some_cases

#: All cases with a Gaussian q, whatever its rule: the samples replace it. One in layers is none.
GAUSSIAN = [
    name
    for name in names()
    if isinstance(point(name).q, Gaussian | Amortized)
    and not isinstance(point(name).q, models.Layered)
]


@pytest.mark.parametrize("count", [1, 3, 40])
@pytest.mark.parametrize("name", in_turn(GAUSSIAN))
def test_the_identity_of_four_entropies_holds_at_random(name, count):
    model, parameters, q, x = point(name)
    report = verify(model, parameters, q, x, samples=count)
    assert report.residual <= 1e-12 * (1 + abs(report.elbo))
    assert abs(report.gap) > 1e-4
    assert (
        report.reweighting == pytest.approx(0, abs=1e-12)
        if count == 1 or name.endswith("/exact")  # then all weights are equal
        else (0 < report.reweighting <= math.log(count))
    )


@some_cases("ppca-learnable/full", "vae-pixel-learnable-1-hidden/full")
def test_three_entropies_miss_by_what_reweighting_costs(name):
    model, parameters, q, x = point(name)
    report = verify(model, parameters, q, x, samples=30)
    three = report.entropy_sum + report.reweighting
    assert report.elbo - three - report.slope == pytest.approx(-report.reweighting, rel=1e-9)
    assert report.reweighting > 0.1
    labels = [label for label, _ in report.rows()]
    assert {"bound", "gap = bound − entropy sum", "slope = ⟨∇bound, v⟩"} <= set(labels)
    assert not any("ELBO" in label for label in labels)


def test_the_bound_is_that_of_torch_distributions():
    model, g = models.PPCA(4, 2, learnable_prior=True), generator("bound")
    parameters, x = model.initial_parameters(g), draw(6, 4, g=g)
    q = Gaussian(draw(6, 2, g=g), draw(6, 2, g=g).exp(), variational.samples(6, 9, 2, g))
    z = q.nodes().z
    log_w = Normal(0.0, (parameters["prior_log_variance"] / 2).exp()).log_prob(z).sum(-1)
    log_w += (
        Normal(
            z @ parameters["weights"].T + parameters["mean"], (parameters["log_variance"] / 2).exp()
        )
        .log_prob(x[:, None])
        .sum(-1)
    )
    log_w -= Normal(q.mean[:, None], q.scale[:, None]).log_prob(z).sum(-1)
    for alpha in (0.0, 0.5, -1.0, 2.0):
        expected = torch.log(((1 - alpha) * log_w).exp().mean(1)).mean() / (1 - alpha)
        found = iwae_bound(model, parameters, q, x, alpha)
        assert float(found) == pytest.approx(float(expected), rel=1e-11)
        # Its four entropies: along v, by a Jacobian-vector product, for Rényi's bounds too.
        v = full_direction(model, parameters, q)
        own = {name: v[name] for name in parameters}
        value, slope = torch.func.jvp(
            lambda p, a=alpha: iwae_bound(model, p, q, x, a), (parameters,), (own,)
        )
        total = iwae_entropy_sum(model, parameters, q, x, alpha).total
        assert float(value - total) == pytest.approx(float(slope), rel=1e-10)


def test_one_sample_is_the_elbo_with_a_sampled_entropy_and_binary_data_count_too():
    model, g = models.BernoulliVAE(3, 2, (4,)), generator("one sample")
    parameters, x = model.initial_parameters(g), (draw(5, 3, g=g) > 0).double()
    scale = torch.tril(draw(5, 2, 2, g=g), -1) + torch.diag_embed(draw(5, 2, g=g).exp())
    q = Gaussian(draw(5, 2, g=g), scale, variational.samples(5, 1, 2, g))
    z = q.nodes().z
    full = torch.distributions.MultivariateNormal(q.mean[:, None], scale_tril=scale[:, None])
    torch.testing.assert_close(q.log_prob(z), full.log_prob(z), rtol=1e-11, atol=1e-11)
    sampled = full.log_prob(z).mean() + q.entropy().mean()
    difference = iwae_bound(model, parameters, q, x) - elbo(model, parameters, q, x)
    assert float(difference) == pytest.approx(-float(sampled), rel=1e-9)
    mean = Bernoulli(model.decode(parameters, z)).log_prob(x[:, None]).sum(-1)
    expected = (mean + Normal(0.0, 1.0).log_prob(z).sum(-1) - full.log_prob(z)).mean()
    assert float(iwae_bound(model, parameters, q, x)) == pytest.approx(float(expected), rel=1e-10)


def test_the_exact_posterior_makes_all_weights_equal():
    model, g = models.PPCA(4, 2), generator("exact")
    parameters, x = model.initial_parameters(g), draw(6, 4, g=g)
    report = verify(model, parameters, None, x, samples=7)
    assert report.elbo == pytest.approx(float(model.log_likelihood(parameters, x)), rel=1e-11)
    assert report.reweighting == pytest.approx(0, abs=1e-12)


def test_samples_are_kept_if_there_are_as_many():
    q = Gaussian(torch.zeros(3, 2).double(), torch.ones(3, 2).double())
    q = replace(q, rule=variational.samples(3, 5, 2, generator("kept")))
    assert with_samples(q, 5) is q
    assert with_samples(q, 4).rule.z.shape == (3, 4, 2)
    assert torch.equal(with_samples(q, 4).rule.z, with_samples(q, 4).rule.z)


@pytest.mark.parametrize("count", [0, -1, 2.5, True])
def test_numbers_of_samples_are_positive_integers(count):
    model = models.PPCA(3, 1)
    with pytest.raises(ValueError, match="samples must be a positive integer: got"):
        verify(model, model.initial_parameters(), None, torch.ones(2, 3), samples=count)


def test_what_can_not_be_reweighted_is_named():
    net = models.SigmoidBeliefNet(3, 2)
    bits, start = torch.ones(2, 3).double(), net.initial_parameters()
    with pytest.raises(ValueError, match="q must be Gaussian to be reweighted: got Tabulated"):
        verify(net, start, None, bits, samples=3)
    model, x = models.PPCA(3, 1), torch.ones(2, 3).double()
    parameters = model.initial_parameters()
    with pytest.raises(ValueError, match="with samples as its rule"):
        iwae_bound(model, parameters, None, x)
    q = Gaussian(x[:, :1], x[:, :1], variational.samples(2, 3, 1))
    with pytest.raises(ValueError, match="alpha must be finite and not 1"):
        iwae_bound(model, parameters, q, x, alpha=1.0)

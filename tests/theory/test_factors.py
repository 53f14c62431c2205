"""The lines of the proof: every factor has its own identity, and they add up to the whole."""

import math

import pytest
import torch

from companion import models, variational, verify
from companion.theory.factors import factor_identities


def generator():
    return torch.Generator().manual_seed(5)


def sigmoid_belief_net():
    g = generator()
    model = models.SigmoidBeliefNet(observed=5, latent=3)
    x = torch.bernoulli(torch.full((7, 5), 0.4, dtype=torch.float64), generator=g)
    logits = 2 * torch.randn(7, 8, dtype=torch.float64, generator=g)
    q = variational.Tabulated(variational.binary_states(3), logits)
    return model, model.initial_parameters(g), q, x


def mixture():
    g = generator()
    model = models.GaussianMixture(observed=3, components=4, covariance_type="full")
    x = 2 * torch.randn(9, 3, dtype=torch.float64, generator=g)
    logits = torch.randn(9, 4, dtype=torch.float64, generator=g)
    return model, model.initial_parameters(g), variational.Tabulated(model.states, logits), x


def ppca(learnable_prior=False):
    g = generator()
    model = models.PPCA(observed=4, latent=2, learnable_prior=learnable_prior)
    x = torch.randn(6, 4, dtype=torch.float64, generator=g)
    mean = torch.randn(6, 2, dtype=torch.float64, generator=g)
    scale = torch.rand(6, 2, dtype=torch.float64, generator=g) + 0.3
    return model, model.initial_parameters(g), variational.Gaussian(mean, scale), x


def vae_with_variance_head():
    g = generator()
    model = models.GaussianVAE(observed=4, latent=2, hidden=(5,), noise_type="head")
    _, _, q, x = ppca()
    return model, model.initial_parameters(g), q, x


CASES = {
    "sbn": sigmoid_belief_net,
    "mixture": mixture,
    "ppca": ppca,
    "ppca, learnable prior": lambda: ppca(learnable_prior=True),
    "vae-3": vae_with_variance_head,
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_every_line_holds_on_its_own_and_they_sum_to_the_identity(case):
    model, parameters, q, x = case()
    lines = factor_identities(model, parameters, q, x)
    whole = verify(model, parameters, q, x)
    assert [line.name for line in lines] == [factor.name for factor in model.factors]
    for line in lines:
        assert abs(line.gap) > 1e-2, "a line that is zero on both sides tests nothing"
        assert line.residual <= 1e-13 * (1 + abs(line.cross_entropy))
    assert math.isclose(math.fsum(line.gap for line in lines), whole.gap, abs_tol=1e-12)
    assert math.isclose(math.fsum(line.slope for line in lines), whole.slope, abs_tol=1e-12)


def test_the_terms_are_those_of_a_sum_written_out():
    model, parameters, q, x = sigmoid_belief_net()
    prior, observable = factor_identities(model, parameters, q, x)
    weights, on = q.probabilities, torch.sigmoid(parameters["prior_logits"])
    log_prior = (q.states * on.log() + (1 - q.states) * (1 - on).log()).sum(1)
    assert math.isclose(prior.cross_entropy, -float((weights @ log_prior).mean()), rel_tol=1e-12)
    coins = torch.distributions.Bernoulli(
        logits=q.states @ parameters["weights"].T + parameters["bias"]
    )
    expected = float((weights @ coins.entropy().sum(1)).mean())
    assert math.isclose(observable.entropy, expected, rel_tol=1e-12)
    assert prior.base_measure == observable.base_measure == 0


def test_a_model_without_a_gap_direction_is_refused():
    model = models.GaussianVAE(observed=4, latent=2, noise_type="softplus")
    _, _, q, x = ppca()
    with pytest.raises(ValueError, match="has no gap direction"):
        factor_identities(model, model.initial_parameters(generator()), q, x)

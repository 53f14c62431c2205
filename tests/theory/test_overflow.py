"""NaN and infinity never come out without a sentence: overflow, NaN in q, weights of rules."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from companion import families, fit, models, verify
from companion.theory.variational import Gaussian, Nodes, Tabulated
from tests.cases import draw, generator

X = draw(12, 4, g=generator("overflow"))


def gaussian_q(model, rule=None):
    mean = draw(len(X), model.latent, g=generator("q"))
    return Gaussian(mean, torch.ones_like(mean), rule)


MODELS = {
    "PPCA": models.PPCA(4, 2),
    "FA": models.FactorAnalysis(4, 2),
    "PPCA, prior": models.PPCA(4, 2, learnable_prior=True),
    "VAE": models.GaussianVAE(4, 2, (3,)),
    "VAE, pixel": models.GaussianVAE(4, 2, (3,), noise_type="pixel"),
    "VAE, head": models.GaussianVAE(4, 2, (3,), noise_type="head"),
    "spherical": models.GaussianMixture(4, 2, "spherical"),
    "diagonal": models.GaussianMixture(4, 2, "diagonal"),
    "full": models.GaussianMixture(4, 2, "full"),
    "tied": models.GaussianMixture(4, 2, "tied"),
    "sparse": models.SparseCoding(4, 2),
}


def arguments(model):
    parameters = model.initial_parameters(generator("parameters"))
    return parameters, None if hasattr(
        model, "posterior"
    ) and model.states is not None else gaussian_q(model)


@pytest.mark.parametrize("size", [800.0, -800.0, 1e4])
@pytest.mark.parametrize("name", MODELS)
def test_a_logarithm_whose_exponential_is_no_number_is_named(name, size):
    model = MODELS[name]
    parameters, q = arguments(model)
    for wrong in (k for k in parameters if k.startswith(("log_", "prior_log_"))):
        if wrong == "log_variance.weights" or wrong == "prior_logits":
            continue
        bad = parameters | {wrong: torch.full_like(parameters[wrong], size)}
        for call in (verify, partial(fit.lbfgs, steps=3), partial(fit.newton, steps=3)):
            with pytest.raises(ValueError, match=rf"parameters\['{wrong}'\] must lie between"):
                call(model, bad, q, X)


@pytest.mark.parametrize("name", MODELS)
def test_data_whose_squares_overflow(name):
    model = MODELS[name]
    parameters, q = arguments(model)
    with pytest.raises(ValueError, match="finite") as caught:
        verify(model, parameters, q, X * 1e200)
    assert "\n" not in str(caught.value)


def test_no_closed_form_takes_data_whose_squares_overflow():
    with pytest.raises(ValueError, match="x must have a finite covariance"):
        models.PPCA(4, 2).maximum_likelihood(X * 1e200)
    factors = models.FactorAnalysis(4, 2)
    with pytest.raises(ValueError, match="x must have a finite covariance"):
        fit.em(factors, factors.initial_parameters(generator("factors")), X * 1e200)
    for covariance in ("spherical", "diagonal", "full", "tied"):
        mixture = models.GaussianMixture(4, 2, covariance)
        for call in (
            lambda m: m.random_start(X * 1e200, generator("start")),
            lambda m: m.m_step(
                m.random_start(X, generator("start")), Tabulated(m.states, X[:, :2]), X * 1e200
            ),
            lambda m: fit.em(m, m.random_start(X, generator("start")), X * 1e200),
        ):
            with pytest.raises(ValueError, match="finite"):
                call(mixture)


def test_a_log_rate_whose_exponential_is_no_number():
    counts = torch.ones(5, 3, dtype=torch.float64)
    mixture = models.FamilyMixture(families.Poisson(), 3, 2)
    bad = mixture.initial_parameters(generator("rates"))
    bad["log_rates"] = torch.full((2, 3), 710.0, dtype=torch.float64)
    with pytest.raises(ValueError, match="inside the domain"):
        verify(mixture, bad, None, counts)
    own = models.GenerativeModel(
        families.Bernoulli(),
        lambda p: p["a"],
        families.Poisson(),
        lambda p, z: p["b"] + z @ p["W"].T,
        states=torch.tensor([[0.0], [1.0]], dtype=torch.float64),
    )
    p = {"a": torch.zeros(1), "b": torch.full((3,), 710.0), "W": torch.ones(3, 1)}
    p = {name: value.double() for name, value in p.items()}
    with pytest.raises(ValueError, match="finite"):
        verify(own, p, None, counts)
    q = Tabulated(own.states, torch.zeros(5, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match="finite"):
        verify(own, p, q, counts)


def test_a_nan_in_the_logits_of_q_is_not_hidden():
    model = models.GaussianMixture(4, 3)
    parameters = model.initial_parameters(generator("mixture"))
    q = model.posterior(parameters, X)
    logits = q.logits.clone()
    logits[4, 1] = math.nan
    with pytest.raises(ValueError, match="logits must be finite"):
        Tabulated(q.states, logits)
    object.__setattr__(q, "logits", logits)  # as a program may that fills them in later
    with torch.no_grad():
        entropy = Tabulated.entropy.__wrapped__(q)
    assert bool(entropy[4].isnan()) and bool(entropy[:4].isfinite().all())
    with pytest.raises(ValueError, match="finite"):
        verify(model, parameters, q, X)


@pytest.mark.parametrize(
    ("weights", "found"),
    [
        ([0.5, 0.4, 0.05], "a sum is off by 0.05"),
        ([0.7, 0.6, -0.3], "the smallest is -0.3"),
        ([math.nan, 0.5, 0.5], "the smallest is nan"),
        ([0.0, 0.0, 0.0], "a sum is off by 1"),
    ],
)
def test_a_rule_must_have_probabilities_for_weights(weights, found):
    model = MODELS["VAE"]
    points = draw(3, 2, g=generator("rule"))
    rule = Nodes(points, torch.tensor(weights, dtype=torch.float64))
    with pytest.raises(ValueError, match=f"rule must have weights that .*{found}"):
        gaussian_q(model, rule)
    encoder = models.Encoder(4, 2)
    phi = encoder.initial_parameters(generator("encoder"))
    with pytest.raises(ValueError, match=f"rule must have weights that .*{found}|finite"):
        verify(
            model,
            model.initial_parameters(generator("parameters")),
            encoder.posterior(phi, X, rule),
            X,
        )


def test_a_q_of_ones_own_must_have_probabilities_for_weights():
    class Doubled(Tabulated):
        def nodes(self):
            return Nodes(self.states, 2 * self.probabilities)

    model = models.GaussianMixture(4, 2)
    q = Doubled(model.states, torch.zeros(12, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"q must have weights that .* a sum is off by 1"):
        verify(model, model.initial_parameters(generator("mixture")), q, X)

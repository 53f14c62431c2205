"""The deep sigmoid belief net against sums over all states that share no code with it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from companion import (
    check_criterion,
    elbo,
    models,
    variational,
    verify,
)
from tests.cases import draw, generator
from tests.models.helpers import (
    N,
    bernoulli_entropy,
    holds,
    numpy_of,
    sigmoid,
)


@pytest.fixture
def deep():
    g = generator("deep")
    model = models.DeepSigmoidBeliefNet(observed=4, hidden=3, latent=2)
    x = (draw(N, 4, g=g) > 0).to(torch.float64)
    return model, model.initial_parameters(g), x, g


def all_joint_probabilities(parameters, x):
    """{(z₁, z₂): p(x_n, z₁, z₂)} by loops over bits."""
    p = numpy_of(parameters)
    prior, hidden, observed = (len(p[name]) for name in ("prior_logits", "hidden.bias", "bias"))
    table = {}
    for z1 in itertools.product((0, 1), repeat=hidden):
        for z2 in itertools.product((0, 1), repeat=prior):
            chance = 1.0
            for k in range(prior):
                on = sigmoid(p["prior_logits"][k])
                chance *= on if z2[k] else 1 - on
            for k in range(hidden):
                on = sigmoid(p["hidden.weights"][k] @ z2 + p["hidden.bias"][k])
                chance *= on if z1[k] else 1 - on
            on = np.array([sigmoid(p["weights"][d] @ z1 + p["bias"][d]) for d in range(observed)])
            table[z1 + z2] = chance * np.prod(np.where(x.numpy() == 1, on, 1 - on), axis=1)
    return table


def test_deep_net_sums_all_states_by_hand(deep):
    model, parameters, x, _ = deep
    table = all_joint_probabilities(parameters, x)
    marginal = sum(table.values())
    q = model.posterior(parameters, x)
    assert float(model.log_likelihood(parameters, x)) == pytest.approx(np.log(marginal).mean())
    assert float(elbo(model, parameters, q, x)) == pytest.approx(np.log(marginal).mean(), rel=1e-13)
    for state, probabilities in zip(q.states.tolist(), q.probabilities.T, strict=True):
        np.testing.assert_allclose(
            probabilities.numpy(), table[tuple(int(v) for v in state)] / marginal, rtol=1e-11
        )


@pytest.mark.parametrize("kind", ["exact", "tabulated", "mean-field"])
def test_deep_net_entropies_layer_by_layer(deep, kind):
    model, parameters, x, g = deep
    states = model.states
    q = {
        "exact": lambda: model.posterior(parameters, x),
        "tabulated": lambda: variational.Tabulated(states, draw(N, len(states), g=g)),
        "mean-field": lambda: variational.MeanFieldBernoulli(draw(N, model.latent_size, g=g)),
    }[kind]()
    report = verify(model, parameters, q, x)
    holds(report)
    p = numpy_of(parameters)
    z, weights = (t.numpy() for t in q.nodes())
    average = weights.mean(0)
    hidden = (
        bernoulli_entropy(sigmoid(z[:, 3:] @ p["hidden.weights"].T + p["hidden.bias"])).sum(1)
        @ average
    )
    observable = bernoulli_entropy(sigmoid(z[:, :3] @ p["weights"].T + p["bias"])).sum(1) @ average
    posterior = -(weights * np.log(weights)).sum(1).mean()
    prior = bernoulli_entropy(sigmoid(p["prior_logits"])).sum()
    assert report.hidden_entropies == {"hidden": pytest.approx(hidden, rel=1e-13)}
    expected = posterior - prior - hidden - observable
    assert report.entropy_sum == pytest.approx(expected, rel=1e-12)


def test_deep_net_criterion_layer_by_layer(deep):
    model, parameters, _, g = deep
    prior, hidden, observable = model.factors
    nodes = draw(24, model.latent_size, g=g)
    alone = check_criterion(lambda p: prior.natural(p, nodes), parameters, None, ["prior_logits"])
    assert alone.verdict == "pass"
    for factor, names in (
        (hidden, ("hidden.weights", "hidden.bias")),
        (observable, ("weights", "bias")),
    ):
        found = check_criterion(factor.natural, parameters, nodes, names)
        assert found.verdict == "pass" and found.residual <= 1e-12
        for name in names:
            torch.testing.assert_close(found.direction[name], parameters[name], rtol=0, atol=1e-9)
            lacking = [other for other in names if other != name]
            assert check_criterion(factor.natural, parameters, nodes, lacking).verdict == "fail"


def test_deep_net_says_what_is_wrong(deep):
    with pytest.raises(ValueError, match="hidden must be a positive integer"):
        models.DeepSigmoidBeliefNet(4, 0, 2)
    model, parameters, x, g = deep
    with pytest.raises(ValueError, match="got 17"):
        large = models.DeepSigmoidBeliefNet(4, 9, 8)
        large.posterior(large.initial_parameters(g), torch.ones(1, 4).double())
    with pytest.raises(ValueError, match="the model's 5 latents: got 2"):
        verify(model, parameters, variational.MeanFieldBernoulli(draw(N, 2, g=g)), x)

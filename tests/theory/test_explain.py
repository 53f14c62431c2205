"""Gaps split into causes: weight decay, fixed parameters, active bounds, early stopping."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from companion import datasets, explain_gap, models
from companion.theory.objective import Problem
from tests.cases import generator


def ascend(problem: Problem, penalty, free: list[str], rounds: int = 40) -> dict[str, Tensor]:
    """A stationary point of ELBO − penalty over the ``free`` parameters, by torch's own L-BFGS."""
    variables = {k: v.clone().requires_grad_(k in free) for k, v in problem.start.items()}
    moving = [variables[name] for name in free]
    optimizer = torch.optim.LBFGS(
        moving,
        max_iter=200,
        tolerance_grad=1e-13,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = penalty(variables) - problem.value(variables)
        value.backward()
        return value

    for _ in range(rounds):
        optimizer.step(loss)
    return {k: v.detach() for k, v in variables.items()}


@pytest.fixture(scope="module")
def net():
    model = models.SigmoidBeliefNet(observed=6, latent=2)
    x = datasets.digits(binary=True)[:200, 18:24]
    return model, model.initial_parameters(generator("explain")), x


def test_weight_decay_is_predicted_without_the_gradient(net):
    model, start, x = net
    problem = Problem.of(model, start, None, x)
    decay = 0.01
    end = ascend(problem, lambda p: decay / 2 * (p["weights"] ** 2).sum(), list(start))
    q = model.posterior(end, x)
    parts = explain_gap(model, end, q, x, weight_decay=decay, decayed=["weights"])
    assert abs(parts.gap) > 1e-3
    assert parts.weight_decay == pytest.approx(decay * float((end["weights"] ** 2).sum()))
    assert abs(parts.not_converged) < 1e-7


def test_a_fixed_prior_is_found_as_the_cause(net):
    model, start, x = net
    start = start | {"prior_logits": torch.tensor([1.0, -0.5], dtype=torch.float64)}
    problem = Problem.of(model, start, None, x)
    decay = 0.02  # keeps the optimum finite
    end = ascend(problem, lambda p: decay / 2 * (p["weights"] ** 2).sum(), ["weights", "bias"])
    q = model.posterior(end, x)
    arguments = {"weight_decay": decay, "decayed": ["weights"]}
    parts = explain_gap(model, end, q, x, fixed=["prior_logits"], **arguments)
    assert abs(parts.fixed["prior_logits"]) > 1e-3
    assert abs(parts.not_converged) < 1e-7
    aggregate = q.probabilities.mean(0) @ q.states
    predicted = float(end["prior_logits"] @ (aggregate - torch.sigmoid(end["prior_logits"])))
    assert parts.fixed["prior_logits"] == pytest.approx(predicted, abs=1e-10)
    unexplained = explain_gap(model, end, q, x, **arguments)
    assert abs(unexplained.not_converged) > 1e-3


def test_an_active_variance_floor_is_found():
    model = models.GaussianMixture(observed=4, components=2, covariance_type="diagonal")
    x = datasets.iris()
    p = model.initial_parameters(generator("floor")) | {"means": x[[0, 100]]}
    floor = 0.15
    for _ in range(300):
        p = model.m_step(p, None, x)
        p["log_variance"] = p["log_variance"].clamp(min=torch.tensor(floor).log().item())
    mask = p["log_variance"] <= torch.tensor(floor).log() + 1e-12
    assert 0 < int(mask.sum()) < mask.numel()
    parts = explain_gap(model, p, model.posterior(p, x), x, at_bound={"log_variance": mask})
    assert parts.floors["log_variance"] > 1e-2
    assert abs(parts.not_converged) < 1e-9


def test_early_stopping_is_what_is_left_and_the_parts_add_up(net):
    model, start, x = net
    q = model.posterior(start, x)
    parts = explain_gap(model, start, q, x, weight_decay=0.1, decayed=["weights"], fixed=["bias"])
    total = parts.weight_decay + parts.fixed["bias"] + parts.not_converged
    assert total == pytest.approx(parts.gap, abs=1e-12)
    assert abs(parts.not_converged) > 1e-2
    assert "not converged" in str(parts)
    assert "weight decay (predicted)" in parts._repr_html_()
    words = {"decayed": "weights", "fixed": "bias"}  # a string is one name, not its letters
    assert explain_gap(model, start, q, x, weight_decay=0.1, **words) == parts


def test_bad_input_is_named(net):
    model, start, x = net
    q = model.posterior(start, x)
    with pytest.raises(ValueError, match="parameters must be among"):
        explain_gap(model, start, q, x, fixed=["V"])
    with pytest.raises(ValueError, match="one cause"):
        explain_gap(model, start, q, x, fixed=["weights"], weight_decay=0.1, decayed=["weights"])
    with pytest.raises(ValueError, match="weight_decay must be finite and at least 0"):
        explain_gap(model, start, q, x, weight_decay=-1.0)
    with pytest.raises(ValueError, match="boolean mask"):
        explain_gap(model, start, q, x, at_bound={"weights": torch.ones(2)})

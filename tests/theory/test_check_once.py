"""A public call checks data, parameters and q once, and runs an encoder as often as it must."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from companion import curvature, elbo, entropy_sum, explain_gap, gap_blocks, models, project, verify
from companion.theory import identity, model, projection
from companion.theory.explain import beyond_gradient
from companion.theory.factors import factor_identities
from companion.theory.objective import Problem
from tests.cases import draw, generator, point

ROOT = Path(__file__).parents[2]
VAE = "vae-scalar-fixed-1-hidden/mlp-encoder"


@pytest.fixture
def counted(monkeypatch):
    """How often what is costly was called, by name, from here on."""
    calls = Counter()

    def count(owner, name):
        original = getattr(owner, name)

        def counting(self, *args, **kwargs):
            calls[name] += 1
            return original(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, counting)

    count(models.Encoder, "__call__")
    count(model.Model, "check")
    count(model.Model, "check_q")
    count(model.Model, "initial_parameters")
    count(models.GaussianVAE, "initial_parameters")
    return calls


CALLS = {
    "verify": (verify, 2),
    "explain_gap": (explain_gap, 2),
    "curvature": (curvature, 2),
    "gap_blocks": (gap_blocks, 2),
    "factor_identities": (factor_identities, 3),
}


@pytest.mark.parametrize("name", CALLS)
def test_one_check_and_no_more_runs_of_the_encoder_than_are_needed(name, counted):
    function, runs = CALLS[name]
    at = point(VAE)
    function(*at)
    counted.clear()
    function(*at)
    assert counted["check"] == counted["check_q"] == 1
    assert counted["__call__"] <= runs
    assert counted["initial_parameters"] == 0, "shapes are known without a draw"


def test_a_direction_of_ones_own_costs_no_more(counted):
    at = point(VAE)
    counted.clear()
    verify(*at, direction=identity.full_direction(*at[:3]))
    assert (counted["check"], counted["check_q"]) == (1, 1)
    assert counted["__call__"] <= 2


def test_a_projection_runs_the_encoder_once_for_each_elbo_and_twice_before(counted, monkeypatch):
    values = Counter()

    def value(self, variables):
        values["elbo"] += 1
        return original(self, variables)

    original = Problem.value
    monkeypatch.setattr(Problem, "value", value)
    project(*point(VAE))
    assert counted["check"] == counted["check_q"] == 1
    assert values["elbo"] > 3
    assert counted["__call__"] == values["elbo"] + 2
    assert projection.Problem is Problem


def test_a_problem_checks_when_it_is_made_and_not_when_it_is_verified(counted):
    at = point(VAE)
    problem = Problem.of(*at)
    assert (counted["check"], counted["check_q"]) == (1, 1)
    counted.clear()
    report = problem.verify(problem.start)
    assert (counted["check"], counted["check_q"], counted["__call__"]) == (0, 0, 1)
    assert report == verify(*at)


def test_elbo_and_entropy_sum_check_once_and_run_the_encoder_once(counted):
    for function in (elbo, entropy_sum):
        counted.clear()
        function(*point(VAE))
        assert counted == {"__call__": 1, "check": 1, "check_q": 1}


@pytest.mark.parametrize(
    "function", (verify, project, gap_blocks, curvature, explain_gap, factor_identities)
)
def test_none_is_the_exact_posterior(function):
    model, parameters, _, x = point("ppca-learnable/exact")
    exact, given = function(model, parameters, None, x), model.posterior(parameters, x)
    if function is curvature:  # there the posterior follows the parameters
        assert len(exact.eigenvalues) < len(function(model, parameters, given, x).eigenvalues)
    else:
        assert repr(exact) == repr(function(model, parameters, given, x))


def test_none_in_an_elbo_follows_the_parameters():
    model, parameters, _, x = point("factoranalysis-fixed/exact")

    def gradient(function):
        return torch.func.grad(function)(parameters)

    through = gradient(lambda p: elbo(model, p, None, x))
    likelihood = gradient(lambda p: model.log_likelihood(p, x))
    for name, value in likelihood.items():
        torch.testing.assert_close(through[name], value, rtol=1e-11, atol=1e-12)
    total = entropy_sum(model, parameters, None, x).total
    assert float(total) == verify(model, parameters, None, x).entropy_sum


def test_none_without_an_exact_posterior_is_refused_by_every_entrance():
    model, parameters, _, x = point("vae-head-fixed-1-hidden/mlp-encoder")
    for function in (verify, project, elbo, entropy_sum, explain_gap, beyond_gradient):
        with pytest.raises(ValueError, match="GaussianVAE has no posterior in closed form"):
            function(model, parameters, None, x)


def test_an_encoder_that_an_optimiser_moves_in_place_is_seen_to_move():
    """Nothing of an encoder is kept: one q serves a whole run of an optimiser of torch."""
    g = generator("in place")
    model, encoder, x = models.GaussianVAE(3, 2), models.Encoder(3, 2), draw(8, 3, g=g)
    parameters = model.initial_parameters(g)
    phi = {k: v.requires_grad_() for k, v in encoder.initial_parameters(g).items()}
    q = encoder.posterior(phi, x)
    optimizer = torch.optim.SGD(list(phi.values()), lr=0.01, maximize=True)
    values = []
    for _ in range(3):
        optimizer.zero_grad()
        value = elbo(model, parameters, q, x)
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values == sorted(values) and values[0] < values[-1]
    assert verify(model, parameters, q, x).elbo > values[-1]


@pytest.mark.slow
def test_the_first_verification_of_a_process_imports_no_compiler():
    """torch.func.grad would: more than a second, for a gradient of milliseconds."""
    code = """
import sys
from companion import datasets, models, verify
x = datasets.iris()
for model in (models.PPCA(4, 2), models.GaussianMixture(4, 3)):
    parameters = model.initial_parameters()
    assert verify(model, parameters, None, x).relative_residual < 1e-12
assert "torch" in sys.modules
print(sorted({"torch._dynamo", "sympy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr

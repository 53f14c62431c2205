"""Sparse coding against quadrature, samples and automatic derivatives."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from companion import (
    check_criterion,
    elbo,
    models,
    variational,
    verify,
)
from companion.models import EntropyWeights
from companion.models.sparse.expectations import expected_square_error, marginal_std
from tests.cases import draw, generator
from tests.models.helpers import (
    LIMIT,
    H,
    N,
    gaussian_q,
    holds,
    numpy_of,
)

SPARSE = [(learnable, full) for learnable in (True, False) for full in (False, True)]
every_sparse = pytest.mark.parametrize(
    ("learnable", "full"),
    SPARSE,
    ids=[f"{'learnable' if s else 'unit'}-{'full' if f else 'diagonal'}" for s, f in SPARSE],
)


def sparse_point(learnable, full, rule=None, points=N):
    g = generator(f"sparse {learnable} {full}")
    model = models.SparseCoding(3, H, learnable)
    parameters = model.initial_parameters(g)
    return (
        model,
        parameters,
        gaussian_q(g, full=full, rule=rule, points=points),
        draw(points, 3, g=g),
    )


def covariance_of(q):
    L = torch.diag_embed(q.scale) if q.diagonal else torch.tril(q.scale)
    return (L @ L.mT).numpy()


@every_sparse
def test_sparse_coding_elbo_by_adaptive_quadrature(learnable, full):
    """E|z_h| by one-dimensional quadrature, the square error by NumPy; two points are enough."""
    model, parameters, q, x = sparse_point(learnable, full, points=2)
    p = numpy_of(parameters)
    scale = np.exp(p["prior_log_scale"]) if learnable else np.ones(H)
    covariance, variance = covariance_of(q), np.exp(p["log_variance"])
    values = []
    for n in range(2):
        m, S = q.mean[n].numpy(), covariance[n]
        total = stats.multivariate_normal(m, S).entropy()
        for h in range(H):
            law = stats.norm(m[h], math.sqrt(S[h, h]))
            prior = stats.laplace(scale=scale[h])
            low, high = m[h] - 12 * law.std(), m[h] + 12 * law.std()
            for a, b in ((min(low, 0), 0), (0, max(high, 0))):
                total += integrate.quad(lambda z: law.pdf(z) * prior.logpdf(z), a, b)[0]  # noqa: B023
        residual = x[n].numpy() - p["weights"] @ m - p["mean"]
        square = residual @ residual + np.trace(p["weights"] @ S @ p["weights"].T)
        total += -0.5 * square / variance - 1.5 * np.log(2 * np.pi * variance)
        values.append(total)
    assert float(elbo(model, parameters, q, x)) == pytest.approx(np.mean(values), rel=1e-8)


@every_sparse
def test_sparse_coding_closed_form_agrees_with_many_samples(learnable, full):
    model, parameters, q, x = sparse_point(learnable, full, points=2)
    sampled = replace(q, rule=variational.samples(2, 400_000, H, generator("many")))
    exact, noisy = (float(elbo(model, parameters, each, x)) for each in (q, sampled))
    assert noisy != exact
    assert noisy == pytest.approx(exact, rel=1e-2)


@dataclass(frozen=True)
class BySamples(models.SparseCoding):
    """The same model without its closed forms: every expectation by nodes, the kink included."""

    @property
    def factors(self):
        return tuple(replace(factor, closed_form=None) for factor in super().factors)


@every_sparse
def test_sparse_coding_identity_in_closed_form_with_samples_and_with_any_rule(learnable, full):
    g = generator("sparse rules")
    model, parameters, q, x = sparse_point(learnable, full)
    closed = verify(model, parameters, q, x)
    holds(closed)
    for rule in (
        variational.cubature(H),
        variational.gauss_hermite(H, 3),
        variational.samples(N, 3, H, g),
    ):
        by_nodes = verify(BySamples(3, H, learnable), parameters, replace(q, rule=rule), x)
        holds(by_nodes)
        assert abs(by_nodes.elbo - closed.elbo) > 1e-6, "the kink must make a difference"
        same = verify(model, parameters, replace(q, rule=rule), x)
        expected = by_nodes if rule.z.dim() == 3 else closed
        assert same.elbo == pytest.approx(expected.elbo, rel=1e-13)
        assert same.relative_residual <= LIMIT


@every_sparse
def test_sparse_coding_entropy_sum_needs_neither_nodes_nor_data(learnable, full):
    model, parameters, q, x = sparse_point(learnable, full)
    p = numpy_of(parameters)
    scale = np.exp(p["prior_log_scale"]) if learnable else np.ones(H)
    expected = 0.5 * np.log(np.linalg.det(2 * np.pi * np.e * covariance_of(q))).mean()
    expected -= np.log(2 * np.e * scale).sum()
    expected -= 1.5 * (np.log(2 * np.pi * np.e) + p["log_variance"])
    report = verify(model, parameters, q, x)
    assert report.entropy_sum == pytest.approx(expected, rel=1e-12)
    closed = float(model.closed_form_entropy_sum(parameters, q))
    assert closed == pytest.approx(expected, rel=1e-12)


@every_sparse
def test_sparse_coding_directions(learnable, full):
    model, parameters, *_ = sparse_point(learnable, full)
    prior, observable = model.factors
    nodes = draw(24, H, g=generator("sparse nodes"))
    found = check_criterion(observable.natural, parameters, nodes)
    assert found.verdict == "pass"
    noise = check_criterion(observable.natural, parameters, nodes, ["log_variance"])
    assert noise.verdict == "pass"
    assert float(noise.direction["log_variance"]) == pytest.approx(-1, abs=1e-10)
    v = model.gap_direction(parameters)
    assert float(v["log_variance"]) == -1 and not bool(v["mean"].any())
    if learnable:
        scale = check_criterion(
            lambda p: prior.natural(p, nodes), parameters, None, ["prior_log_scale"]
        )
        assert scale.verdict == "pass"
        torch.testing.assert_close(scale.direction["prior_log_scale"], v["prior_log_scale"])
        assert not bool(v["weights"].any()) and model.latent_rescaling == 0
    else:
        torch.testing.assert_close(v["weights"], -parameters["weights"])
        assert model.latent_rescaling == 1


@pytest.mark.parametrize("full", [False, True], ids=["diagonal", "full"])
def test_m_step_is_stationary_and_gives_the_equality_for_the_old_q(full):
    model, parameters, q, x = sparse_point(True, full)
    best = model.m_step(parameters, q, x)
    report = verify(model, best, q, x)
    assert abs(report.gap) <= 1e-12 * (1 + abs(report.elbo))
    gradient = torch.func.grad(lambda p: elbo(model, p, q, x))(best)
    for name, value in gradient.items():
        assert float(value.norm()) <= 1e-11, name
    assert report.elbo > verify(model, parameters, q, x).elbo + 0.1
    halfway = model.m_step(parameters, q, x, stretch=0.5)
    torch.testing.assert_close(halfway["weights"], (best["weights"] + parameters["weights"]) / 2)
    assert abs(verify(model, halfway, q, x).gap) <= 1e-11


def test_m_step_without_a_learnable_prior_leaves_the_gap_of_the_prior():
    model, parameters, q, x = sparse_point(False, False)
    report = verify(model, model.m_step(parameters, q, x), q, x)
    assert abs(report.gap) > 1e-2 and report.relative_residual <= LIMIT
    assert report.blocks["log_variance"] == pytest.approx(0, abs=1e-12)


@every_sparse
def test_e_step_ends_at_the_maximum_over_q_and_never_falls_on_the_way(learnable, full):
    model, parameters, q, x = sparse_point(learnable, full)
    values = [float(elbo(model, parameters, q, x))]
    for _ in range(60):
        q = model.e_step(parameters, q, x)
        values.append(float(elbo(model, parameters, q, x)))
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(values))
    assert values[-1] > values[0] + 1e-2

    def of_q(variables):
        return elbo(model, parameters, q.with_parameters(variables), x)

    gradient = torch.func.grad(of_q)(q.parameters)
    assert max(float(value.norm()) for value in gradient.values()) <= 1e-6


def test_weights_change_what_the_e_step_maximises():
    model, parameters, q, x = sparse_point(True, False)
    weights = EntropyWeights(posterior=0.7, prior=1.5, observable=0.4)
    q = model.e_step(parameters, q, x, weights, steps=40)
    scale, log_variance = model.prior_widths(parameters), parameters["log_variance"]

    def weighted(variables):
        moved = q.with_parameters(variables)
        ratio = moved.mean / marginal_std(moved)
        normal = torch.distributions.Normal(0.0, 1.0)
        size = moved.mean * (2 * normal.cdf(ratio) - 1)
        size = size + 2 * marginal_std(moved) * normal.log_prob(ratio).exp()
        error = expected_square_error(parameters, moved, x) * (-log_variance).exp()
        entropy = moved.scale.log().sum(-1)
        return (0.7 * entropy - 1.5 * (size / scale).sum(-1) - 0.2 * error).mean()

    gradient = torch.func.grad(weighted)(q.parameters)
    assert max(float(value.norm()) for value in gradient.values()) <= 1e-6
    plain = torch.func.grad(lambda v: elbo(model, parameters, q.with_parameters(v), x))
    assert max(float(value.norm()) for value in plain(q.parameters).values()) > 1e-2


def test_normalising_changes_nothing_that_can_be_seen():
    model, parameters, q, x = sparse_point(True, True)
    moved, moved_q = model.normalized(parameters, q)
    torch.testing.assert_close(moved["weights"].norm(dim=0), torch.ones(H, dtype=torch.float64))
    before, after = verify(model, parameters, q, x), verify(model, moved, moved_q, x)
    assert after.elbo == pytest.approx(before.elbo, rel=1e-13)
    assert after.entropy_sum == pytest.approx(before.entropy_sum, rel=1e-13)
    unit, same, same_q, _ = sparse_point(False, True)
    assert unit.normalized(same, same_q)[1] is same_q


def test_random_start_explains_part_of_the_variance():
    g = generator("start")
    x = 3 * draw(50, 6, g=g) + 2
    model = models.SparseCoding(6, 9)
    parameters = model.random_start(x, g)
    spread = 2 * (parameters["weights"] ** 2).sum()  # Var z = 2λ² with λ = 1
    variance = ((x - x.mean(0)) ** 2).mean()
    assert float(spread) == pytest.approx(float(6 * variance / 2))
    assert float(parameters["log_variance"].exp()) == pytest.approx(float(variance / 2))
    torch.testing.assert_close(parameters["mean"], x.mean(0))


def test_sparse_coding_says_what_is_wrong():
    model, parameters, q, x = sparse_point(True, False)
    sampled = replace(q, rule=variational.samples(N, 2, H, generator("wrong")))
    for step in (model.e_step, model.m_step):
        with pytest.raises(ValueError, match="not integrated by samples"):
            step(parameters, sampled, x)
    for weight in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="prior must be a positive weight"):
            EntropyWeights(prior=weight)
    dead = parameters | {"prior_log_scale": torch.tensor([0.0, -60.0], dtype=torch.float64)}
    with pytest.raises(ValueError, match="latent 1 died"):
        model.normalized(dead, q)

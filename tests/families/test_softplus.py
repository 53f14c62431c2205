"""The softplus and the Bernoulli entropy: values and derivatives, at zero and far out."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from companion.families import Bernoulli
from companion.families.numerics import softplus
from companion.theory.variational import MeanFieldBernoulli

POINTS = np.array([-800.0, -40.0, -21.0, -1.0, 0.0, 1.0, 21.0, 40.0, 800.0])
A = torch.from_numpy(POINTS)
P = expit(POINTS)
derivative = torch.func.grad


def test_softplus_has_the_right_value_and_derivatives_everywhere():
    first, second = derivative(softplus), derivative(derivative(softplus))
    np.testing.assert_allclose(softplus(A), np.logaddexp(POINTS, 0), rtol=1e-15)
    np.testing.assert_allclose(torch.func.vmap(first)(A), P, rtol=1e-14)
    np.testing.assert_allclose(torch.func.vmap(second)(A), P * expit(-POINTS), atol=1e-16)
    forward = torch.func.jvp(softplus, (A,), (torch.ones_like(A),))[1]
    np.testing.assert_allclose(forward, P, rtol=1e-14)


def test_bernoulli_entropy_has_the_right_derivatives_everywhere():
    def entropy(a):
        return Bernoulli().entropy(a[None])

    slope, curve = P * expit(-POINTS), P * expit(-POINTS) * (1 - 2 * P)
    first, second = derivative(entropy), derivative(derivative(entropy))
    np.testing.assert_allclose(torch.func.vmap(first)(A), -POINTS * slope, atol=1e-14)
    np.testing.assert_allclose(torch.func.vmap(second)(A), -slope - POINTS * curve, atol=1e-14)


@pytest.mark.parametrize("logit", [0.0, 1e-3, 30.0])
def test_mean_field_entropy_has_the_right_curvature(logit):
    def entropy(a):
        return MeanFieldBernoulli(a[None, None]).entropy()[0]

    a = torch.tensor(logit, dtype=torch.float64)
    p = expit(logit)
    expected = -p * (1 - p) * (1 + logit * (1 - 2 * p))
    assert float(derivative(derivative(entropy))(a)) == pytest.approx(expected, abs=1e-14)


def test_the_prior_of_fair_coins_is_stationary_under_fair_coins():
    logits = torch.zeros(3, dtype=torch.float64)
    gradient = derivative(lambda a: Bernoulli().log_partition(a))(logits)
    assert torch.equal(gradient, torch.full((3,), 0.5, dtype=torch.float64))

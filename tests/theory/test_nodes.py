"""Nodes and weights: states are enumerated, rules integrate what they promise, draws are frozen."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.theory.nodes import binary_states, cubature, fitting, gauss_hermite, samples
from tests.cases import generator


def test_binary_states_count_upwards():
    states = binary_states(4)
    assert states.shape == (16, 4) and states.dtype == torch.float64
    assert (states @ torch.tensor([8.0, 4, 2, 1], dtype=torch.float64)).tolist() == list(range(16))


@pytest.mark.parametrize("size", (17, 40))
def test_too_many_binary_states_are_refused(size):
    with pytest.raises(ValueError, match=f"size must be between 1 and 16 .* got {size}"):
        binary_states(size)


@pytest.mark.parametrize("size", (1, 2, 5))
def test_cubature_is_exact_to_degree_three(size):
    z, w = cubature(size)
    assert z.shape == (2 * size, size)
    assert float(w.sum()) == pytest.approx(1, rel=1e-15)
    torch.testing.assert_close(w @ z, torch.zeros(size, dtype=torch.float64), rtol=0, atol=1e-15)
    second = z.T @ (w[:, None] * z)
    torch.testing.assert_close(second, torch.eye(size, dtype=torch.float64), rtol=1e-15, atol=1e-15)
    third = torch.einsum("p,pi,pj,pk->ijk", w, z, z, z)
    assert float(third.abs().max()) < 1e-15
    if size == 2:  # and no further: E z⁴ = 3
        assert float(w @ z[:, 0] ** 4) != pytest.approx(3)


@given(st.integers(1, 8), st.integers(0, 15))
def test_gauss_hermite_is_exact_to_its_degree(order, power):
    z, w = gauss_hermite(1, order)
    exact = math.prod(range(1, power, 2)) if power % 2 == 0 else 0
    error = abs(float(w @ z[:, 0] ** power) - exact)
    if power <= 2 * order - 1:
        assert error <= 1e-11 * (1 + math.prod(range(1, power + 1, 2)))
    elif power == 2 * order:
        assert error == pytest.approx(math.factorial(order), rel=1e-7)


def test_gauss_hermite_is_a_tensor_product():
    z, w = gauss_hermite(3, 4)
    assert z.shape == (64, 3) and len(w) == 64
    moment = float(w @ (z[:, 0] ** 2 * z[:, 1] ** 4 * z[:, 2] ** 6))
    assert moment == pytest.approx(1 * 3 * 15, rel=1e-12)
    assert len(gauss_hermite(2, 1).z) == 1


@pytest.mark.parametrize(("size", "order"), ((20, 3), (2, 317)))
def test_impossible_rules_are_refused(size, order):
    with pytest.raises(ValueError, match="order\\*\\*size must be at most 100000"):
        gauss_hermite(size, order)


def test_samples_are_frozen_standard_normal_draws():
    rule = samples(50, 200, 2, generator("samples"))
    assert rule.z.shape == (50, 200, 2) and rule.z.dtype == torch.float64
    assert torch.equal(rule.z, samples(50, 200, 2, generator("samples")).z)
    assert float(rule.weights.sum()) == pytest.approx(1, rel=1e-13)
    assert float(rule.z.mean()) == pytest.approx(0, abs=5 / math.sqrt(20_000))
    assert float(rule.z.var()) == pytest.approx(1, abs=5 * math.sqrt(2 / 20_000))
    for bad, name in (((0, 1, 1), "points"), ((1, 0, 1), "count"), ((1, 1, 0), "size")):
        with pytest.raises(ValueError, match=f"{name} must be a positive integer: got 0"):
            samples(*bad)


def test_a_rule_that_fits_is_taken_as_it_is_and_cubature_for_none():
    rule = samples(4, 3, 2, generator("fitting"))
    assert fitting(rule, 4, 2) is rule
    assert torch.equal(fitting(None, 4, 2).z, cubature(2).z)

"""Gaussians against SciPy, gradients of entropies, extreme values; for the rest: test_registry."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from companion.families import (
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    ExponentialFamily,
    FullGaussian,
    SphericalGaussian,
)
from tests.cases import draw, generator
from tests.families.helpers import moments

GAUSSIANS = (SphericalGaussian, DiagonalGaussian, FullGaussian)
FAMILIES = (Bernoulli, Categorical, *GAUSSIANS)
SIZE = 3

every_family = pytest.mark.parametrize("kind", FAMILIES, ids=lambda kind: kind.__name__)
every_gaussian = pytest.mark.parametrize("kind", GAUSSIANS, ids=lambda kind: kind.__name__)
logits = st.floats(-30, 30, allow_nan=False)


def natural(kind, batch=(5,)):
    """Random natural parameters of ``kind``, ``(*batch, L)``."""
    if kind in GAUSSIANS:
        return kind().natural_parameters(*moments(kind, batch))
    return 2 * draw(*batch, SIZE, g=generator(kind.__name__))


def covariance_matrix(kind, variance):
    if kind is FullGaussian:
        return variance.numpy()
    if kind is SphericalGaussian:
        return float(variance) * np.eye(SIZE)
    return np.diag(variance.numpy())


def scipy_gaussian(kind, mean, variance):
    return stats.multivariate_normal(mean.numpy(), covariance_matrix(kind, variance))


# --- densities ------------------------------------------------------------------------------------


@every_gaussian
def test_gaussian_densities_agree_with_scipy(kind):
    mean, variance = moments(kind)
    x = draw(8, SIZE, g=generator("density"))
    for m, v in zip(mean, variance, strict=True):
        ours = kind().log_prob(x, kind().natural_parameters(m, v))
        theirs = scipy_gaussian(kind, m, v).logpdf(x.numpy())
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12)


@every_gaussian
def test_gaussian_mean_parameters_are_the_moments(kind):
    """∇A(η) = E[T(x)], from mean and covariance in closed form."""
    mean, variance = moments(kind)
    statistics = kind().mean_parameters(kind().natural_parameters(mean, variance))
    for m, v, t in zip(mean, variance, statistics.numpy(), strict=True):
        second = covariance_matrix(kind, v) + np.outer(m, m)
        np.testing.assert_allclose(t[:SIZE], m, rtol=1e-12, atol=1e-13)
        parts = {
            SphericalGaussian: [np.trace(second)],
            DiagonalGaussian: np.diag(second),
            FullGaussian: second.ravel(),
        }
        np.testing.assert_allclose(t[SIZE:], parts[kind], rtol=1e-12, atol=1e-13)


@every_gaussian
def test_moments_invert_natural_parameters(kind):
    mean, variance = moments(kind)
    again = kind().moments(kind().natural_parameters(mean, variance))
    torch.testing.assert_close(again, (mean, variance), rtol=1e-12, atol=1e-12)


@every_family
def test_shapes_broadcast(kind):
    family = kind()
    eta = natural(kind, (2, 5))
    x = draw(SIZE, g=generator("x")) if kind in GAUSSIANS else torch.eye(SIZE).double()[0]
    assert family.log_prob(x, eta).shape == (2, 5)
    assert family.entropy(eta).shape == (2, 5)
    assert family.pseudo_entropy(eta[0, 0]).shape == ()
    assert family.mean_parameters(eta).shape == eta.shape
    assert family.sample(eta, generator("s")).shape == (2, 5, SIZE)
    assert torch.equal(family.log_base_measure(x), torch.zeros((), dtype=torch.float64))
    assert repr(family) == f"{kind.__name__}()"


# --- entropies ------------------------------------------------------------------------------------


@every_family
def test_gradient_of_the_entropy_is_the_same_from_the_log_partition_alone(kind):
    """torch.distributions detaches the parameters of its generic entropy, and loses this."""
    family, eta = kind(), natural(kind, ())
    generic = torch.func.grad(lambda e: ExponentialFamily.pseudo_entropy(family, e))(eta)
    # Without the overrides of ∇A too.
    plain = torch.func.grad(
        lambda e: (
            family.log_partition(e) - (e * ExponentialFamily.mean_parameters(family, e)).sum(-1)
        )
    )(eta)
    ours = torch.func.grad(family.entropy)(eta)
    torch.testing.assert_close(ours, generic, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(ours, plain, rtol=1e-11, atol=1e-11)


@every_gaussian
def test_gaussian_entropies_agree_with_scipy(kind):
    mean, variance = moments(kind)
    ours = kind().entropy(kind().natural_parameters(mean, variance))
    theirs = [scipy_gaussian(kind, m, v).entropy() for m, v in zip(mean, variance, strict=True)]
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-13)


@every_gaussian
def test_forward_and_reverse_derivatives_of_the_moments_agree(kind):
    """PyTorch's own inverse from a Cholesky factor fails this (pytorch/pytorch#196682)."""
    family, eta = kind(), natural(kind, ())
    mean, variance = moments(kind, ())

    def symmetric(v):
        return (v + v.T) / 2 if v.dim() == 2 else v

    for function, at in (
        (lambda e: family.moments(e)[1], eta),
        (lambda v: family.natural_parameters(mean, symmetric(v)), variance),
    ):
        forward = torch.func.jacfwd(function)(at)
        reverse = torch.func.jacrev(function)(at)
        torch.testing.assert_close(forward, reverse, rtol=1e-11, atol=1e-12)


# --- extreme values -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", (20.5, 25.0, 40.0, 700.0, 1e5))
@pytest.mark.parametrize("sign", (-1, 1))
def test_bernoulli_is_exact_at_large_logits(size, sign):
    """A switch to the identity at 20, as in PyTorch's softplus, would be wrong by 2e-9."""
    a = torch.tensor([sign * size], dtype=torch.float64)
    tail = np.log1p(np.exp(-size))
    log_partition = float(Bernoulli().log_partition(a))
    assert log_partition == pytest.approx(max(sign * size, 0) + tail, rel=4e-16, abs=0)
    if sign < 0 and size < 700:
        assert log_partition > 0
    entropy = tail + size * np.exp(-size) / (1 + np.exp(-size))
    assert float(Bernoulli().entropy(a)) == pytest.approx(entropy, rel=1e-14, abs=0)
    gradient = float(torch.func.grad(Bernoulli().entropy)(a))
    # dH/da = −a p (1−p)
    expected = -sign * size * np.exp(-size) / (1 + np.exp(-size)) ** 2
    assert gradient == pytest.approx(expected, rel=1e-12, abs=1e-300)
    for value, log_p in ((1.0, min(sign * size, 0) - tail), (0.0, min(-sign * size, 0) - tail)):
        x = torch.tensor([value], dtype=torch.float64)
        assert float(Bernoulli().log_prob(x, a)) == pytest.approx(log_p, rel=1e-15, abs=1e-14)


@given(st.lists(st.floats(-700, 700), min_size=2, max_size=6))
def test_entropies_are_finite_and_within_their_bounds(values):
    eta = torch.tensor(values, dtype=torch.float64)
    for family, most in (
        (Bernoulli(), len(values) * math.log(2)),
        (Categorical(), math.log(len(values))),
    ):
        entropy = float(family.entropy(eta))
        assert -1e-12 <= entropy <= most + 1e-12
        assert bool(torch.isfinite(torch.func.grad(family.entropy)(eta)).all())


@given(st.lists(logits, min_size=2, max_size=5), st.floats(-50, 50))
def test_a_shift_of_all_logits_is_the_same_categorical_distribution(values, shift):
    eta = torch.tensor(values, dtype=torch.float64)
    x = torch.eye(len(values), dtype=torch.float64)
    family = Categorical()
    torch.testing.assert_close(
        family.log_prob(x, eta + shift), family.log_prob(x, eta), rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(
        family.entropy(eta + shift), family.entropy(eta), rtol=1e-10, atol=1e-12
    )


@given(st.floats(1e-8, 1e8), st.floats(-100, 100))
def test_spherical_entropy_depends_on_the_variance_alone(variance, mean):
    family = SphericalGaussian()
    location = torch.full((SIZE,), mean, dtype=torch.float64)
    eta = family.natural_parameters(location, torch.tensor(variance, dtype=torch.float64))
    expected = SIZE / 2 * math.log(2 * math.pi * math.e * variance)
    assert float(family.entropy(eta)) == pytest.approx(expected, rel=1e-13, abs=1e-13)


# --- sampling and support -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "bad", "sentence"),
    (
        (Bernoulli(), [[0.0, 1.0], [0.5, 0.0]], r"binary .*\[0.0, 1.0\]; threshold the data first"),
        (Bernoulli(), [[0.0, 16.0]], r"values in \[0.0, 16.0\]"),
        (Categorical(), [[1.0, 1.0]], "one-hot"),
        (Categorical(), [[0.0, 0.0]], "one-hot"),
        (Categorical(), [[0.5, 0.5]], "one-hot"),
        (SphericalGaussian(), [[0.0, math.nan]], "finite"),
        (DiagonalGaussian(), [[math.inf, 0.0]], "finite"),
        (FullGaussian(), [[0.0, -math.inf]], "finite"),
    ),
)
def test_values_outside_the_support_are_named(family, bad, sentence):
    said = family.invalid(torch.tensor(bad, dtype=torch.float64))
    assert said is not None and re.search(sentence, said)
    good = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    assert family.invalid(good) is None

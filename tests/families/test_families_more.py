"""Counts, positive numbers, proportions, angles, heavy tails: every family of a FamilyMixture.

The oracles are SciPy's densities (tests/oracles.py), sums, mpmath. That densities are normalised,
and that means and entropies are expectations under them, is seen in test_registry.py.
"""

from __future__ import annotations

import math
import re

import mpmath
import numpy as np
import pytest
import torch
from scipy import special, stats

from companion import families, models
from companion.families import ExponentialFamily
from companion.families.numerics import log_gamma_ratio_series, polynomial
from tests.cases import FAMILIES, D, draw, generator
from tests.families.helpers import moments
from tests.oracles import frozen, log_density

DISCRETE = (families.Poisson, families.Geometric, families.NegativeBinomial)
SUMS = tuple(f for f in FAMILIES if isinstance(f, DISCRETE))
# Gaussians have a mixture of their own, and test_families.py for what is theirs alone.
GAUSSIANS = (families.SphericalGaussian(), families.DiagonalGaussian(), families.FullGaussian())
EVERY = (*FAMILIES, *GAUSSIANS)
EXPONENTIAL = tuple(f for f in EVERY if isinstance(f, ExponentialFamily))
NOT_CONSTANT = tuple(f for f in FAMILIES if not f.constant_base_measure)


def label(family):
    return type(family).__name__


def over(which):
    return pytest.mark.parametrize("family", which, ids=label)


def components(family, count=6):
    """Natural parameters ``(count, L)`` at random, and the unconstrained ones for SciPy."""
    if family in GAUSSIANS:
        return family.natural_parameters(*moments(type(family), (count,), D)), [None] * count
    model = models.FamilyMixture(family, D, count)
    parameters = model.initial_parameters(generator("components of " + label(family)))
    rows = [
        {k: v[c].numpy() for k, v in parameters.items() if k != "prior_logits"}
        for c in range(count)
    ]
    return model.component_natural(parameters), rows


# --- densities ------------------------------------------------------------------------------------


@over(FAMILIES)
def test_densities_agree_with_scipy(family):
    natural, rows = components(family)
    x = family.sample(natural, generator("x"))
    ours = family.pairwise_log_prob(x, natural)
    theirs = [[log_density(family, row)(point) for row in rows] for point in x.numpy()]
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-11, atol=1e-12)


@over(FAMILIES)
def test_every_shape_of_parameters_gives_the_same_pairs(family):
    natural, _ = components(family)
    x = family.sample(natural, generator("x"))
    pairs = family.pairwise_log_prob(x, natural)
    assert pairs.shape == (6, 6)
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(family.log_prob(x, natural), pairs.diagonal(), **close)
    torch.testing.assert_close(family.pairwise_log_prob(x, natural[2])[:, 0], pairs[:, 2], **close)
    each = natural.expand(6, 6, -1)
    torch.testing.assert_close(family.pairwise_log_prob(x, each), pairs, **close)
    assert family.pseudo_entropy(each).shape == (6, 6)
    assert family.log_base_measure(x).shape == (6,)


@over(EXPONENTIAL)
def test_mean_parameters_are_the_gradient_of_the_log_partition(family):
    natural, _ = components(family)
    generic = ExponentialFamily.mean_parameters(family, natural)
    torch.testing.assert_close(family.mean_parameters(natural), generic, rtol=1e-13, atol=1e-14)


# --- entropies ------------------------------------------------------------------------------------


@over(EXPONENTIAL)
def test_pseudo_entropies_agree_with_the_generic_one(family):
    natural, _ = components(family)
    generic = ExponentialFamily.pseudo_entropy(family, natural)
    torch.testing.assert_close(family.pseudo_entropy(natural), generic, rtol=1e-12, atol=1e-12)


def test_multinomial_pseudo_entropy_is_that_of_the_single_draws():
    eta = draw(4, 3, g=generator("multinomial entropy"))
    single = stats.entropy(special.softmax(eta.numpy(), axis=1), axis=1)
    ours = families.Multinomial(trials=7).pseudo_entropy(eta)
    np.testing.assert_allclose(ours.numpy(), 7 * single, rtol=1e-13)


@over([f for f in NOT_CONSTANT if not isinstance(f, families.GammaFixedShape)])
def test_a_true_entropy_without_closed_form_is_refused_by_name(family):
    natural, _ = components(family)
    with pytest.raises(ValueError, match=label(family) + " has a base measure that is not const"):
        family.entropy(natural)


@over(SUMS)
def test_true_entropies_by_summation(family):
    natural, rows = components(family)
    k = np.arange(20_000)[:, None]
    log_p = [frozen(family, row).logpmf(k) for row in rows]
    expected = [-(np.exp(lp) * np.where(np.isfinite(lp), lp, 0)).sum() for lp in log_p]
    ours = family.entropy_by_summation(natural)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-11)
    assert ours.shape == (6,)
    wide = family.entropy_by_summation(torch.stack([natural, 0.01 * natural - 0.01]))
    torch.testing.assert_close(wide[0], ours, rtol=1e-12, atol=0)
    if isinstance(family, families.Geometric):
        torch.testing.assert_close(ours, family.entropy(natural), rtol=1e-12, atol=0)


@pytest.mark.parametrize("rate", (1e-3, 1.0, 40.0, 3000.0))
def test_poisson_entropy_at_small_and_large_rates(rate):
    eta = torch.tensor([rate], dtype=torch.float64).log()
    k = np.arange(20_000)
    log_p = stats.poisson.logpmf(k, rate)
    expected = -(np.exp(log_p) * log_p).sum()
    assert float(families.Poisson().entropy_by_summation(eta)) == pytest.approx(expected, rel=1e-9)


@over(EVERY)
def test_gradients_of_the_pseudo_entropy_agree_with_finite_differences(family):
    eta = components(family)[0][0]
    gradient = torch.func.grad(family.pseudo_entropy)(eta)
    for index in range(len(eta)):
        step = torch.zeros_like(eta)
        step[index] = h = 1e-4 * (1e-3 + abs(float(eta[index])))
        along = [float(family.pseudo_entropy(eta + k * step)) for k in (-2, -1, 1, 2)]
        slope = (along[0] - 8 * along[1] + 8 * along[2] - along[3]) / (12 * h)
        assert float(gradient[index]) == pytest.approx(slope, rel=1e-7, abs=1e-8)
    assert float(gradient.norm()) > 0.01


@over(EXPONENTIAL)
def test_gradient_of_the_pseudo_entropy_is_minus_fisher_times_eta(family):
    eta = components(family)[0][1]
    forward = torch.func.jacfwd(torch.func.jacfwd(family.log_partition))(eta)
    fisher = torch.func.hessian(family.log_partition)(eta)
    torch.testing.assert_close(forward, fisher, rtol=1e-10, atol=1e-11)
    gradient = torch.func.grad(family.pseudo_entropy)(eta)
    torch.testing.assert_close(gradient, -fisher @ eta, rtol=1e-10, atol=1e-11)


@over(FAMILIES)
def test_the_direction_tempers_every_density(family):
    """log p/h + H̃ = ⟨∇ log p, v⟩ at every single x: the pointwise form of the criterion."""
    model = models.FamilyMixture(family, D, 4)
    parameters = model.initial_parameters(generator("tempering"))
    x = family.sample(model.component_natural(parameters), generator("x"))

    def log_prob(p):
        return family.pairwise_log_prob(x, model.component_natural(p))

    value, slope = torch.func.jvp(log_prob, (parameters,), (model.gap_direction(parameters),))
    target = value - family.log_base_measure(x)[:, None]
    target = target + family.pseudo_entropy(model.component_natural(parameters))
    torch.testing.assert_close(slope, target, rtol=1e-11, atol=1e-11)
    # The same direction, found without knowing it: least squares over the scores of one component.
    names = family.coordinates
    own = {name: parameters[name] for name in names}
    many = family.sample(model.component_natural(parameters).repeat(60, 1), generator("many"))

    def scores(p):
        return family.pairwise_log_prob(many, model.component_natural(parameters | p))[:, 0]

    jacobian = torch.func.jacfwd(scores)(own)
    columns = torch.cat([jacobian[name][:, 0] for name in names], 1)
    eta = model.component_natural(parameters)[0]
    wanted = scores(own) - family.log_base_measure(many) + family.pseudo_entropy(eta)
    found = torch.linalg.lstsq(columns, wanted[:, None], driver="gelsd").solution[:, 0]
    torch.testing.assert_close(columns @ found, wanted, rtol=1e-9, atol=1e-9)
    if not isinstance(family, (families.Categorical, families.CategoricalProduct)):
        direction = model.component_direction(parameters)
        v = torch.cat([direction[name][0] for name in names])
        if not isinstance(family, families.Multinomial):  # over-complete: v up to a shift
            torch.testing.assert_close(found, v, rtol=1e-7, atol=1e-8)


# --- series and extreme values --------------------------------------------------------------------

KAPPAS = (1e-8, 1e-3, 0.5, 3.0, 29.99, 30.01, 100.0, 1e4, 1e8)


@pytest.mark.parametrize("kappa", KAPPAS)
def test_von_mises_is_exact_from_the_uniform_to_the_concentrated(kappa):
    """Log-partition, entropy and derivatives against 40 digits."""
    family = families.VonMises()
    eta = torch.tensor([0.6 * kappa, 0.8 * kappa], dtype=torch.float64)
    with mpmath.workdps(40):
        k = mpmath.mpf(kappa)
        log_bessel = mpmath.log(2 * mpmath.pi * mpmath.besseli(0, k))
        ratio = mpmath.besseli(1, k) / mpmath.besseli(0, k)
        slope = 1 - ratio / k - ratio**2
        entropy, entropy_slope = log_bessel - k * ratio, -k * slope
        values = [float(v) for v in (log_bessel, ratio, slope, entropy, entropy_slope)]
    log_bessel, ratio, slope, entropy, entropy_slope = values
    unit = torch.tensor([0.6, 0.8], dtype=torch.float64)
    assert float(family.log_partition(eta)) == pytest.approx(log_bessel, rel=1e-14)
    assert float(family.mean_parameters(eta) @ unit) == pytest.approx(ratio, rel=1e-14)
    assert float(family.entropy(eta)) == pytest.approx(entropy, rel=2e-14, abs=2e-14)
    gradient = torch.func.grad(family.entropy)(eta)
    assert float(gradient @ unit) == pytest.approx(entropy_slope, rel=1e-11)
    hessian = torch.func.hessian(family.log_partition)(eta)
    # Rotated from (κ, 0), rows and columns cancel to relative round-off of the larger eigenvalue.
    assert float(unit @ hessian @ unit) == pytest.approx(slope, rel=1e-11, abs=1e-16)
    assert bool(torch.isfinite(torch.func.hessian(family.entropy)(eta)).all())


def test_von_mises_is_smooth_at_the_uniform_distribution():
    """A = log 2π + ‖η‖²/4 + …: ∇A = 0 and ∇²A = 1/2 at η = 0."""
    zero = torch.zeros(2, dtype=torch.float64)
    family = families.VonMises()
    assert torch.equal(torch.func.grad(family.log_partition)(zero), zero)
    half = 0.5 * torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(torch.func.hessian(family.log_partition)(zero), half)
    torch.testing.assert_close(torch.func.hessian(family.entropy)(zero), -half)


@pytest.mark.parametrize("dof", (0.3, 1.0, 5.0, 19.99, 20.01, 1e3, 1e7, 1e12))
def test_student_t_is_exact_up_to_the_gaussian(dof):
    family = families.StudentT()
    natural = torch.tensor([0.3, 2.0, dof], dtype=torch.float64)
    x = torch.tensor([1.7], dtype=torch.float64)
    with mpmath.workdps(40):
        nu, u = mpmath.mpf(dof), (mpmath.mpf(1.7) - mpmath.mpf(0.3)) / 2
        start = mpmath.log(mpmath.sqrt(nu) * mpmath.beta(nu / 2, 0.5)) + mpmath.log(2)
        digammas = mpmath.digamma((nu + 1) / 2) - mpmath.digamma(nu / 2)
        entropy = float((nu + 1) / 2 * digammas + start)
        log_p = float(-(start + (nu + 1) / 2 * mpmath.log1p(u**2 / nu)))
    assert float(family.entropy(natural)) == pytest.approx(entropy, rel=1e-14, abs=1e-14)
    assert float(family.log_prob(x, natural)) == pytest.approx(log_p, rel=1e-14, abs=1e-14)
    gradient = torch.func.grad(family.entropy)(natural)
    assert float(gradient[1]) == pytest.approx(0.5, rel=1e-15)
    assert float(gradient[2]) <= 0


def test_series():
    x = torch.tensor([-2.0, 0.0, 3.0], dtype=torch.float64)
    for size in (1, 2, 3, 4, 5, 9):
        c = draw(size, g=generator(f"polynomial {size}"))
        expected = np.polynomial.polynomial.polyval(x.numpy(), c.numpy())
        np.testing.assert_allclose(polynomial(tuple(c.tolist()), x).numpy(), expected, rtol=1e-13)
    c = log_gamma_ratio_series()
    np.testing.assert_allclose(c[:4], [1 / 8, -1 / 192, 1 / 640, -17 / 14336], rtol=1e-15)


# --- sampling and support -------------------------------------------------------------------------


@over(EVERY)
def test_draws_have_the_moments_of_the_family(family):
    natural, rows = components(family, 2)
    many = natural[0].expand(20_000, -1)
    draws = family.sample(many, generator("draws"))
    assert draws.dtype == torch.float64 and draws.shape == (20_000, D)
    assert family.invalid(draws) is None
    assert torch.equal(draws, family.sample(many, generator("draws")))
    assert not torch.equal(draws, family.sample(many, generator("other draws")))
    if isinstance(family, ExponentialFamily):
        statistics = family.statistics(draws)
        error = (statistics.mean(0) - family.mean_parameters(natural[0])).abs()
        assert bool((error <= 5 * statistics.std(0) / math.sqrt(20_000) + 1e-12).all())
    else:
        univariate = frozen(family, rows[0])
        for index in range(D):
            column = draws[:, index].numpy()
            p = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
            quantiles = np.array([univariate.ppf(level)[index] for level in p])
            below = (column[:, None] <= quantiles).mean(0)
            assert bool((abs(below - p) <= 5 * np.sqrt(p * (1 - p) / 20_000)).all())
    surprise = -(family.log_prob(draws, natural[0]) - family.log_base_measure(draws))
    error = abs(float(surprise.mean() - family.pseudo_entropy(natural[0])))
    assert error <= 5 * float(surprise.std()) / math.sqrt(20_000)


def test_draws_without_a_generator_follow_the_global_seed():
    natural = families.Gamma().natural_parameters(torch.ones(3).double(), torch.ones(3).double())
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first = families.Gamma().sample(natural)
        torch.manual_seed(3)
        assert torch.equal(first, families.Gamma().sample(natural))
        assert not torch.equal(first, families.Gamma().sample(natural))


@pytest.mark.parametrize(
    ("family", "bad", "sentence"),
    (
        (families.Poisson(), [1.0, 2.5], r"counts .* for Poisson\(\): .*\[1, 2.5\]"),
        (families.Poisson(), [-1.0, 2.0], "counts"),
        (families.Geometric(), [0.5, 0.0], "counts .* for Geometric"),
        (families.NegativeBinomial(2.0), [0.0, -3.0], "counts .* for NegativeBinomial"),
        (families.Multinomial(4), [1.0, 2.0], "sum to trials = 4 .* sums from 3 to 3"),
        (families.Multinomial(4), [1.5, 2.5], "counts .* for Multinomial"),
        (families.Exponential(), [0.0, -1e-9], "non-negative and finite for Exponential"),
        (families.Gamma(), [0.0, 1.0], r"positive and finite for Gamma\(\): .*\[0, 1\]"),
        (families.Gamma(), [math.inf, 1.0], "positive and finite"),
        (families.GammaFixedShape(2.0), [-1.0, 1.0], "positive and finite for GammaFixedShape"),
        (families.InverseGaussian(), [0.0, 1.0], "positive and finite for InverseGaussian"),
        (families.LogNormal(), [0.0, 1.0], "positive and finite for LogNormal"),
        (families.Beta(), [0.0, 0.5], "strictly between 0 and 1 for Beta"),
        (families.Beta(), [0.5, 1.0], r"strictly between 0 and 1 .*\[0.5, 1\]"),
        (families.VonMises(), [0.0, 7.0], r"angles in radians.*\[0, 7\]"),
        (families.VonMises(), [math.nan, 1.0], "angles in radians"),
        (families.Laplace(), [math.nan, 1.0], "finite for Laplace"),
        (families.StudentT(), [math.inf, 1.0], "finite for StudentT"),
    ),
)
def test_values_outside_the_support_are_named(family, bad, sentence):
    said = family.invalid(torch.tensor([bad], dtype=torch.float64))
    assert said is not None and re.search(sentence, said)


@pytest.mark.parametrize(
    ("build", "sentence"),
    (
        (lambda: families.NegativeBinomial(0.0), "successes must be a positive number: got 0.0"),
        (lambda: families.GammaFixedShape(-1.0), "shape must be a positive number: got -1.0"),
        (lambda: families.GammaFixedShape(math.inf), "shape must be a positive number: got inf"),
        (lambda: families.Multinomial(0), "trials must be a positive integer: got 0"),
        (lambda: families.Multinomial(2.5), "trials must be a positive integer: got 2.5"),
        (lambda: families.Multinomial(True), "trials must be a positive integer: got True"),
    ),
)
def test_bad_fixed_values_are_named(build, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        build()

"""Mistakes in EM by blocks and sufficient statistics, and in when it stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

M = TypeVar("M")

TESTS = "tests/fit/test_em.py"
PASS = "models/mixtures/em.py"
FACTORS = "models/factor_em.py"

#: Name, file, old text, new text, tests (of TESTS) that must fail.
MISTAKES = (
    (
        "EM: half of the pairs' weights",
        PASS,
        "(lag == 0) | (2 * lag == self.size), 1.0, 2.0)",
        "(lag == 0) | (2 * lag == self.size), 1.0, 1.0)",
        "by_the_formulas and full",
    ),
    (
        "EM: pairs at half of D counted twice",
        PASS,
        "(lag == 0) | (2 * lag == self.size), 1.0, 2.0)",
        "lag == 0, 1.0, 2.0)",
        "by_the_formulas and full",
    ),
    (
        "EM: components not centred with the data",
        PASS,
        "natural_parameters(means - self.centre, covariances)",
        "natural_parameters(means, covariances)",
        "by_the_formulas",
    ),
    (
        "EM: data not centred",
        PASS,
        "self.centre = x.mean(0)",
        "self.centre = 0 * x.mean(0)",
        "more_accurate_ones",
    ),
    (
        "EM: log-partition forgotten",
        PASS,
        "(log_weights - self.family.log_partition(natural))",
        "(log_weights + 0 * self.family.log_partition(natural))",
        "by_the_formulas",
    ),
    (
        "EM: spherical variance summed over the columns",
        PASS,
        "(second[:, 0] - (means * means).sum(1)) / self.size",
        "second[:, 0] - (means * means).sum(1)",
        "by_the_formulas and spherical",
    ),
    (
        "EM: covariances that lost their digits are kept",
        "models/mixtures/gaussian.py",
        "NARROW = 1e-4",
        "NARROW = 0.0",
        "narrow_components",
    ),
    (
        "EM: subnormal responsibilities",
        "models/enumerated.py",
        "_LOG_TINY = -500.0",
        "_LOG_TINY = -800.0",
        "not_subnormal",
    ),
    (
        "EM: log-likelihood summed over the data",
        PASS,
        "log_likelihood / self.points",
        "log_likelihood",
        "by_the_formulas",
    ),
    (
        "factor analysis: loadings with the noise left in",
        FACTORS,
        "(values[-self.latent :] - 1)",
        "values[-self.latent :]",
        "best_loadings",
    ),
    (
        "factor analysis: noise step without the factors",
        FACTORS,
        "(self.loadings(noise) ** 2).sum(1)",
        "0 * noise",
        "steps_of_scikit_learn",
    ),
    (
        "factor analysis: likelihood without the shift of the mean",
        FACTORS,
        "self.covariance + torch.outer(shift, shift)",
        "self.covariance",
        "only_the_noise",
    ),
    (
        "factor analysis: an observable without noise goes unnoticed",
        FACTORS,
        "if bare:",
        "if False:",
        "that_the_factors_explain",
    ),
)


def em_mutants(make: Callable[..., M]) -> tuple[M, ...]:
    """The mistakes of this module, each made with ``make``."""
    return tuple(make(name, file, old, new, TESTS, only) for name, file, old, new, only in MISTAKES)

"""The families of the package as symbolic densities, each with its v: what is proved of them."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp
from sympy import Expr

from companion.studies.proofs.statement import THETA, Statement

__all__ = ["FAMILIES", "UNIT", "X"]

#: The value of one variable, and the entries of a vector of counts or of a one-hot vector.
UNIT = sp.Symbol("x", real=True)
X = sp.IndexedBase("x", real=True)
HALF = sp.Rational(1, 2)
LOG_2PI = sp.log(2 * sp.pi)


def _real(names: str) -> Sequence[sp.Symbol]:
    return sp.symbols(names, real=True, seq=True)


def bernoulli(x: Expr, logit: Expr) -> tuple[Expr, Expr]:
    """log p and H of one Bernoulli variable."""
    normaliser = sp.log(1 + sp.exp(logit))
    return x * logit - normaliser, normaliser - logit / (1 + sp.exp(-logit))


def gaussian(x: Expr, mean: Expr, log_variance: Expr) -> tuple[Expr, Expr]:
    """log p and H of one Gaussian variable."""
    constant = HALF * (LOG_2PI + log_variance)
    return -HALF * (x - mean) ** 2 * sp.exp(-log_variance) - constant, constant + HALF


def poisson(x: Expr, log_rate: Expr) -> tuple[Expr, Expr]:
    """log p and H̃ of one Poisson variable."""
    rate = sp.exp(log_rate)
    return x * log_rate - rate - sp.loggamma(x + 1), rate * (1 - log_rate)


def _bernoulli() -> Statement:
    (logit,) = _real("l")
    log_p, entropy = bernoulli(UNIT, logit)
    at = {"component_logits": logit}
    return Statement("Bernoulli", log_p, entropy, at, {"component_logits": THETA})


def _categorical(name: str, trials: Expr) -> Statement:
    """Any number C of categories, and of trials where ``trials`` is a symbol."""
    k, categories = sp.Symbol("k", integer=True), sp.Symbol("C", integer=True, positive=True)
    logits = sp.IndexedBase("l", real=True)
    over = (k, 1, categories)
    total = sp.Sum(sp.exp(logits[k]), over)
    base = sp.loggamma(trials + 1) - sp.Sum(sp.loggamma(X[k] + 1), over) if trials != 1 else 0
    log_p = sp.Sum(X[k] * logits[k], over) - trials * sp.log(total) + base
    mean = sp.Sum(logits[k] * sp.exp(logits[k]), over) / total
    at = {"component_logits": logits}
    entropy = trials * (sp.log(total) - mean)
    return Statement(name, log_p, entropy, at, {"component_logits": THETA}, sp.sympify(base))


def _counts() -> list[Statement]:
    (t,) = _real("t")
    x, r = UNIT, sp.Symbol("r", positive=True)
    log_p, entropy = poisson(x, t)
    yes, no = sp.log(1 + sp.exp(-t)), sp.log(1 + sp.exp(t))  # −log σ(t), −log σ(−t)
    base = sp.loggamma(x + r) - sp.loggamma(r) - sp.loggamma(x + 1)
    odds = sp.exp(t)
    return [
        Statement(
            "Poisson",
            log_p,
            entropy,
            {"log_rates": t},
            {"log_rates": THETA},
            -sp.loggamma(x + 1),
        ),
        Statement(
            "Geometric",
            -yes - x * no,
            yes + no / odds,
            {"success_logits": t},
            {"success_logits": sp.log(1 + sp.exp(THETA)) * (1 + sp.exp(-THETA))},
        ),
        Statement(
            "NegativeBinomial",
            -r * no - x * yes + base,
            r * (no + odds * yes),
            {"failure_logits": t},
            {"failure_logits": -sp.log(1 + sp.exp(-THETA)) * (1 + sp.exp(THETA))},
            base,
        ),
    ]


def _positive() -> list[Statement]:
    a, b = _real("a b")
    x, k, r = sp.Symbol("x", positive=True), sp.exp(a), sp.exp(b)
    fixed = sp.Symbol("k", positive=True)
    both = {"log_shapes": a, "log_rates": b}
    base = (fixed - 1) * sp.log(x) - sp.loggamma(fixed)
    gamma = (k - 1) * sp.log(x) - r * x + k * b - sp.loggamma(k)
    entropy = k - b + sp.loggamma(k) + (1 - k) * sp.digamma(k)
    wald = -sp.Rational(3, 2) * sp.log(x) - HALF * LOG_2PI
    names = {"log_means": a, "log_shapes": b}
    squared = (x - k) ** 2 / (k**2 * x)
    of_log, of_log_entropy = gaussian(sp.log(x), a, b)
    one = {"log_rates": sp.Integer(1)}
    return [
        Statement("Exponential", b - r * x, 1 - b, {"log_rates": b}, one),
        Statement("Gamma", gamma, entropy, both, {"log_shapes": 1 - sp.exp(-THETA), **one}),
        Statement(
            "GammaFixedShape",
            fixed * b - r * x + base,
            fixed * (1 - b),
            {"log_rates": b},
            one,
            base,
        ),
        Statement(
            "InverseGaussian",
            HALF * b + wald - HALF * r * squared,
            HALF * (1 - b),
            names,
            {"log_shapes": sp.Integer(1)},
            wald,
        ),
        Statement(
            "LogNormal",
            of_log - sp.log(x),
            of_log_entropy + a,
            {"locations": a, "log_variances": b},
            {"locations": -sp.exp(b), "log_variances": sp.Integer(-1)},
        ),
    ]


def _bounded() -> list[Statement]:
    a, b = _real("a b")
    x, alpha, beta, kappa = UNIT, sp.exp(a), sp.exp(b), sp.exp(b)
    total = sp.loggamma(alpha) + sp.loggamma(beta) - sp.loggamma(alpha + beta)
    inside = (alpha - 1) * sp.digamma(alpha) + (beta - 1) * sp.digamma(beta)
    inside -= (alpha + beta - 2) * sp.digamma(alpha + beta)
    step = 1 - sp.exp(-THETA)
    circle = sp.log(2 * sp.pi * sp.besseli(0, kappa))
    mean = kappa * sp.besseli(1, kappa) / sp.besseli(0, kappa)
    return [
        Statement(
            "Beta",
            (alpha - 1) * sp.log(x) + (beta - 1) * sp.log(1 - x) - total,
            total - inside,
            {"log_alphas": a, "log_betas": b},
            {"log_alphas": step, "log_betas": step},
        ),
        Statement(
            "VonMises",
            kappa * sp.cos(x - a) - circle,
            circle - mean,
            {"mean_angles": a, "log_concentrations": b},
            {"log_concentrations": sp.Integer(1)},
        ),
    ]


def student_t(x: Expr, location: Expr, log_scale: Expr, dof: Expr) -> tuple[Expr, Expr]:
    """log p and H of one Student t variable."""
    half = (dof + 1) / 2
    constant = sp.loggamma(dof / 2) - sp.loggamma(half) + HALF * sp.log(sp.pi * dof) + log_scale
    tail = half * sp.log(1 + (x - location) ** 2 * sp.exp(-2 * log_scale) / dof)
    return -constant - tail, constant + half * (sp.digamma(half) - sp.digamma(dof / 2))


def _real_line() -> list[Statement]:
    m, b, c = _real("m b c")
    x = UNIT
    scale = {"log_scales": sp.Integer(-1)}
    ratio = 1 + sp.exp(-c)
    student, student_entropy = student_t(x, m, b, sp.exp(c))
    entropy = 1 + sp.log(2) + b
    return [
        Statement(
            "ZeroLaplace",
            -sp.Abs(x) * sp.exp(-b) - sp.log(2) - b,
            entropy,
            {"log_scales": b},
            scale,
        ),
        Statement(
            "Laplace",
            -sp.Abs(x - m) * sp.exp(-b) - sp.log(2) - b,
            entropy,
            {"locations": m, "log_scales": b},
            scale,
        ),
        Statement(
            "StudentT",
            student,
            student_entropy,
            {"locations": m, "log_scales": b, "log_dofs": c},
            {"log_scales": -ratio / 2, "log_dofs": 1 + sp.exp(-THETA)},
        ),
    ]


#: One statement for each family that has coordinates of its own, by the name of its class. It is
#: about one variable, or one vector of counts: densities, entropies and slopes of several add up.
FAMILIES: dict[str, Statement] = {
    statement.name: statement
    for statement in (
        _bernoulli(),
        _categorical("Categorical", sp.Integer(1)),
        _categorical("CategoricalProduct", sp.Integer(1)),
        _categorical("Multinomial", sp.Symbol("n", integer=True, positive=True)),
        *_counts(),
        *_positive(),
        *_bounded(),
        *_real_line(),
    )
}

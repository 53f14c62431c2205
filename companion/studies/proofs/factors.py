"""What the models make of the families: layers, heads, mixtures' covariances, fixed priors."""

from __future__ import annotations

import sympy as sp
from sympy import Expr

from companion.studies.proofs.densities import HALF, LOG_2PI, UNIT, X, bernoulli, gaussian, poisson
from companion.studies.proofs.statement import THETA, Statement

__all__ = ["FACTORS"]

MINUS = sp.Integer(-1)
_LATENT = sp.Symbol("H", integer=True, positive=True)
_K = sp.Symbol("k", integer=True)
_W, _U = sp.IndexedBase("w", real=True), sp.IndexedBase("u", real=True)
#: What enters a linear layer: z itself, or what hidden layers make of it, however they do it.
_A = sp.IndexedBase("a", real=True)
_B, _C = sp.symbols("b c", real=True)
_WHOLE_LAYER = {"weights": THETA, "bias": THETA}


def _linear(weights: sp.IndexedBase, bias: Expr) -> Expr:
    return sp.Sum(weights[_K] * _A[_K], (_K, 1, _LATENT)) + bias


def _layers() -> list[Statement]:
    eta, layer = _linear(_W, _B), {"weights": _W, "bias": _B}
    log_p, entropy = bernoulli(UNIT, eta)
    counts, pseudo = poisson(UNIT, eta)
    c, size = sp.Symbol("c", integer=True), sp.Symbol("C", integer=True, positive=True)
    w, b = sp.IndexedBase("W", real=True), sp.IndexedBase("b", real=True)
    logits = sp.Sum(w[c, _K] * _A[_K], (_K, 1, _LATENT)) + b[c]
    total = sp.Sum(sp.exp(logits), (c, 1, size))
    mean = sp.Sum(logits * sp.exp(logits), (c, 1, size)) / total
    one_hot = sp.Sum(X[c] * logits, (c, 1, size)) - sp.log(total)
    feature = sp.IndexedBase("T", real=True)
    states = sp.Sum(_W[_K] * feature[c, _K], (_K, 1, _LATENT))
    total_states = sp.Sum(sp.exp(states), (c, 1, size))
    mean_states = sp.Sum(states * sp.exp(states), (c, 1, size)) / total_states
    variance = sp.Symbol("sigma2", positive=True)
    known, _ = gaussian(UNIT, eta, sp.log(variance))
    base, _ = gaussian(UNIT, sp.Integer(0), sp.log(variance))
    return [
        Statement("linear logits", log_p, entropy, layer, _WHOLE_LAYER),
        Statement("linear log-rates", counts, pseudo, layer, _WHOLE_LAYER, -sp.loggamma(UNIT + 1)),
        Statement(
            "linear logits of categories",
            one_hot,
            sp.log(total) - mean,
            {"weights": w, "bias": b},
            _WHOLE_LAYER,
        ),
        Statement(
            "log-linear states",
            sp.Sum(X[c] * states, (c, 1, size)) - sp.log(total_states),
            sp.log(total_states) - mean_states,
            {"weights": _W},
            {"weights": THETA},
        ),
        Statement(
            "mean of known variance",
            known,
            -(eta**2) / (2 * variance),
            layer,
            _WHOLE_LAYER,
            base,
        ),
    ]


def _topics() -> Statement:
    """θ ~ Dir(e^a) with n_k words of topic k, as one variable: x_k is log θ_k."""
    k, size = sp.Symbol("k", integer=True), sp.Symbol("C", integer=True, positive=True)
    logs, words = sp.IndexedBase("a", real=True), sp.IndexedBase("n", real=True)
    over, alpha = (k, 1, size), sp.exp(logs[k])
    total = sp.Sum(alpha, over)
    normaliser = sp.Sum(sp.loggamma(alpha), over) - sp.loggamma(total)
    base = sp.Sum(words[k] * X[k], over)
    inner = sp.Sum((alpha - 1) * sp.digamma(alpha), over)
    inner -= sp.digamma(total) * sp.Sum(alpha - 1, over)
    return Statement(
        "Dirichlet, topics",
        sp.Sum((alpha - 1) * X[k], over) - normaliser + base,
        normaliser - inner,
        {"log_concentration": logs},
        {"log_concentration": 1 - sp.exp(-THETA)},
        base,
    )


def _noise() -> list[Statement]:
    mean = sp.Symbol("mu", real=True)
    log_p, entropy = gaussian(UNIT, mean, _B)
    eta = _linear(_W, _B)
    of_head, entropy_of_head = gaussian(UNIT, mean, eta)
    squared, entropy_of_squared = gaussian(UNIT, mean, sp.log(eta**2))
    return [
        Statement("Gaussian noise", log_p, entropy, {"log_variance": _B}, {"log_variance": MINUS}),
        Statement(
            "log-variance head",
            of_head,
            entropy_of_head,
            {"weights": _W, "bias": _B},
            {"bias": MINUS},
        ),
        Statement(
            "standard deviation linear in z",
            squared,
            entropy_of_squared,
            {"weights": _W, "bias": _B},
            {"weights": -THETA / 2, "bias": -THETA / 2},
        ),
    ]


def _full_covariance() -> Statement:
    """N(m, LLᵀ) in three dimensions, with L's diagonal on a log scale."""
    size = range(3)
    below = sp.IndexedBase("L", real=True)
    diagonal, mean = sp.IndexedBase("d", real=True), sp.IndexedBase("m", real=True)
    factor = sp.Matrix(
        3, 3, lambda i, j: sp.exp(diagonal[i]) if i == j else below[i, j] if j < i else 0
    )
    centred = sp.Matrix([X[i] - mean[i] for i in size])
    white = factor.lower_triangular_solve(centred)
    constant = sum(diagonal[i] for i in size) + sp.Rational(3, 2) * LOG_2PI
    return Statement(
        "full covariance",
        -HALF * (white.T * white)[0, 0] - constant,
        constant + sp.Rational(3, 2),
        {"means": mean, "cholesky": below, "log_diagonal": diagonal},
        {"cholesky": -THETA / 2, "log_diagonal": -HALF},
    )


def _stationary_covariance() -> Statement:
    """zᵀP z with P = A P Aᵀ + LLᵀ, in two dimensions: the step −½ on L makes it fall at rate one.

    So it falls as it does along the v of "full covariance" for P's own factor, and the log-density
    of the first state changes alike. P is solved for: the solution is unique where it exists.
    """
    over, below = (sp.IndexedBase(name, real=True) for name in "AL")
    diagonal, z = sp.IndexedBase("d", real=True), sp.Matrix([X[0], X[1]])
    factor = sp.Matrix([[sp.exp(diagonal[0]), 0], [below[1, 0], sp.exp(diagonal[1])]])
    transition = sp.Matrix(2, 2, lambda i, j: over[i, j])
    equations = sp.eye(4) - sp.kronecker_product(transition, transition)
    scaled = (equations.adjugate() * (factor * factor.T).reshape(4, 1)).reshape(2, 2)
    square = (z.T * scaled * z)[0, 0] / equations.det(method="berkowitz")
    return Statement(
        "stationary covariance",
        square,
        sp.S.Zero,
        {"transition": over, "cholesky": below, "log_diagonal": diagonal},
        {"cholesky": -THETA / 2, "log_diagonal": -HALF},
        log_density=-square,
    )


def _fixed_priors() -> list[Statement]:
    """z = ν + Lε with ε held: what a step of q and of the first weights changes, log|L| included.

    ``f`` is log p(x | z) as a function of what the first weights make of z, whatever it is.
    """
    decoder = sp.Function("f", real=True)
    h, k = sp.symbols("h k", integer=True)
    nu, factor = sp.IndexedBase("nu", real=True), sp.IndexedBase("L", real=True)
    noise = sp.IndexedBase("epsilon", real=True)
    z = nu[h] + sp.Sum(factor[h, k] * noise[k], (k, 1, _LATENT))
    over = (h, 1, _LATENT)
    read = decoder(sp.Sum(_W[h] * z, over))
    spread = sp.Sum(sp.log(factor[h, h]), over)
    free = {"weights": _W, "q.mean": nu, "q.scale": factor}
    square = -HALF * sp.Sum(z**2, over) - _LATENT * LOG_2PI / 2
    gaussian_entropy = _LATENT * (LOG_2PI + 1) / 2
    # One latent of a q whose mean and log-std are linear in what the encoder makes of x.
    tau = _linear(_U, _C)
    one = _linear(_W, _B) + sp.exp(tau) * UNIT
    first = sp.Symbol("w1", real=True)
    encoder = {"first": first, "mean.weights": _W, "mean.bias": _B}
    encoder |= {"log_std.weights": _U, "log_std.bias": _C}
    halves = {"first": -THETA / 2, "mean.weights": THETA / 2, "mean.bias": THETA / 2}
    of_one = -HALF * one**2 - LOG_2PI / 2
    location, scale = sp.Symbol("nu", real=True), sp.Symbol("tau", positive=True)
    along = location + scale * UNIT
    laplace = -sp.Abs(along) - sp.log(2)
    return [
        Statement(
            "fixed Gaussian prior, any Gaussian q",
            read + square + spread,
            gaussian_entropy,
            free,
            {"weights": -THETA / 2, "q.mean": THETA / 2, "q.scale": THETA / 2},
            log_density=square,
        ),
        Statement(
            "fixed Gaussian prior, encoder",
            decoder(first * one) + of_one + tau,
            (LOG_2PI + 1) / 2,
            encoder,
            {**halves, "log_std.bias": HALF},
            log_density=of_one,
        ),
        Statement(
            "fixed Laplace prior, Gaussian q",
            decoder(first * along) + laplace + sp.log(scale),
            1 + sp.log(2),
            {"weights": first, "q.mean": location, "q.scale": scale},
            {"weights": -THETA, "q.mean": THETA, "q.scale": THETA},
            log_density=laplace,
        ),
    ]


#: One statement for each way in which a model of the package has parameters of its own.
FACTORS: dict[str, Statement] = {
    statement.name: statement
    for statement in (
        *(*_layers(), *_noise(), _full_covariance(), _stationary_covariance(), _topics()),
        *_fixed_priors(),
    )
}

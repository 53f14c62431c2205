"""What has no direction v, with the points that show it."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp
from sympy import Expr

from companion.studies.proofs.densities import gaussian, poisson, student_t
from companion.studies.proofs.statement import Contradiction

__all__ = ["CONTRADICTIONS"]

_X, _Z = sp.symbols("x z", real=True)
_A, _B = sp.symbols("a b", real=True)
_ONE = sp.Integer(1)


def _density(name: str, log_p: Expr, parameters: Sequence[sp.Symbol], *at: int) -> Contradiction:
    """No v and no H at parameters of ½, with one value of x for each unknown and one more."""
    columns = (*(sp.diff(log_p, p) for p in parameters), _ONE, log_p)
    points = tuple({_X: sp.Integer(x)} for x in at)
    return Contradiction(name, columns, points, {p: sp.Rational(1, 2) for p in parameters})


def _head(name: str, variance: Expr) -> Contradiction:
    """No step of a head's weight a and bias b tempers N(x; 0, σ²(az + b)) for all z."""
    log_p, entropy = gaussian(_X, sp.Integer(0), sp.log(variance))
    columns = (sp.diff(log_p, _A), sp.diff(log_p, _B), log_p + entropy)
    points = tuple({_X: sp.Integer(2), _Z: sp.Integer(z)} for z in (-1, 0, 2))
    return Contradiction(name, columns, points, {_A: sp.Rational(1, 2), _B: sp.Rational(1, 3)})


def _cases() -> list[Contradiction]:
    read = _A * _Z + _B
    scale, shape = sp.exp(_A), sp.exp(_B)
    u = (_X - _A) / shape
    # At points where x > 0; the Poisson and gamma densities are taken with constant base measure.
    weibull = _B - _A + (shape - 1) * (sp.log(_X) - _A) - (_X / scale) ** shape
    gamma = 3 * _A + 2 * sp.log(_X) - _X * scale
    student, _ = student_t(_X, _A, _B, sp.Integer(3))
    softplus = sp.log(1 + sp.exp(read))
    prior = {_Z: sp.Integer(0)}
    return [
        _density("N(μ, 1), true entropy", gaussian(_X, _A, sp.Integer(0))[0], [_A], 0, 1, 3),
        _density("N(a, a²)", gaussian(_X, _A, sp.log(_A**2))[0], [_A], 0, 1, 3),
        _density("N(a, a), a variance", gaussian(_X, _A, sp.log(_A))[0], [_A], 0, 1, 3),
        _density("Poisson, true entropy", poisson(_X, _A)[0], [_A], 0, 1, 2),
        _density("gamma, shape fixed at 3, true entropy", gamma, [_A], 1, 2, 4),
        _density("Student t, 3 degrees of freedom", student, [_A, _B], 0, 1, 2, 4),
        _density("Weibull", weibull, [_A, _B], 1, 2, 3, 5),
        _density("Gumbel", -_B - u - sp.exp(-u), [_A, _B], 0, 1, 2, 4),
        _head("variance by softplus", softplus),
        _head("standard deviation by softplus", softplus**2),
        _head("variance 1 + exp", 1 + sp.exp(read)),
        _head("variance exp(2 tanh)", sp.exp(2 * sp.tanh(read))),
        Contradiction("fixed N(0, 1) prior, q not moved", ((1 - _Z**2) / 2,), (prior,), {}),
    ]


#: Cases without v, by name.
CONTRADICTIONS: dict[str, Contradiction] = {case.name: case for case in _cases()}

"""Directions of the parameterization criterion for decoders too large for a dense Jacobian.

Both searches see the natural parameters only as a function of the parameters: a Jacobian-vector
product for each candidate, never the Jacobian.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, lsmr
from torch import Tensor

from companion.support import tree
from companion.support.checks import all_finite

__all__ = [
    "Found",
    "closed_form",
    "dense",
    "flow",
    "from_dictionary",
    "iterative",
    "misfit",
    "solve",
]

#: Natural parameters of all nodes, as one vector, from the parameters that β may use.
Stacked = Callable[[Mapping[str, Tensor]], Tensor]

_RANK_TOLERANCE = 1e-11
#: A row of the equations smaller than this, relative to what it could be, is round-off.
_NOTHING = 1e-6


class Found(NamedTuple):
    """A direction, the rank of the equations, and its misfit on training and on held-out nodes."""

    direction: dict[str, Tensor]
    rank: int
    training: float
    held_out: float


def solve(jacobian: Tensor, target: Tensor) -> tuple[Tensor, int]:
    """Least squares with rows of [J|η] and columns of J scaled to norm one: β and the rank."""
    rows = torch.cat([jacobian, target[:, None]], 1).norm(dim=1)
    if not all_finite(rows):
        raise ValueError("parameters must be where natural parameters and derivatives are finite")
    rows = torch.where(rows > 0, rows, 1.0)[:, None]
    scaled = jacobian / rows
    columns = scaled.norm(dim=0)
    columns = torch.where(columns > 0, columns, 1.0)
    U, s, Vh = torch.linalg.svd(scaled / columns, full_matrices=False)
    keep = s > _RANK_TOLERANCE * s.max()
    coefficients = (U.T @ (target / rows[:, 0]))[keep] / s[keep]
    return (Vh[keep].T @ coefficients) / columns, int(keep.sum())


def misfit(jacobian: Tensor, target: Tensor, beta: Tensor) -> float:
    """‖Jβ − η‖/‖η‖, every row weighed by its own size: a misfit in a small entry must show.

    A row that is smaller than the round-off in it, since it reads 0 = 0, counts with that.
    """
    if float(target.norm()) == 0:
        return 0.0
    rows = torch.cat([jacobian, target[:, None]], 1).norm(dim=1)
    rows = torch.where(rows > 0, rows, 1.0)
    scaled, goal = jacobian / rows[:, None], target / rows
    columns = scaled.norm(dim=0)
    lengths = torch.where(columns > 0, scaled / columns, 0.0).norm(dim=1)
    size = torch.cat([scaled * beta, goal[:, None]], 1).norm(dim=1)
    size = torch.maximum(size, _NOTHING * lengths * (columns * beta).norm())
    size = torch.where(size > 0, size, 1.0)
    return float(((scaled @ beta - goal) / size).norm() / (goal / size).norm())


def dense(
    train: Stacked,
    test: Stacked,
    chosen: Mapping[str, Tensor],
    target: Tensor | None = None,
    test_target: Tensor | None = None,
) -> Found:
    """Least squares with the whole Jacobian: J β = target, a row for each entry.

    Parameters
    ----------
    train, test
        Functions of the parameters whose Jacobian is J: for the equations, and for held-out ones.
    chosen
        The parameters that β may use, where they are.
    target, test_target
        Their right sides; the values of the functions themselves by default.
    """

    def equations(function: Stacked, goal: Tensor | None) -> tuple[Tensor, Tensor]:
        goal = function(chosen) if goal is None else goal
        blocks = torch.func.jacfwd(function)(dict(chosen))
        columns = [blocks[name].reshape(len(goal), -1) for name in chosen]
        return torch.cat(columns, 1), goal

    jacobian, target = equations(train, target)
    beta, rank = solve(jacobian, target)
    training = misfit(jacobian, target, beta)
    held_out = training if test is train else misfit(*equations(test, test_target), beta)
    return Found(tree.unflatten(beta, chosen), rank, training, held_out)


def from_dictionary(train: Stacked, test: Stacked, chosen: Mapping[str, Tensor]) -> Found:
    """The best β in the span of θ_k and 1_k for every tensor k: two products for each tensor.

    Most directions that occur are there: a log-variance moves by a constant, a last linear layer by
    itself. It finds them exactly, whatever the number of parameters, and finds no others.
    """
    zeros = {name: torch.zeros_like(value) for name, value in chosen.items()}
    candidates = [zeros | {name: value} for name, value in chosen.items()]
    candidates += [zeros | {name: torch.ones_like(value)} for name, value in chosen.items()]

    def products(natural: Stacked) -> tuple[Tensor, Tensor]:
        columns = [torch.func.jvp(natural, (dict(chosen),), (c,))[1] for c in candidates]
        return torch.stack(columns, 1), natural(chosen)

    jacobian, target = products(train)
    weights, rank = solve(jacobian, target)
    direction = zeros
    for weight, candidate in zip(weights, candidates, strict=True):
        direction = tree.add(direction, candidate, weight)
    held_out = misfit(*products(test), weights)
    return Found(direction, rank, misfit(jacobian, target, weights), held_out)


def iterative(
    train: Stacked, test: Stacked, chosen: Mapping[str, Tensor], iterations: int = 200
) -> Found:
    """LSMR on all parameters, with Jacobian-vector and vector-Jacobian products.

    It may converge slowly, so that a misfit which is left is no proof that there is no direction.

    Parameters
    ----------
    train, test
        Natural parameters of the nodes that give the equations, and of held-out ones.
    chosen
        The parameters that β may use, where they are.
    iterations
        Of LSMR, at most; each is one product of either kind.
    """
    start = tree.flatten(chosen)

    def vector_natural(vector: Tensor) -> Tensor:
        return train(tree.unflatten(vector, chosen))

    target = vector_natural(start)
    pullback = torch.func.vjp(vector_natural, start)[1]
    size = target.abs() + 1e-3 * target.norm() / len(target) ** 0.5

    def forward(step: np.ndarray) -> np.ndarray:
        tangent = torch.from_numpy(np.asarray(step, dtype=np.float64).reshape(-1))
        return (torch.func.jvp(vector_natural, (start,), (tangent,))[1] / size).numpy()

    def backward(weights: np.ndarray) -> np.ndarray:
        cotangent = torch.from_numpy(np.asarray(weights, dtype=np.float64).reshape(-1))
        (gradient,) = pullback(cotangent / size)
        return np.asarray(gradient.numpy())

    operator = LinearOperator(
        (len(target), len(start)), matvec=forward, rmatvec=backward, dtype=np.float64
    )
    solution = lsmr(operator, (target / size).numpy(), atol=1e-14, btol=1e-14, maxiter=iterations)
    direction = tree.unflatten(torch.from_numpy(solution[0]), chosen)

    def error(natural: Stacked) -> float:
        value = natural(chosen)
        tangent = torch.func.jvp(natural, (dict(chosen),), (direction,))[1]
        scale = value.abs() + 1e-3 * value.norm() / len(value) ** 0.5
        return float(((tangent - value) / scale).norm() / (value / scale).norm())

    return Found(direction, 0, error(train), error(test))


def closed_form(first: Tensor, second: Tensor) -> Tensor:
    """The zero of A − B eᵗ from its value A − B and derivative −B at t = 0; else a step uphill."""
    ratio = torch.where(second < 0, first / -second, torch.inf)
    step = torch.where(ratio.isfinite() & (ratio > -1), torch.log1p(ratio), first.sign())
    return step.clamp(-20, 20)


def flow(
    variables: Mapping[str, Tensor],
    v: Mapping[str, Tensor],
    turn: Mapping[str, Tensor],
    time: Tensor,
) -> dict[str, Tensor]:
    """θ after ``time`` along dθ/dt = v(θ): exact where v is a constant or a multiple of θ.

    Parameters
    ----------
    variables, v, turn
        θ, v there, and the derivative of v along itself.
    time
        How far to go.
    """
    moved = {}
    for name, tangent in v.items():
        exponent = torch.where(tangent != 0, turn[name] / tangent, 0.0) * time
        factor = torch.where(exponent.abs() > 1e-12, torch.expm1(exponent) / exponent, 1.0)
        moved[name] = variables[name] + time * factor * tangent
    return moved

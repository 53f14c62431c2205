"""Maximising any function of named tensors: L-BFGS, Newton's method, gradient ascent and Adam.

An ``objective`` takes a dictionary of float64 tensors, with the names and shapes of ``start``, to a
scalar that autograd differentiates; the Hessian is that of torch.func. Every method takes at most
``steps`` steps and returns the variables at its end. It calls ``log(step, variables)`` at the start
and after every step; where that returns ``True``, it ends.

>>> def objective(at):
...     return -(at["a"] * at["b"] - 2) ** 2 - (at["a"] - 1) ** 2
>>> start = {name: torch.tensor(0.5, dtype=torch.float64) for name in "ab"}
>>> end = newton(objective, lbfgs(objective, start))
>>> round(float(end["a"]), 12), round(float(end["b"]), 12)
(1.0, 2.0)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.autograd.functional import vjp

from companion.fit.records import Vector, check_start, iterate, positive
from companion.support import tree
from companion.support.checks import positive_integer
from companion.support.doors import door

__all__ = ["adam", "ascent", "lbfgs", "newton"]

Variables = dict[str, Tensor]
Start = Mapping[str, Any]
Objective = Callable[[Variables], Tensor]
Log = Callable[[int, Variables], bool]

#: Newton ends at round-off: when this many steps have not halved a gradient norm below 1e-8.
_STALL = 4


def _silent(step: int, variables: Variables) -> bool:
    return False


@door
def lbfgs(
    objective: Objective,
    start: Start,
    *,
    steps: int = 2000,
    tolerance: float | None = 1e-5,
    log: Log = _silent,
) -> Variables:
    """L-BFGS with a memory of twenty steps.

    A line search can't see gradients below about 1e-8, the square root of round-off: go on with
    :func:`newton`.

    Parameters
    ----------
    objective, start, steps, log
        As for every method of this module.
    tolerance
        It ends where no entry of the gradient is above a tenth of this, or at round-off.

    Raises
    ------
    ValueError
        If steps or tolerance is not positive.

    >>> start = {"a": torch.zeros((), dtype=torch.float64)}
    >>> lbfgs(lambda v: -((v["a"] - 2) ** 2), start)["a"].round(decimals=6)
    tensor(2., dtype=torch.float64)
    """
    check_start(start)
    positive_integer(steps, "steps")
    positive(tolerance=tolerance)
    number = count(1)

    def variables(vector: Vector) -> Variables:
        return tree.unflatten(torch.tensor(vector), start)

    def downhill(vector: Vector) -> tuple[float, Vector]:
        value, gradient = vjp(_of_vector(objective, start), torch.from_numpy(vector))
        return -float(value), -gradient.numpy()

    def callback(vector: Vector) -> None:
        if log(next(number), variables(vector)):
            raise StopIteration

    first = tree.flatten(start).detach().numpy()
    if log(0, variables(first)):
        return variables(first)
    options: dict[str, float] = {"maxiter": steps, "maxfun": 4 * steps, "maxcor": 20}
    options |= {"ftol": 0.0, "gtol": (tolerance or 0.0) / 10}
    end = minimize(downhill, first, jac=True, method="L-BFGS-B", callback=callback, options=options)
    return variables(end.x)


@door
def newton(
    objective: Objective,
    start: Start,
    *,
    steps: int = 50,
    tolerance: float | None = 1e-12,
    log: Log = _silent,
) -> Variables:
    """Newton steps to a gradient norm at round-off, for up to about 1000 variables.

    The Hessian's eigenvalues enter by their absolute values, so that a step is uphill; directions
    in which the objective is flat (rotations of a latent space, a shift of all logits) are left
    alone. A step is halved until the objective does not fall or the gradient norm shrinks.

    Parameters
    ----------
    objective, start, steps, log
        As for every method of this module.
    tolerance
        It ends where the gradient norm is at most this, or at round-off.

    Raises
    ------
    ValueError
        If steps or tolerance is not positive.

    >>> start = {"a": torch.ones((), dtype=torch.float64)}
    >>> newton(lambda v: v["a"] - v["a"].exp(), start)["a"].abs() < 1e-9    # the top is at 0
    tensor(True)
    """
    check_start(start)
    positive(tolerance=tolerance)
    hessian = torch.func.hessian(_of_vector(objective, start))
    norms: list[float] = []

    def direction(vector: Tensor, gradient: Tensor) -> Tensor | None:
        norms.append(float(gradient.norm()))
        stalled = len(norms) > _STALL and min(norms[-_STALL:]) > 0.5 * norms[-_STALL - 1]
        if stalled and norms[-1] < 1e-8:
            return None
        eigenvalues, vectors = torch.linalg.eigh(hessian(vector))
        curved = eigenvalues.abs() > 1e-9 * eigenvalues.abs().max()
        return vectors[:, curved] @ ((vectors[:, curved].T @ gradient) / eigenvalues[curved].abs())

    return iterate(_uphill(objective, start, direction, tolerance), steps, log)


@door
def ascent(
    objective: Objective,
    start: Start,
    *,
    rate: float,
    steps: int = 1000,
    tolerance: float | None = None,
    halvings: int = 40,
    log: Log = _silent,
) -> Variables:
    """Gradient ascent with backtracking.

    Parameters
    ----------
    objective, start, steps, log
        As for every method of this module.
    rate
        A step is this times the gradient.
    tolerance
        It ends where the gradient norm is at most this.
    halvings
        A step is halved until the objective does not fall or the gradient norm shrinks, and the
        ascent ends where so many halvings do not help. With 0, every step is taken as it is.

    Raises
    ------
    ValueError
        If steps, rate or tolerance is not positive, or the ascent leaves the finite numbers.

    >>> start = {"a": torch.zeros((), dtype=torch.float64)}
    >>> ascent(lambda v: -((v["a"] - 2) ** 2), start, rate=0.3)["a"].round(decimals=6)
    tensor(2., dtype=torch.float64)
    """
    check_start(start)
    positive(tolerance=tolerance, rate=rate)
    path = _uphill(objective, start, lambda _, gradient: gradient, tolerance, rate, halvings)
    return iterate(path, steps, log)


@door
def adam(
    objective: Objective,
    start: Start,
    *,
    steps: int = 1000,
    learning_rate: float = 1e-2,
    decay: bool = True,
    log: Log = _silent,
) -> Variables:
    """Adam, also for an objective that is another one in every step: each calls it once.

    Parameters
    ----------
    objective, start, steps, log
        As for every method of this module; the variables may have any precision and be on any
        device, and those that ``log`` sees change with the next step.
    learning_rate
        That of the first step.
    decay
        Whether the learning rate falls to zero along a cosine.

    Raises
    ------
    ValueError
        If steps or learning_rate is not positive.

    >>> start = {"a": torch.zeros((), dtype=torch.float64)}
    >>> adam(lambda v: -((v["a"] - 2) ** 2), start, learning_rate=0.1)["a"].round(decimals=2)
    tensor(2., dtype=torch.float64)
    """
    check_start(start)
    positive(learning_rate=learning_rate)
    variables = {name: value.detach().clone().requires_grad_() for name, value in start.items()}
    optimizer = torch.optim.Adam(
        list(variables.values()), lr=learning_rate, maximize=True, fused=True
    )

    def path() -> Iterator[Variables]:
        for step in count():
            yield {name: value.detach() for name, value in variables.items()}
            if decay:
                rate = learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
                optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            objective(variables).backward()
            optimizer.step()

    return iterate(path(), steps, log)


def _of_vector(objective: Objective, like: Start) -> Callable[[Tensor], Tensor]:
    return lambda vector: objective(tree.unflatten(vector, like))


def _uphill(
    objective: Objective,
    start: Start,
    direction: Callable[[Tensor, Tensor], Tensor | None],
    tolerance: float | None,
    rate: float = 1.0,
    halvings: int = 40,
) -> Iterator[Variables]:
    """The start and, step by step, what follows along ``direction``, until that is ``None``."""
    function = _of_vector(objective, start)
    vector = tree.flatten(start).detach()
    value, gradient = vjp(function, vector)
    while True:
        yield tree.unflatten(vector, start)
        done = tolerance is not None and float(gradient.norm()) <= tolerance
        move = None if done else direction(vector, gradient)
        if move is None:
            return
        slack = 1e-13 * (1 + abs(float(value)))
        for halved in range(halvings + 1):
            trial = vector + rate * 0.5**halved * move
            height, slope = vjp(function, trial)
            smaller = float(slope.norm()) < float(gradient.norm())
            higher = float(height) > float(value) + slack
            if not halvings or higher or (smaller and float(height) >= float(value) - slack):
                break
        else:
            return  # round-off
        if not bool(torch.isfinite(trial).all() and torch.isfinite(height)):
            raise ValueError(f"rate must be smaller than {rate}: the ascent diverged")
        vector, gradient, value = trial, slope, height

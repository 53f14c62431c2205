"""A river's level: the local level model, years taken out, and likelihoods of another origin."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from companion.fit.records import FitResult, Vector
from companion.models import GaussianChain, HiddenMarkov, LinearDynamical, padded
from companion.models.chains.kalman import LinearSystem
from companion.theory.identity import Verification, verify

__all__ = [
    "baum_welch",
    "expected_variances",
    "first_state_gap",
    "held",
    "joint_normal",
    "local_level",
    "random_walk_normal",
    "scaled",
    "smoothed_level",
    "without_years",
]


def local_level(initial_variance: float, level: float, noise: float) -> dict[str, Tensor]:
    """Parameters of z_1 ~ N(0, P), z_{t+1} ~ N(z_t, Q), x_t ~ N(z_t, R), all of one dimension.

    ``initial_variance``, ``level`` and ``noise`` are the variances P, Q and R. Those of
    :func:`held` are not learned: of the level that a series starts from one knows nothing.

    >>> float(LinearDynamical(1, 1).system(local_level(4.0, 2.0, 1.0)).initial_covariance)
    4.0
    """
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    variances = {"initial": initial_variance, "transition": level, "noise": noise}
    scales = {f"{name}_log_diagonal": (v * one[0]).log() / 2 for name, v in variances.items()}
    shapes = {f"{name}_cholesky": zero for name in variances}
    means = {"mean": zero[0], "initial_mean": zero[0]}
    return {"transition": one, "weights": one} | means | scales | shapes


def held() -> list[str]:
    """All parameters of :func:`local_level` but two logarithms, those of √Q and √R."""
    names = LinearDynamical(1, 1).shapes
    return [name for name in names if name not in ("transition_log_diagonal", "noise_log_diagonal")]


def first_state_gap(q: GaussianChain, variance: float) -> float:
    """½ (1 − E[z_1²]/P) averaged over sequences: the gap that a held z_1 ~ N(0, P) leaves."""
    second = (q.mean[:, 0] ** 2).sum(-1) + q.moments.steps[:, 0, 0, 0]
    return float(0.5 * (1 - second / variance).mean())


def scaled(parameters: dict[str, Tensor], factor: float) -> dict[str, Tensor]:
    """The parameters of a linear dynamical system with all variances times ``factor``."""
    half, root = 0.5 * torch.tensor(factor, dtype=torch.float64).log(), factor**0.5
    moves = {"log_diagonal": lambda value: value + half, "cholesky": lambda value: root * value}
    return {
        name: next((f(value) for end, f in moves.items() if name.endswith(end)), value)
        for name, value in parameters.items()
    }


def without_years(x: Tensor, first: int, gaps: Iterable[tuple[int, int]]) -> Tensor:
    """The series ``(T, D)`` from the year ``first`` on, gaps (both ends included) missing."""
    years = torch.arange(first, first + len(x))
    seen = torch.ones(len(x), dtype=torch.bool)
    for begin, end in gaps:
        seen &= (years < begin) | (years > end)
    return padded([x], [seen])


def expected_variances(system: LinearSystem, steps: int) -> Vector:
    """V_1, …, V_T by Riccati's recursion, for a system of one dimension, in NumPy: without data."""
    _, P, A, Q, C, _, R = (float(value) for value in system)
    found = []
    for _ in range(steps):
        found.append(C * P * C + R)
        P = A * (P - (P * C) ** 2 / found[-1]) * A + Q
    return np.array(found)


def joint_normal(system: LinearSystem, steps: int) -> tuple[Vector, Vector]:
    """Mean and covariance of (x_1, …, x_T) for a stationary system of one dimension, in NumPy."""
    _, P, A, _, C, d, R = (float(value) for value in system)
    lags = np.abs(np.subtract.outer(np.arange(steps), np.arange(steps)))
    return np.full(steps, d), C * P * C * A**lags + R * np.eye(steps)


def random_walk_normal(system: LinearSystem, steps: int) -> Vector:
    """Covariance of (x_1, …, x_T) of :func:`local_level`, P + Q min(s − 1, t − 1) + R [s = t]."""
    _, P, _, Q, _, _, R = (float(value) for value in system)
    years = np.arange(steps)
    return P + Q * np.minimum.outer(years, years) + R * np.eye(steps)


def smoothed_level(
    end: FitResult, x: Tensor, scale: float, offset: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Observations, smoothed level and its standard deviation, ``(T,)``, in the data's own units.

    Parameters
    ----------
    end
        Where learning a system of one dimension ended.
    x
        The series, ``(1, T, 1)``, which was (data − ``offset``) / ``scale``.
    scale, offset
        What to undo.
    """
    weight, mean = scale * float(end.parameters["weights"]), float(end.parameters["mean"])
    assert isinstance(end.q, GaussianChain)
    level = scale * mean + offset + weight * end.q.mean[0, :, 0]
    deviation = abs(weight) * end.q.moments.steps[0, :, 0, 0].sqrt()
    return scale * x[0, :, 0] + offset, level, deviation


def baum_welch(
    model: HiddenMarkov, parameters: dict[str, Tensor], x: Tensor, steps: int
) -> list[tuple[Verification, Verification]]:
    """The identity before and after each M-step, both for the q that the step was made from.

    Parameters
    ----------
    model, parameters, x
        The model, where to begin, and the sequences ``(N, T, D)``.
    steps
        How many.
    """
    found = []
    for _ in range(steps):
        q = model.posterior(parameters, x)
        updated = model.m_step(parameters, q, x)
        found.append((verify(model, parameters, q, x), verify(model, updated, q, x)))
        parameters = updated
    return found

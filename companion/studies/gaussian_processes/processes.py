"""Gaussian processes in the chapter: predictions, learning over inducing points, oracles, bands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes
from torch import Tensor

from companion.book.display import COLOURS
from companion.book.panels import draw, panels
from companion.fit import FitResult, lbfgs, newton
from companion.models import GaussianProcess
from companion.theory.model import Parameters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["band", "centres", "diabetes", "learned", "over_inducing", "predicted", "titsias"]


def diabetes() -> tuple[Tensor, Tensor]:
    """Body-mass index, blood pressure and one blood value of 442 patients, and their progress.

    ``(442, 3)``, and one function, ``(1, 442)``; all standardised. Shipped with scikit-learn.
    """
    table = load_diabetes()
    both = torch.from_numpy(np.c_[table.data[:, [2, 3, 8]], table.target])
    both = (both - both.mean(0)) / both.std(0, correction=0)
    return both[:, :3].contiguous(), both[:, 3:].T.contiguous()


def centres(inputs: Tensor, count: int) -> Tensor:
    """So many cluster centres of the inputs, as places for inducing points."""
    found = KMeans(count, n_init=1, random_state=0).fit(inputs.numpy())
    return torch.from_numpy(found.cluster_centers_)


def learned(
    model: GaussianProcess, start: Parameters, y: Tensor, fixed: tuple[str, ...] = ()
) -> FitResult:
    """All parameters but those in ``fixed`` at a maximum of the bound, by L-BFGS and Newton.

    Parameters
    ----------
    model, start, y
        A process, its parameters at the start and data, ``(M, N)``.
    fixed
        Names of parameters that keep their values.
    """
    near = lbfgs(model, start, None, y, tolerance=1e-3, log_every=1000, fixed=fixed)
    return newton(model, near.parameters, None, y, tolerance=1e-9, fixed=fixed)


def over_inducing(
    inputs: Tensor, y: Tensor, counts: Iterable[int], start: Parameters
) -> dict[int, FitResult]:
    """The bound learned with each number of inducing points, at :func:`centres`.

    Parameters
    ----------
    inputs, y
        ``(N, F)`` and ``(M, N)``.
    counts
        Numbers of inducing points.
    start
        Parameters to start from.
    """
    return {P: learned(GaussianProcess(inputs, centres(inputs, P)), start, y) for P in counts}


def predicted(
    model: GaussianProcess, parameters: Parameters, y: Tensor, at: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of f given one y, ``(A,)`` each, at the inputs ``at`` ``(A, F)``.

    Parameters
    ----------
    model, parameters, y
        A process, its parameters and one function, ``(1, N)``.
    at
        Where.
    """
    q, A = model.posterior(parameters, y), model.weights(parameters, at)
    left = (1 - A.square().sum(-1)).clamp(min=0)
    explained = (A @ torch.tril(q.scale[0])).square().sum(-1)
    return A @ q.mean[0], (explained + parameters["prior_log_variance"].exp() * left).sqrt()


def titsias(model: GaussianProcess, parameters: Parameters, y: Any) -> float:
    """log N(y; 0, Q + rI) − tr(sk − Q)/(2r) as it is published, in NumPy and SciPy."""
    assert model.inducing is not None
    s, length, r = (np.exp(parameters[name].numpy()) for name in model.shapes)
    x, z = model.inputs.numpy(), model.inducing.numpy()

    def kernel(first: Any, second: Any) -> Any:
        distance = ((first[:, None] - second[None]) / length) ** 2
        return s * np.exp(-0.5 * distance.sum(-1))

    inner = kernel(z, z) + 1e-10 * s * np.eye(len(z))
    Q = kernel(x, z) @ np.linalg.solve(inner, kernel(z, x))
    log_density = multivariate_normal(np.zeros(len(x)), Q + r * np.eye(len(x))).logpdf(y)
    return float(log_density - (s * len(x) - np.trace(Q)) / (2 * r))


def band(
    years: Any, y: Any, at: Any, series: Mapping[str, tuple[Any, Any, Any]], ylabel: str
) -> Figure:
    """A panel for each title: observations as dots, f with two of its standard deviations.

    Parameters
    ----------
    years, y
        Observations.
    at
        Where f is predicted.
    series
        By title, mean and standard deviation of f, and places to mark on the axis.
    ylabel
        What is measured.
    """
    with panels(list(series), xlabel="year", ylabel=ylabel, size=(8.2, 3.6)) as (figure, shown):
        for axes, (mean, std, marked) in zip(shown, series.values(), strict=True):
            axes.fill_between(at, mean - 2 * std, mean + 2 * std, color=COLOURS[0], alpha=0.2, lw=0)
            look = {"color": "0.25", "markersize": 3.0}
            curves = {"observed": (years, y, "o", look), "expected": (at, mean, "-")}
            low = np.full(len(marked), np.min(y) - 0.07 * np.ptp(y))
            draw(axes, curves | ({"inducing points": (marked, low, "^")} if len(low) else {}))
    return figure

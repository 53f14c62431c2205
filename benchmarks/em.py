"""The steps of :func:`companion.fit.em` alone, without a verification, for timing."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from companion.fit import ConvergenceWarning
from companion.fit.expectation import em_map
from companion.support.checks import positive_integer
from companion.support.doors import door
from companion.theory.model import Model, Parameters

__all__ = ["EMRun", "em_steps"]


@dataclass(frozen=True)
class EMRun:
    """The end of :func:`em_steps`: parameters, and the log-likelihood on the way.

    ``log_likelihoods`` ``(T,)`` are those per data point *before* each of the T steps, which EM
    computes anyway; the steps' own rises are their differences.
    """

    parameters: dict[str, Tensor]
    log_likelihoods: np.ndarray[Any, np.dtype[np.float64]]
    converged: bool

    @property
    def steps(self) -> int:
        """The number of steps taken, T."""
        return len(self.log_likelihoods)


@door
def em_steps(
    model: Model,
    parameters: Parameters,
    x: Any,
    *,
    steps: int = 100,
    rise: float | None = None,
    floor: float = 0.0,
) -> EMRun:
    """EM alone: ``steps`` steps, or fewer if the log-likelihood stops rising.

    Parameters
    ----------
    model, parameters, x, floor
        As for :func:`companion.fit.em`.
    steps
        At most so many.
    rise
        EM ends after the first step before which the log-likelihood per point had risen by less
        than this, and warns if there is none: the rule of scikit-learn's ``tol``, so that both end
        at the same parameters. ``None``: all steps are taken.

    Raises
    ------
    ValueError
        As :func:`companion.fit.em`, or if ``rise`` is not positive.
    """
    positive_integer(steps, "steps")
    if rise is not None and not rise > 0:
        raise ValueError(f"rise must be positive, or None for all steps: got {rise}")
    step = em_map(model, floor)(model.check(parameters, x))
    current, values, converged = dict(parameters), list[float](), rise is None
    for _ in range(steps):
        value, current = step(current)
        values.append(float(value))
        if rise is not None and len(values) > 1 and abs(values[-1] - values[-2]) < rise:
            converged = True
            break
    if not converged:
        message = f"EM ended after {steps} steps: its last rise was not below {rise}"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return EMRun(current, np.array(values), converged)

"""What training reaches in how many steps, and what becomes of an entropy sum that is let go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from companion.fit import Trace, maximise
from companion.fit.records import Recorder
from companion.theory.elbo import entropy_sum
from companion.theory.model import Model, Parameters
from companion.theory.objective import Problem
from companion.theory.variational import Variational

__all__ = ["ascend_entropy_sum", "steps_until"]


def ascend_entropy_sum(
    model: Model, parameters: Parameters, q: Variational, x: Tensor, *, steps: int, rate: float
) -> Trace:
    """Gradient ascent of the entropy sum as if it were an objective, in all variables at once.

    It is not one: the sum has no maximum, and the ELBO falls. Logs every step.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`companion.verify`.
    steps, rate
        How many steps of ``rate`` times the gradient.

    Raises
    ------
    ValueError
        For invalid data or parameters, or if ``steps`` or ``rate`` is not positive.

    Source: this companion.
    """
    problem = Problem.of(model, parameters, q=q, x=x)

    def objective(variables: Mapping[str, Tensor]) -> Tensor:
        return entropy_sum(model, *problem.state(variables), problem.x).total

    log = Recorder(problem.verify)
    maximise.ascent(objective, problem.start, rate=rate, steps=steps, halvings=0, log=log)
    return log.trace()


def steps_until(
    steps: Sequence[int], distances: Any, below: float
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The first of the logged ``steps`` with a distance under ``below``, ``(S, T)`` → ``(S,)``.

    Infinity for a run that never comes so close.

    >>> steps_until([0, 10, 20], [[3.0, 0.4, 0.1], [3.0, 2.0, 1.0]], below=0.5)
    array([10., inf])
    """
    close = np.asarray(distances, dtype=np.float64) < below
    first = np.asarray(steps, dtype=np.float64)[close.argmax(1)]
    return np.where(close.any(1), first, np.inf)

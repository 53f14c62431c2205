"""What training reaches in how many steps, and what becomes of an entropy sum that is let go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.fit import Trace
from companion.support import tree
from companion.support.checks import positive_integer
from companion.theory.elbo import entropy_sum
from companion.theory.identity import verify
from companion.theory.model import Model, Parameters
from companion.theory.variational import Variational

__all__ = ["ascend_entropy_sum", "steps_until"]


def ascend_entropy_sum(
    model: Model, parameters: Parameters, q: Variational, x: Tensor, *, steps: int, rate: float
) -> Trace:
    """Gradient ascent of the entropy sum as if it were an objective, in all variables at once.

    It is not one: the sum has no maximum, and the ELBO falls. Logs every step.

    Raises
    ------
    ValueError
        If ``steps`` or ``rate`` is not positive.

    Source: this companion.
    """
    positive_integer(steps, "steps")
    if not rate > 0:
        raise ValueError(f"rate must be positive: got {rate}")

    def objective(variables: Mapping[str, Tensor]) -> Tensor:
        own, of_q = tree.split(variables)
        return entropy_sum(model, own, q.with_parameters(of_q), x).total

    variables = {k: v.detach() for k, v in tree.merge(parameters, q.parameters).items()}
    trace = Trace()
    for step in range(steps + 1):
        own, of_q = tree.split(variables)
        trace.steps.append(step)
        trace.records.append(verify(model, own, q.with_parameters(of_q), x))
        variables = tree.add(variables, torch.func.grad(objective)(variables), rate)
    return trace


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

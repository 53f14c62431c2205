"""What a counterexample reports, and how its stationary point is reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from companion.support import tree
from companion.support.tables import Table

__all__ = ["Counterexample", "climb", "tabulate"]

Objective = Callable[[Mapping[str, Tensor]], Tensor]
Vector = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Counterexample:
    """A stationary point with its gap ELBO − entropy sum, in nats per data point.

    ``predicted`` comes from a formula for the gap, ``gradient_norm`` is the norm of the gradient of
    what was maximised, over the parameters that were free to move.
    """

    case: str
    gap: float
    predicted: float
    gradient_norm: float

    @property
    def error(self) -> float:
        """gap − predicted."""
        return self.gap - self.predicted


def tabulate(rows: Sequence[Counterexample]) -> Table:
    """One line for each counterexample: gap, prediction, their difference, gradient norm."""
    return Table(
        ("case", "gap", "predicted", "difference", "gradient norm"),
        [(r.case, r.gap, r.predicted, r.error, r.gradient_norm) for r in rows],
    )


def climb(
    objective: Objective,
    start: Mapping[str, Tensor],
    rough: float = 1e-4,
    tolerance: float = 1e-12,
    steps: int = 50,
) -> tuple[dict[str, Tensor], float]:
    """A stationary point of any smooth ``objective``, and the gradient norm there.

    L-BFGS to a gradient of ``rough``, then Newton steps, uphill and halved until they help, to a
    gradient norm of ``tolerance`` or until nothing is gained any more. Flat directions are left
    alone. :mod:`companion.fit` is for ELBOs; this is for what is none: an ELBO with a penalty, or
    with a q that is tied to the model.

    >>> end, norm = climb(lambda p: -(p["a"] - 3).cosh(), {"a": torch.zeros(()).double()})
    >>> float(end["a"]), norm
    (3.0, 0.0)
    """

    def value_of(vector: Tensor) -> Tensor:
        return objective(tree.unflatten(vector, start))

    gradient_and_value = torch.func.grad_and_value(value_of)
    hessian = torch.func.hessian(value_of)

    def downhill(vector: Vector) -> tuple[float, Vector]:
        gradient, value = gradient_and_value(torch.from_numpy(vector))
        return -float(value), -gradient.numpy()

    options = {"maxiter": 2000, "maxfun": 8000, "ftol": 0.0, "gtol": rough, "maxcor": 20}
    first = tree.flatten(start).detach().numpy()
    end = minimize(downhill, first, jac=True, method="L-BFGS-B", options=options)
    vector = torch.from_numpy(end.x)
    gradient, value = gradient_and_value(vector)
    for _ in range(steps):
        if float(gradient.norm()) <= tolerance:
            break
        eigenvalues, vectors = torch.linalg.eigh(hessian(vector))
        curved = eigenvalues.abs() > 1e-10 * eigenvalues.abs().max()
        move = vectors[:, curved] @ ((vectors[:, curved].T @ gradient) / eigenvalues[curved].abs())
        slack = 1e-13 * (1 + abs(float(value)))
        for halvings in range(30):
            trial = vector + 0.5**halvings * move
            new_gradient, new_value = gradient_and_value(trial)
            smaller = bool(new_gradient.norm() < gradient.norm())
            if bool(new_value > value + slack) or (smaller and bool(new_value >= value - slack)):
                break
        else:
            break
        vector, gradient, value = trial, new_gradient, new_value
    return tree.unflatten(vector, start), float(gradient.norm())

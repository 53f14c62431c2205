"""What a counterexample reports, and how its stationary point is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from companion.fit import maximise
from companion.support import tree
from companion.support.tables import Record, Table

__all__ = ["Counterexample", "climb", "tabulate"]


@dataclass(frozen=True, repr=False)
class Counterexample(Record):
    """A stationary point with its gap ELBO − entropy sum, in nats per data point.

    ``predicted`` comes from a formula for the gap, ``gradient_norm`` is the norm of the gradient of
    what was maximised, over the parameters that were free to move.
    """

    case: str
    gap: float
    predicted: float
    gradient_norm: float

    columns = ("case", "gap", "predicted", "difference", "gradient norm")

    @property
    def error(self) -> float:
        """gap − predicted."""
        return self.gap - self.predicted

    def rows(self) -> list[tuple[str, float, float, float, float]]:
        """One row: gap, prediction, their difference, gradient norm."""
        return [(self.case, self.gap, self.predicted, self.error, self.gradient_norm)]


def tabulate(rows: Sequence[Counterexample]) -> Table:
    """All counterexamples below one another."""
    return Table(Counterexample.columns, [line for row in rows for line in row.rows()])


def climb(
    objective: maximise.Objective, start: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], float]:
    """A stationary point of any smooth ``objective``, and the gradient norm there.

    By L-BFGS and then Newton steps to round-off. For objectives that are no ELBO: an ELBO with a
    penalty, or with a q that is tied to the model.

    >>> end, norm = climb(lambda p: -(p["a"] - 3).cosh(), {"a": torch.zeros(()).double()})
    >>> float(end["a"]), norm
    (3.0, 0.0)
    """
    end = maximise.newton(objective, maximise.lbfgs(objective, start, tolerance=1e-3))
    return end, float(tree.norm(torch.func.grad(objective)(end)))

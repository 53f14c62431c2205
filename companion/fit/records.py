"""How a fit went: its trace, its end, and a warning where it fell short."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from companion.support.checks import positive_integer
from companion.theory.identity import Verification
from companion.theory.variational import Variational

__all__ = ["ConvergenceWarning", "FitResult", "Trace", "Vector", "counts", "finish", "positive"]

logger = logging.getLogger("companion.fit")

Vector = np.ndarray[Any, np.dtype[np.float64]]


class ConvergenceWarning(UserWarning):
    """A fit ended before the gradient norm that was asked for."""


@dataclass(frozen=True)
class Trace:
    """One :class:`companion.Verification` for each logged step of learning."""

    steps: list[int] = field(default_factory=list)
    records: list[Verification] = field(default_factory=list)

    def column(self, name: str) -> Vector:
        """One quantity over the steps, for example ``"elbo"``, ``"entropy_sum"`` or ``"gap"``.

        Raises
        ------
        ValueError
            If a verification has no such number.
        """
        if not all(isinstance(getattr(record, name, None), float) for record in self.records):
            raise ValueError(f"name must be a number of companion.Verification: got {name!r}")
        return np.array([getattr(record, name) for record in self.records], dtype=np.float64)

    def _log(self, step: int, record: Verification) -> None:
        self.steps.append(step)
        self.records.append(record)
        logger.info(
            "step %d: ELBO %.6f, gap %.3e, gradient norm %.3e",
            *(step, record.elbo, record.gap, record.gradient_norm),
        )

    def then(self, later: Trace) -> Trace:
        """This trace continued by ``later``, its steps counted on from here."""
        offset = self.steps[-1] if self.steps else 0
        return Trace(
            self.steps + [offset + step for step in later.steps], self.records + later.records
        )


@dataclass(frozen=True)
class FitResult:
    """Parameters and q at the end, the trace, and how the fit ended."""

    parameters: dict[str, Tensor]
    q: Variational
    trace: Trace
    converged: bool
    message: str

    @property
    def final(self) -> Verification:
        """The identity at the last step."""
        return self.trace.records[-1]

    @property
    def gradient_norm(self) -> float:
        """Norm of the gradient of the ELBO at the end, over model and variational parameters."""
        return self.final.gradient_norm


def finish(
    parameters: dict[str, Tensor], q: Variational, trace: Trace, tolerance: float, how: str
) -> FitResult:
    reached = trace.records[-1].gradient_norm
    converged = reached <= tolerance
    message = f"{how}: gradient norm {reached:.2e}, asked for {tolerance:.1e}"
    if not converged:
        warnings.warn(message, ConvergenceWarning, stacklevel=3)
    return FitResult(parameters, q, trace, converged, message)


def positive(tolerance: float) -> float:
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive: got {tolerance}")
    return tolerance


def counts(**numbers: int) -> None:
    for name, value in numbers.items():
        positive_integer(value, name)

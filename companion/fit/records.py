"""How a fit went: its trace, its end, and a warning where it fell short."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from companion.support.checks import all_finite, positive_integer
from companion.support.doors import door
from companion.support.tables import Cell, Record
from companion.theory.identity import Verification
from companion.theory.variational import Variational

__all__ = ["SMALL_GRADIENT", "ConvergenceWarning", "FitResult", "Trace", "Vector"]

#: A fit that was asked for no tolerance has converged if its gradient norm is at most this, in nats
#: per data point: then so is the gap between ELBO and entropy sum, times the length of v.
SMALL_GRADIENT = 1e-3

logger = logging.getLogger("companion.fit")

Vector = np.ndarray[Any, np.dtype[np.float64]]
State = TypeVar("State")
End = tuple[dict[str, Tensor], Any]


class ConvergenceWarning(UserWarning):
    """A fit ended before the gradient norm that was asked for."""


@dataclass(frozen=True, repr=False)
class Trace(Record):
    """One :class:`companion.Verification` for each logged step of learning."""

    steps: tuple[int, ...] = ()
    records: tuple[Verification, ...] = ()

    columns: ClassVar[Sequence[str]] = ("step", "ELBO", "entropy sum", "gap", "gradient norm")

    def rows(self) -> list[tuple[Cell, ...]]:
        """Step, ELBO, entropy sum, gap and gradient norm of every logged step."""
        return [
            (step, at.elbo, at.entropy_sum, at.gap, at.gradient_norm)
            for step, at in zip(self.steps, self.records, strict=True)
        ]

    @door
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

    @door
    def then(self, later: Trace) -> Trace:
        """This trace continued by ``later``, its steps counted on from here."""
        offset = self.steps[-1] if self.steps else 0
        steps = tuple(offset + step for step in later.steps)
        return Trace(self.steps + steps, self.records + later.records)


@dataclass(frozen=True, repr=False)
class FitResult(Record):
    """Parameters and q at the end, the trace, and how the fit ended.

    ``q`` is None where the data came in blocks.

    ``converged`` says whether the gradient norm at the end is at most the tolerance that was asked
    for, or, if none was, at most ``fit.SMALL_GRADIENT``.

    >>> from companion import datasets, fit, models
    >>> model, x = models.PPCA(observed=4, latent=1), datasets.iris(standardize=True)
    >>> start = model.initial_parameters(torch.Generator().manual_seed(0))
    >>> result = fit.lbfgs(model, start, None, x)
    >>> result.converged, abs(result.final.gap) < 1e-4, sorted(result.parameters)
    (True, True, ['log_variance', 'mean', 'weights'])
    """

    parameters: dict[str, Tensor]
    q: Variational | None
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

    def rows(self) -> list[tuple[Cell, ...]]:
        """How the fit ended, and the identity there."""
        converged = "yes" if self.converged else "no"
        return [("end", self.message), ("converged", converged), *self.final.rows()]


class Recorder:
    """Verifies the start of a fit, every ``log_every``-th step and the last; makes the trace.

    Called with a step and the state there, it says whether the gradient norm, where it verifies, is
    at most ``tolerance``.
    """

    def __init__(
        self,
        verify: Callable[[Any], Verification],
        log_every: int = 1,
        tolerance: float | None = None,
    ) -> None:
        positive(tolerance=tolerance)
        self._verify, self._tolerance = verify, tolerance
        self._every = positive_integer(log_every, "log_every")
        self._logged: list[tuple[int, Verification]] = []

    def __call__(self, step: int, state: Any) -> bool:
        self._last = step, state
        if step % self._every:
            return False
        return self._log() <= (self._tolerance or -1.0)

    def _log(self) -> float:
        step, state = self._last
        record = self._verify(state)
        self._logged.append((step, record))
        logger.info(
            "step %d: ELBO %.6f, gap %.3e, gradient norm %.3e",
            *(step, record.elbo, record.gap, record.gradient_norm),
        )
        return record.gradient_norm

    def trace(self) -> Trace:
        """All that was verified, the last step included."""
        if self._logged[-1][0] != self._last[0]:
            self._log()
        steps, records = zip(*self._logged, strict=True)
        return Trace(steps, records)

    def result(
        self, end: End, name: str, tolerance: float | None, change: float | None = None
    ) -> FitResult:
        """How the fit ended, and a warning if it fell short of what it was asked for.

        Parameters
        ----------
        end
            Parameters and q.
        name
            Of the method.
        tolerance
            What was asked for, if anything.
        change
            Where that is for the last change of the variables, and not for the gradient norm.
        """
        trace = self.trace()
        what, reached = "gradient norm", trace.records[-1].gradient_norm
        if change is not None:
            what, reached = "last change", change
        message = f"{name} ended after {trace.steps[-1]} steps: {what} {reached:.2e}"
        converged = reached <= (SMALL_GRADIENT if tolerance is None else tolerance)
        if tolerance is not None:
            message += f", asked for {tolerance:.1e}"
            if not converged:
                warnings.warn(message, ConvergenceWarning, stacklevel=4)
        return FitResult(*end, trace, converged, message)


def positive(**numbers: float | None) -> None:
    """A ``ValueError`` that names the number that is not positive; ``None`` is allowed."""
    for name, value in numbers.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be positive: got {value}")


def iterate(path: Iterable[State], steps: int, log: Callable[[int, State], bool]) -> State:
    """The state after at most ``steps`` steps along ``path``, whose first state is the start."""
    positive_integer(steps, "steps")
    for step, state in enumerate(path):
        if log(step, state) or step == steps:
            break
    return state


def check_start(start: Mapping[str, Any]) -> None:
    """A ``ValueError`` unless there are finite tensors of float64 or float32."""
    for name, value in start.items():
        if not isinstance(value, Tensor) or value.dtype not in (torch.float64, torch.float32):
            found = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"start[{name!r}] must be a tensor of float64: got {found}")
        if value.layout != torch.strided or value.is_meta or not all_finite(value):
            raise ValueError(f"start[{name!r}] must be dense and finite: found NaN or infinity")
    if not start:
        raise ValueError("start must hold at least one tensor: got none")

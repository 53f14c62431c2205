"""A verdict on a loss, and how exact a program must be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch

__all__ = ["DOUBLE", "SINGLE", "Judgement", "Tolerances"]


@dataclass(frozen=True)
class Tolerances:
    """How far a fit, a weight and a value (relative to Σ|terms|) may be off."""

    fit: float
    weight: float
    value: float
    floor: float

    def of(self, dtype: torch.dtype) -> Tolerances:
        """For a program written in ``dtype``, whose constants have its digits also in float64."""
        return replace(self, value=min(max(self.value, 2 * torch.finfo(dtype).eps), SINGLE.value))


#: For programs evaluated in float64, and for those that only run in float32.
DOUBLE = Tolerances(1e-8, 1e-6, 1e-9, 1e-5)
SINGLE = Tolerances(1e-3, 3e-3, 2e-4, 3e-3)


@dataclass
class Judgement:
    """Verdicts on value and gradient, findings (what is wrong) and notes (what is only good to
    know). A verdict is ``None`` where nothing can be said."""

    value_right: bool | None = True
    gradient_right: bool | None = True
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def wrong(self, sentence: str, value: bool = True, gradient: bool = True) -> None:
        """Add a finding and what it spoils."""
        self.findings.append(sentence)
        self.value_right = self.value_right and not value
        self.gradient_right = self.gradient_right and not gradient

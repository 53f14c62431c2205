"""What families of positive numbers share."""

from __future__ import annotations

from torch import Tensor

from companion.families.base import ExponentialFamily

__all__ = ["PositiveVariables"]


class PositiveVariables(ExponentialFamily):
    """Independent positive numbers."""

    requirement = "positive and finite"
    independent_columns = True

    def support(self, x: Tensor) -> Tensor:
        return x > 0

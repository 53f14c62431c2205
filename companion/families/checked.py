"""What families ask of values and parameters, wherever these enter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from companion.support.checks import all_finite, known
from companion.support.doors import Guarded

__all__ = ["CheckedFamily"]


class CheckedFamily(Guarded, ABC):
    """A family whose methods refuse values outside its support, and parameters of its domain."""

    coordinates: tuple[str, ...]
    independent_columns: bool
    #: Arguments of its methods that must be positive.
    positive: ClassVar[frozenset[str]] = frozenset(
        ("alpha", "beta", "concentration", "dof", "rate", "scale", "shape", "variance")
    )

    take_any = ("invalid", "support")

    def admit(self, method: str, given: dict[str, Any]) -> None:
        """Refuse what is not positive, not in the support or outside the domain."""
        for name in self.positive & given.keys():
            if known(given[name]) and not bool((given[name] > 0).all()):
                raise ValueError(
                    f"{name} must be positive for {self!r}: found {float(given[name].min()):g}"
                )
        chance = given.get("probability", given.get("probabilities"))
        if chance is not None and known(chance):
            if not bool(((chance > 0) & (chance < 1)).all()):
                raise ValueError(
                    "probabilities must be between 0 and 1: found values in "
                    f"[{float(chance.min()):g}, {float(chance.max()):g}]"
                )
        x, natural = given.get("x"), given.get("natural")
        for name, value in (("x", x), ("natural", natural)):
            if value is not None and 0 in (value.dim(), *value.shape):
                raise ValueError(
                    f"{name} must have a last axis, of at least one entry: got shape "
                    f"{tuple(value.shape)}"
                )
        if method == "pairwise_log_prob" and (given["x"].dim() != 2 or given["natural"].dim() > 3):
            raise ValueError(
                "x must have shape (N, D), and natural (L,), (P, L) or (N, P, L): got "
                f"{tuple(given['x'].shape)} and {tuple(given['natural'].shape)}"
            )
        if x is not None and known(x) and method not in self.take_any:
            reason = self.invalid(x)
            if reason is not None:
                raise ValueError(f"x {reason}")
        if natural is not None:
            self._check_size(natural.shape[-1], None if x is None else x.shape[-1])
            if known(natural) and not all_finite(self.pseudo_entropy(natural)):
                raise ValueError(
                    f"natural must be inside the domain of {self!r}, where its entropy is finite: "
                    f"found values in [{float(natural.min()):g}, {float(natural.max()):g}]"
                )

    def _check_size(self, size: int, observed: int | None) -> None:
        """Refuse a number L of parameters that is none, or not that of D ``observed`` columns."""
        each = len(self.coordinates)
        if self.independent_columns and each and size % each:
            raise ValueError(
                f"natural must have {each} entries for each column in its last axis, for {self!r}: "
                f"got {size}"
            )
        expected = size if observed is None else self._natural_size(observed)
        if size != expected:
            raise ValueError(
                f"natural must have {expected} entries in its last axis for x of {observed} "
                f"columns, for {self!r}: got {size}"
            )

    def _natural_size(self, observed: int) -> int:
        """The number L of parameters η for values with ``observed`` columns D."""
        return observed * max(1, len(self.coordinates))

    @abstractmethod
    def invalid(self, x: Tensor) -> str | None:
        """Say in a clause why ``x`` is outside the support, or return ``None``."""

    @abstractmethod
    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        """Finite inside the domain of η."""

"""A reader's own exponential family, from two or three functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from companion.families.base import ExponentialFamily

__all__ = ["Custom"]

Function = Callable[[Tensor], Tensor]


class Custom(ExponentialFamily):
    """p(x | η) = h(x) exp(⟨η, T(x)⟩ − A(η)) from functions for T, A and log h.

    All are torch functions; A is differentiated once for E[T] = ∇A, and once more in learning.
    :class:`companion.models.FamilyMixture` learns its natural parameters themselves. The functions
    are taken at their word: that Σ_x p(x) = 1 is for the caller to check, because *the identity
    holds* for any A, a wrong one included.

    Parameters
    ----------
    statistics
        x ``(..., D)`` ↦ T(x) ``(..., L)``.
    log_partition
        η ``(..., L)`` ↦ A(η) ``(...)``, not finite outside of the domain of η.
    log_base_measure
        x ↦ log h(x) ``(...)``; left out if h ≡ 1.
    support
        Finite x ↦ truth values of any shape, all true where every value is allowed; without it
        all are.
    sampler
        ``(η, generator)`` ↦ draws ``(..., D)``.
    name
        Used in messages.

    Raises
    ------
    ValueError
        When A or log h return another shape, mostly for want of ``.sum(-1)``; when draws are asked
        for without a ``sampler``.

    Source: this companion.

    >>> rayleigh = Custom(lambda x: x**2, lambda eta: -(-2 * eta).log().sum(-1),
    ...                   lambda x: x.log().sum(-1), support=lambda x: x > 0, name="Rayleigh")
    >>> x, scale = torch.tensor([1.5]), torch.tensor([2.0])
    >>> rayleigh.log_prob(x, -1 / (2 * scale**2)).exp()     # x/s² exp(−x²/(2s²))
    tensor(0.2831, dtype=torch.float64)
    >>> rayleigh
    Custom(Rayleigh)
    """

    requirement = "in the support"

    def __init__(
        self,
        statistics: Function,
        log_partition: Function,
        log_base_measure: Function | None = None,
        *,
        support: Function | None = None,
        sampler: Callable[[Tensor, torch.Generator | None], Tensor] | None = None,
        name: str = "custom",
    ) -> None:
        self._statistics = statistics
        self._log_partition = log_partition
        self._log_base_measure = log_base_measure
        self._support = support
        self._sampler = sampler
        self.name = name

    @property
    def constant_base_measure(self) -> bool:
        """Whether no ``log_base_measure`` was given."""
        return self._log_base_measure is None

    def statistics(self, x: Tensor) -> Tensor:
        return self._statistics(x)

    def log_partition(self, natural: Tensor) -> Tensor:
        return self._one_per_row("log_partition", self._log_partition(natural), natural)

    def log_base_measure(self, x: Tensor) -> Tensor:
        if self._log_base_measure is None:
            return super().log_base_measure(x)
        return self._one_per_row("log_base_measure", self._log_base_measure(x), x)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if self._sampler is None:
            raise ValueError(f"the {self.name} family can't be sampled: give it a sampler")
        return self._sampler(natural, generator)

    def support(self, x: Tensor) -> Tensor:
        return super().support(x) if self._support is None else self._support(x)

    def _one_per_row(self, which: str, value: Tensor, argument: Tensor) -> Tensor:
        if value.shape != argument.shape[:-1]:
            raise ValueError(
                f"{which} of the {self.name} family must return shape {tuple(argument.shape[:-1])} "
                f"for an argument of shape {tuple(argument.shape)}: got {tuple(value.shape)}; "
                "sum over the last axis"
            )
        return value

    def __repr__(self) -> str:
        return f"Custom({self.name})"

"""What an exponential family is; everything else follows from three functions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

__all__ = ["ExponentialFamily"]


class ExponentialFamily(ABC):
    """A family of densities p(x | η) = h(x) exp(⟨η, T(x)⟩ − A(η)).

    Shapes: a value ``x`` is ``(..., D)``; natural parameters η and statistics T(x) are ``(..., L)``
    and broadcast against each other; every method that returns a density or an entropy returns
    ``(...)``, in nats.

    A subclass gives T, A and, if it is not constant, h. A constant base measure is written into
    A, so that h ≡ 1 and pseudo-entropy and entropy coincide.

    Source: Lücke & Warnken (arXiv:2209.03077), definition of the class of models; Wainwright &
    Jordan (2008) for the general theory.
    """

    #: Whether h is constant (then h ≡ 1 here). If not, entropy and pseudo-entropy differ.
    constant_base_measure: ClassVar[bool] = True

    @abstractmethod
    def statistics(self, x: Tensor) -> Tensor:
        """Sufficient statistics T(x), ``(..., D)`` → ``(..., L)``."""

    @abstractmethod
    def log_partition(self, natural: Tensor) -> Tensor:
        """Log-partition A(η), ``(..., L)`` → ``(...)``."""

    @abstractmethod
    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw one value per natural parameter, ``(..., L)`` → ``(..., D)``."""

    @abstractmethod
    def invalid(self, x: Tensor) -> str | None:
        """Say in a clause why ``x`` is outside the support, or return ``None``."""

    def log_base_measure(self, x: Tensor) -> Tensor:
        """log h(x), ``(..., D)`` → ``(...)``; zero for a constant base measure."""
        return torch.zeros(x.shape[:-1], dtype=x.dtype, device=x.device)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        """E[T(x)] = ∇A(η), by differentiating the log-partition; ``(..., L)`` → ``(..., L)``."""
        return torch.func.grad(lambda eta: self.log_partition(eta).sum())(natural)

    def log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        """log p(x | η) = ⟨η, T(x)⟩ − A(η) + log h(x)."""
        inner = (natural * self.statistics(x)).sum(-1)
        return inner - self.log_partition(natural) + self.log_base_measure(x)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        """Entropy relative to the base measure, −E[log p/h] = A(η) − ⟨η, ∇A(η)⟩."""
        return self.log_partition(natural) - (natural * self.mean_parameters(natural)).sum(-1)

    def entropy(self, natural: Tensor) -> Tensor:
        """Entropy H[p] = −E[log p]; equal to the pseudo-entropy when h is constant.

        Raises
        ------
        ValueError
            If the base measure is not constant and the family gives no closed form.
        """
        if not self.constant_base_measure:
            raise ValueError(
                f"{type(self).__name__} has a base measure that is not constant and no closed-form "
                "entropy: use pseudo_entropy and log_base_measure"
            )
        return self.pseudo_entropy(natural)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

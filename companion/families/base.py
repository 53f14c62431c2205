"""What a family of distributions is, and what an exponential family is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

__all__ = ["ExponentialFamily", "Family"]


class Family(ABC):
    """A family of densities p(x | η), of which models are made: density, entropy, draws, support.

    Shapes: a value ``x`` is ``(..., D)``; parameters η are ``(..., L)`` and broadcast against it;
    every method that returns a density or an entropy returns ``(...)``, in nats. For an
    :class:`ExponentialFamily` η are the natural parameters; for any other family they are those
    that it documents.
    """

    #: Whether h is constant (then h ≡ 1 here). If not, entropy and pseudo-entropy differ.
    constant_base_measure: ClassVar[bool] = True

    @abstractmethod
    def log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        """log p(x | η), ``(..., D)`` and ``(..., L)`` → ``(...)``."""

    @abstractmethod
    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        """Entropy relative to the base measure, −E[log p/h], ``(..., L)`` → ``(...)``."""

    @abstractmethod
    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw one value per row of parameters, ``(..., L)`` → ``(..., D)``."""

    @abstractmethod
    def invalid(self, x: Tensor) -> str | None:
        """Say in a clause why ``x`` is outside the support, or return ``None``."""

    def log_base_measure(self, x: Tensor) -> Tensor:
        """log h(x), ``(..., D)`` → ``(...)``; zero for a constant base measure."""
        return torch.zeros(x.shape[:-1], dtype=x.dtype, device=x.device)

    def pairwise_log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        """log p(x_n | η_p) for every pair, broadcastable to ``(N, P)``.

        ``x`` is ``(N, D)``; η is ``(L,)`` (the same for all), ``(P, L)`` or ``(N, P, L)``.
        """
        return self.log_prob(x[:, None, :], natural)

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


class ExponentialFamily(Family):
    """A family of densities p(x | η) = h(x) exp(⟨η, T(x)⟩ − A(η)).

    A value ``x`` is ``(..., D)``; natural parameters η and statistics T(x) are ``(..., L)``.

    A subclass gives T, A and, if it is not constant, h. A constant base measure is written into
    A, so that h ≡ 1 and pseudo-entropy and entropy coincide.

    Source: Lücke & Warnken (arXiv:2209.03077), definition of the class of models; Wainwright &
    Jordan (2008) for the general theory.
    """

    @abstractmethod
    def statistics(self, x: Tensor) -> Tensor:
        """Sufficient statistics T(x), ``(..., D)`` → ``(..., L)``."""

    @abstractmethod
    def log_partition(self, natural: Tensor) -> Tensor:
        """Log-partition A(η), ``(..., L)`` → ``(...)``."""

    def mean_parameters(self, natural: Tensor) -> Tensor:
        """E[T(x)] = ∇A(η), by differentiating the log-partition; ``(..., L)`` → ``(..., L)``."""
        return torch.func.grad(lambda eta: self.log_partition(eta).sum())(natural)

    def log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        """log p(x | η) = ⟨η, T(x)⟩ − A(η) + log h(x)."""
        inner = (natural * self.statistics(x)).sum(-1)
        return inner - self.log_partition(natural) + self.log_base_measure(x)

    def pairwise_log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        # One matrix product in place of an array of size N x P x L.
        statistics = self.statistics(x)
        if natural.dim() == 3:
            inner = (natural @ statistics[:, :, None])[..., 0]
        else:
            inner = statistics @ torch.atleast_2d(natural).T
        return inner - self.log_partition(natural) + self.log_base_measure(x)[:, None]

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        """Entropy relative to the base measure, −E[log p/h] = A(η) − ⟨η, ∇A(η)⟩."""
        return self.log_partition(natural) - (natural * self.mean_parameters(natural)).sum(-1)

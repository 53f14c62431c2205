"""Counts of failures before a success: geometric, and negative-binomial before several."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from companion.families.base import Average, Blocks
from companion.families.numerics import numpy_draw, softplus
from companion.families.poisson import Count

__all__ = ["Geometric", "NegativeBinomial"]


class _Failures(Count):
    """Counts of failures before r successes of probability p."""

    successes: float

    def natural_parameters(self, probability: Tensor) -> Tensor:
        """η = log(1 − p) from the ``probability`` 0 < p < 1 of a success, ``(..., D)``."""
        return torch.log1p(-probability)

    def log_partition(self, natural: Tensor) -> Tensor:
        return -self.successes * torch.log(-torch.expm1(natural)).sum(-1)


class Geometric(_Failures):
    """Independent counts of failures before the first success, which has probability p.

    T(x) = x, η = log(1 − p), A(η) = −Σ_d log(1 − e^{η_d}) = −Σ_d log p_d, h = 1; L = D.
    H = Σ_d [−log p_d − (1 − p_d)/p_d · log(1 − p_d)]. Coordinates are t = log p/(1 − p):
    v = log(1 + eᵗ)/σ(t).

    >>> Geometric().entropy(torch.tensor([0.5]).log()) / math.log(2)   # p = 1/2: two bits
    tensor(2., dtype=torch.float64)
    """

    successes = 1.0
    coordinates = ("success_logits",)
    in_words = "success_logits t = log p/(1−p); log(1 + eᵗ)/σ(t)"

    def from_coordinates(self, success_logits: Tensor) -> Tensor:
        return -softplus(success_logits)

    def direction(self, success_logits: Tensor) -> Blocks:
        return (softplus(success_logits) / torch.sigmoid(success_logits),)

    def maximum_likelihood(self, x: Tensor, average: Average) -> Blocks:
        return (-average(x).log(),)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        # Inversion: ⌊log U / log(1 − p)⌋ with U uniform on (0, 1].
        uniform = 1 - torch.rand(natural.shape, dtype=natural.dtype, generator=generator)
        return torch.floor(uniform.log() / natural)


@dataclass(frozen=True)
class NegativeBinomial(_Failures):
    """Independent counts of failures before r successes of probability p; r is fixed.

    ``successes`` is r > 0 and need not be an integer. T(x) = x, η = log(1 − p),
    A(η) = −r Σ_d log(1 − e^{η_d}), h(x) = Π_d Γ(x_d + r)/(Γ(r) x_d!); L = D. The base measure is
    not constant unless r = 1 (the :class:`Geometric` family): H̃ = r times the geometric entropy.
    Coordinates are t = log (1 − p)/p: v = −log(1 + e⁻ᵗ)/σ(−t).

    >>> NegativeBinomial(successes=3.0).pseudo_entropy(torch.tensor([0.5]).log()) / math.log(2)
    tensor(6., dtype=torch.float64)
    """

    successes: float

    coordinates = ("failure_logits",)
    in_words = "failure_logits t = log (1−p)/p; −log(1 + e⁻ᵗ)/σ(−t)"

    def __post_init__(self) -> None:
        if not 0 < self.successes < math.inf:
            raise ValueError(f"successes must be a positive number: got {self.successes!r}")

    def from_coordinates(self, failure_logits: Tensor) -> Tensor:
        return -softplus(-failure_logits)

    def direction(self, failure_logits: Tensor) -> Blocks:
        return (-softplus(-failure_logits) / torch.sigmoid(-failure_logits),)

    def maximum_likelihood(self, x: Tensor, average: Average) -> Blocks:
        return ((average(x) / self.successes).log(),)

    def log_base_measure(self, x: Tensor) -> Tensor:
        each = torch.lgamma(x + self.successes) - torch.lgamma(x + 1)
        return each.sum(-1) - x.shape[-1] * math.lgamma(self.successes)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        success = -torch.expm1(natural)
        r = torch.full_like(natural, self.successes)
        return numpy_draw("negative_binomial", r, success, generator=generator)

"""Categorical distributions: one draw, several variables side by side, counts of many draws."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from companion.families.base import Average, Blocks, ExponentialFamily
from companion.families.numerics import numpy_draw
from companion.support.checks import positive_integer

__all__ = ["Categorical", "CategoricalProduct", "Multinomial"]


class Categorical(ExponentialFamily):
    """One of C categories, x a one-hot vector in {0, 1}ᶜ.

    T(x) = x, η = logits, A(η) = log Σ_c e^{η_c}, h = 1; L = D = C. The statistics are over-complete
    (they sum to one): η + k·1 is the same distribution for every k. Coordinates are the logits l
    themselves: v = l.

    >>> Categorical().entropy(torch.zeros(4, dtype=torch.float64)).exp()
    tensor(4., dtype=torch.float64)
    """

    requirement = "one-hot (each row has one 1 and is 0 elsewhere)"
    coordinates = ("component_logits",)
    in_words = "component_logits l; l"

    def log_partition(self, natural: Tensor) -> Tensor:
        return torch.logsumexp(natural, -1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        return torch.softmax(natural, -1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        log_p = torch.log_softmax(natural, -1)
        return -(log_p.exp() * log_p).sum(-1)

    def maximum_likelihood(self, x: Tensor, average: Average) -> Blocks:
        return (average(x).log(),)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        classes = natural.shape[-1]
        p = torch.softmax(natural, -1).reshape(-1, classes)
        index = torch.multinomial(p, 1, generator=generator)[:, 0]
        one_hot = torch.nn.functional.one_hot(index, classes).to(natural.dtype)
        return one_hot.reshape(natural.shape)

    def support(self, x: Tensor) -> Tensor:
        return ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1)


@dataclass(frozen=True)
class CategoricalProduct(ExponentialFamily):
    """Independent categorical variables with C categories each, x their one-hot vectors in a row.

    ``groups`` is the number G of variables. T(x) = x, η = logits, A(η) = Σ_g log Σ_c e^{η_gc},
    h = 1; L = D = G·C. In each group the statistics are over-complete, as for
    :class:`Categorical`. Coordinates are the logits l themselves: v = l.

    >>> family = CategoricalProduct(groups=2)
    >>> family.entropy(torch.zeros(6, dtype=torch.float64)).exp()   # 3 × 3 equal outcomes
    tensor(9., dtype=torch.float64)
    """

    groups: int

    requirement = "one-hot vectors in a row (in each group of columns one 1, and 0 elsewhere)"
    coordinates = Categorical.coordinates
    in_words = Categorical.in_words
    maximum_likelihood = Categorical.maximum_likelihood

    def __post_init__(self) -> None:
        positive_integer(self.groups, "groups")

    def split(self, x: Tensor) -> Tensor:
        """One row for each variable, ``(..., G·C)`` → ``(..., G, C)``."""
        return x.unflatten(-1, (self.groups, -1))

    def coordinate_size(self, observed: int) -> int:
        if positive_integer(observed, "observed") % self.groups:
            raise ValueError(
                f"observed must be a multiple of the family's {self.groups} groups: got {observed}"
            )
        return observed

    def _check_size(self, size: int, observed: int | None) -> None:
        super()._check_size(self.coordinate_size(size), observed)

    def log_partition(self, natural: Tensor) -> Tensor:
        return torch.logsumexp(self.split(natural), -1).sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        return torch.softmax(self.split(natural), -1).flatten(-2)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return Categorical().pseudo_entropy(self.split(natural)).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return Categorical().sample(self.split(natural), generator).flatten(-2)

    def support(self, x: Tensor) -> Tensor:
        if x.shape[-1] % self.groups:
            return torch.zeros((), dtype=torch.bool)
        return Categorical().support(self.split(x))


@dataclass(frozen=True)
class Multinomial(ExponentialFamily):
    """Counts of n draws from C categories: x ∈ {0, 1, …}ᶜ with Σ_c x_c = n; n is fixed.

    ``trials`` is n. T(x) = x, η = logits, A(η) = n log Σ_c e^{η_c}, h(x) = n!/Π_c x_c!; L = D = C.
    The base measure is not constant unless n = 1 (the categorical family): H̃ = n H(categorical).
    The statistics are over-complete, as for :class:`companion.families.Categorical`. Coordinates
    are the logits l themselves: v = l.

    >>> Multinomial(trials=5).pseudo_entropy(torch.zeros(4)) / math.log(4)
    tensor(5., dtype=torch.float64)
    """

    trials: int

    requirement = "counts (0, 1, 2, …)"
    coordinates = Categorical.coordinates
    in_words = Categorical.in_words

    def __post_init__(self) -> None:
        positive_integer(self.trials, "trials")

    def natural_parameters(self, probabilities: Tensor) -> Tensor:
        """η = log p from the positive ``probabilities`` of the categories, ``(..., C)``."""
        return probabilities.log()

    def log_base_measure(self, x: Tensor) -> Tensor:
        return math.lgamma(self.trials + 1) - torch.lgamma(x + 1).sum(-1)

    def log_partition(self, natural: Tensor) -> Tensor:
        return self.trials * torch.logsumexp(natural, -1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return self.trials * Categorical().pseudo_entropy(natural)

    def maximum_likelihood(self, x: Tensor, average: Average) -> Blocks:
        return ((average(x) / self.trials).log(),)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        p = torch.softmax(natural, -1)
        return numpy_draw("multinomial", self.trials, p, generator=generator)

    def support(self, x: Tensor) -> Tensor:
        return (x >= 0) & (x == x.round())

    def invalid(self, x: Tensor) -> str | None:
        reason, totals = super().invalid(x), x.sum(-1)
        if reason is None and not bool((totals == self.trials).all()):
            return (
                f"must have rows that sum to trials = {self.trials} for a multinomial variable: "
                f"found sums from {float(totals.min()):g} to {float(totals.max()):g}"
            )
        return reason

"""Poisson counts, and what all families of counts share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from companion.families.base import Average, Blocks, ExponentialFamily

__all__ = ["Count", "Poisson"]

#: A sum over counts stops beyond twice the mean where log p has fallen below this.
_SMALLEST_LOG_PROB = -60.0


class Count(ExponentialFamily):
    """Independent counts, x ∈ {0, 1, 2, …}ᴰ, with T(x) = x; L = D."""

    independent_columns = True
    requirement = "counts (0, 1, 2, …)"

    def support(self, x: Tensor) -> Tensor:
        return (x >= 0) & (x == x.round())

    def entropy_by_summation(self, natural: Tensor) -> Tensor:
        """True entropy H[p] = −Σ_k p(k) log p(k) per variable, summed over counts k; ``(...)``.

        For families whose entropy has no closed form. The sum ends where what is left out has
        probability below about 1e-20; it has a term for every count up to there, so keep rates
        moderate.

        >>> rate = torch.tensor([4.0], dtype=torch.float64)
        >>> Poisson().entropy_by_summation(Poisson().natural_parameters(rate))
        tensor(2.0867, dtype=torch.float64)
        """
        fixed = natural.detach()
        largest = 2 * math.ceil(float(self.mean_parameters(fixed).max())) + 1
        last = fixed[..., None, None]
        while bool((self.log_prob(fixed.new_tensor([largest]), last) > _SMALLEST_LOG_PROB).any()):
            largest *= 2
        k = torch.arange(largest + 1, dtype=natural.dtype)
        log_p = self.log_prob(k[:, None], natural[..., None, None])
        return -(log_p.exp() * log_p).sum((-2, -1))


class Poisson(Count):
    """Independent Poisson counts with rates λ.

    T(x) = x, η = log λ, A(η) = Σ_d e^{η_d}, h(x) = Π_d 1/x_d!; L = D. The base measure is not
    constant: H̃ = Σ_d λ_d (1 − log λ_d), and the true entropy has no closed form. Coordinates are
    the log-rates t = log λ, which are η: v = t.

    >>> family = Poisson()
    >>> family.pseudo_entropy(family.natural_parameters(torch.tensor([1.0, math.e])))
    tensor(1., dtype=torch.float64)
    """

    coordinates = ("log_rates",)
    in_words = "log_rates t; t"

    def natural_parameters(self, rate: Tensor) -> Tensor:
        """η = log λ from ``rate`` λ > 0, ``(..., D)``."""
        return rate.log()

    def log_base_measure(self, x: Tensor) -> Tensor:
        return -torch.lgamma(x + 1).sum(-1)

    def log_partition(self, natural: Tensor) -> Tensor:
        return natural.exp().sum(-1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return (natural.exp() * (1 - natural)).sum(-1)

    def maximum_likelihood(self, x: Tensor, average: Average) -> Blocks:
        return (average(x).log(),)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.poisson(natural.exp(), generator=generator)

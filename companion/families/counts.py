"""Distributions of counts: Poisson, geometric, negative binomial and multinomial."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from companion.families.base import ExponentialFamily
from companion.families.discrete import Categorical
from companion.families.sampling import numpy_draw

__all__ = ["Geometric", "Multinomial", "NegativeBinomial", "Poisson"]

#: A sum over counts stops beyond twice the mean where log p has fallen below this.
_SMALLEST_LOG_PROB = -60.0


def _not_counts(x: Tensor, who: str) -> str | None:
    if bool(((x >= 0) & (x == x.round()) & torch.isfinite(x)).all()):
        return None
    return (
        f"must be counts (0, 1, 2, …) for {who} variables: found values in "
        f"[{float(x.min()):g}, {float(x.max()):g}], not all of them counts"
    )


def _log1mexp(a: Tensor) -> Tensor:
    """log(1 − eᵃ) for a < 0."""
    return torch.log(-torch.expm1(a))


class Count(ExponentialFamily):
    """Independent counts, x ∈ {0, 1, 2, …}ᴰ, with T(x) = x; L = D."""

    name: ClassVar[str]

    def statistics(self, x: Tensor) -> Tensor:
        return x

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

    def invalid(self, x: Tensor) -> str | None:
        return _not_counts(x, self.name)


class Poisson(Count):
    """Independent Poisson counts with rates λ.

    T(x) = x, η = log λ, A(η) = Σ_d e^{η_d}, h(x) = Π_d 1/x_d!; L = D. The base measure is not
    constant: H̃ = Σ_d λ_d (1 − log λ_d), and the true entropy has no closed form.

    >>> family = Poisson()
    >>> family.pseudo_entropy(family.natural_parameters(torch.tensor([1.0, math.e])))
    tensor(1.)
    """

    constant_base_measure = False
    name = "Poisson"

    def natural_parameters(self, rate: Tensor) -> Tensor:
        """η = log λ from ``rate`` λ > 0, ``(..., D)``."""
        return rate.log()

    def log_base_measure(self, x: Tensor) -> Tensor:
        return -torch.lgamma(x + 1).sum(-1)

    def log_partition(self, natural: Tensor) -> Tensor:
        return natural.exp().sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        return natural.exp()

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return (natural.exp() * (1 - natural)).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.poisson(natural.exp(), generator=generator)


class Geometric(Count):
    """Independent counts of failures before the first success, which has probability p.

    T(x) = x, η = log(1 − p), A(η) = −Σ_d log(1 − e^{η_d}) = −Σ_d log p_d, h = 1; L = D.
    H = Σ_d [−log p_d − (1 − p_d)/p_d · log(1 − p_d)].

    >>> Geometric().entropy(torch.tensor([0.5]).log()) / math.log(2)   # p = 1/2: two bits
    tensor(2.)
    """

    name = "geometric"

    def natural_parameters(self, probability: Tensor) -> Tensor:
        """η = log(1 − p) from the ``probability`` 0 < p < 1 of a success, ``(..., D)``."""
        return torch.log1p(-probability)

    def log_partition(self, natural: Tensor) -> Tensor:
        return -_log1mexp(natural).sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        return 1 / torch.expm1(-natural)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        # Inversion: ⌊log U / log(1 − p)⌋ with U uniform on (0, 1].
        uniform = 1 - torch.rand(natural.shape, dtype=natural.dtype, generator=generator)
        return torch.floor(uniform.log() / natural)


@dataclass(frozen=True)
class NegativeBinomial(Count):
    """Independent counts of failures before r successes of probability p; r is fixed.

    ``successes`` is r > 0 and need not be an integer. T(x) = x, η = log(1 − p),
    A(η) = −r Σ_d log(1 − e^{η_d}), h(x) = Π_d Γ(x_d + r)/(Γ(r) x_d!); L = D. The base measure is
    not constant unless r = 1 (the :class:`Geometric` family): H̃ = r times the geometric entropy.

    >>> NegativeBinomial(successes=3.0).pseudo_entropy(torch.tensor([0.5]).log()) / math.log(2)
    tensor(6.)
    """

    successes: float

    constant_base_measure: ClassVar[bool] = False
    name: ClassVar[str] = "negative-binomial"

    def __post_init__(self) -> None:
        if not 0 < self.successes < math.inf:
            raise ValueError(f"successes must be a positive number: got {self.successes!r}")

    def natural_parameters(self, probability: Tensor) -> Tensor:
        """η = log(1 − p) from the ``probability`` 0 < p < 1 of a success, ``(..., D)``."""
        return torch.log1p(-probability)

    def log_base_measure(self, x: Tensor) -> Tensor:
        each = torch.lgamma(x + self.successes) - torch.lgamma(x + 1)
        return each.sum(-1) - x.shape[-1] * math.lgamma(self.successes)

    def log_partition(self, natural: Tensor) -> Tensor:
        return -self.successes * _log1mexp(natural).sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        return self.successes / torch.expm1(-natural)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        success = -torch.expm1(natural)
        r = torch.full_like(natural, self.successes)
        return numpy_draw("negative_binomial", r, success, generator=generator)


@dataclass(frozen=True)
class Multinomial(ExponentialFamily):
    """Counts of n draws from C categories: x ∈ {0, 1, …}ᶜ with Σ_c x_c = n; n is fixed.

    ``trials`` is n. T(x) = x, η = logits, A(η) = n log Σ_c e^{η_c}, h(x) = n!/Π_c x_c!; L = D = C.
    The base measure is not constant unless n = 1 (the categorical family): H̃ = n H(categorical).
    The statistics are over-complete, as for :class:`companion.families.Categorical`.

    >>> Multinomial(trials=5).pseudo_entropy(torch.zeros(4)) / math.log(4)
    tensor(5.)
    """

    trials: int

    constant_base_measure: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if isinstance(self.trials, bool) or not isinstance(self.trials, int) or self.trials < 1:
            raise ValueError(f"trials must be a positive integer: got {self.trials!r}")

    def natural_parameters(self, probabilities: Tensor) -> Tensor:
        """η = log p from the positive ``probabilities`` of the categories, ``(..., C)``."""
        return probabilities.log()

    def statistics(self, x: Tensor) -> Tensor:
        return x

    def log_base_measure(self, x: Tensor) -> Tensor:
        return math.lgamma(self.trials + 1) - torch.lgamma(x + 1).sum(-1)

    def log_partition(self, natural: Tensor) -> Tensor:
        return self.trials * torch.logsumexp(natural, -1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        return self.trials * torch.softmax(natural, -1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return self.trials * Categorical().pseudo_entropy(natural)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        p = torch.softmax(natural, -1)
        return numpy_draw("multinomial", self.trials, p, generator=generator)

    def invalid(self, x: Tensor) -> str | None:
        reason = _not_counts(x, "multinomial")
        totals = x.sum(-1)
        if reason is None and not bool((totals == self.trials).all()):
            return (
                f"must have rows that sum to trials = {self.trials} for a multinomial variable: "
                f"found sums from {float(totals.min()):g} to {float(totals.max()):g}"
            )
        return reason

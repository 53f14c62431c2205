"""Bernoulli and categorical distributions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from companion.families.base import ExponentialFamily

__all__ = ["Bernoulli", "Categorical", "CategoricalProduct", "softplus"]


def softplus(a: Tensor) -> Tensor:
    """log(1 + eᵃ) to full precision everywhere.

    ``torch.nn.functional.softplus`` switches to the identity at 20, an error of 2e-9 that the
    identity of this companion would show; this form has none, and its derivatives are right at 0
    too, where those of forms with the absolute value of a are not.

    >>> float(softplus(torch.tensor(21.0, dtype=torch.float64)) - 21) > 0
    True
    """
    return -torch.nn.functional.logsigmoid(-a)


class Bernoulli(ExponentialFamily):
    """Independent Bernoulli variables, x ∈ {0, 1}ᴰ.

    T(x) = x, η = log(p/(1−p)) (the logits), A(η) = Σ_d log(1 + e^{η_d}), h = 1; L = D.

    >>> Bernoulli().entropy(torch.zeros(3, dtype=torch.float64)) / 3   # log 2 per variable
    tensor(0.6931, dtype=torch.float64)
    """

    def statistics(self, x: Tensor) -> Tensor:
        return x

    def log_partition(self, natural: Tensor) -> Tensor:
        return softplus(natural).sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        return torch.sigmoid(natural)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        # A − ησ(η), written so that nothing cancels for large |η| and all is smooth at 0.
        on, off = torch.sigmoid(natural), torch.sigmoid(-natural)
        return (on * softplus(-natural) + off * softplus(natural)).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.bernoulli(torch.sigmoid(natural), generator=generator)

    def invalid(self, x: Tensor) -> str | None:
        if bool(((x == 0) | (x == 1)).all()):
            return None
        return (
            "must be binary (0 or 1) for Bernoulli variables: found values in "
            f"[{float(x.min())}, {float(x.max())}]; threshold the data first, "
            "for example with datasets.digits(binary=True)"
        )


class Categorical(ExponentialFamily):
    """One of C categories, x a one-hot vector in {0, 1}ᶜ.

    T(x) = x, η = logits, A(η) = log Σ_c e^{η_c}, h = 1; L = D = C. The statistics are over-complete
    (they sum to one): η + k·1 is the same distribution for every k.

    >>> Categorical().entropy(torch.zeros(4, dtype=torch.float64)).exp()
    tensor(4., dtype=torch.float64)
    """

    def statistics(self, x: Tensor) -> Tensor:
        return x

    def log_partition(self, natural: Tensor) -> Tensor:
        return torch.logsumexp(natural, -1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        return torch.softmax(natural, -1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        log_p = torch.log_softmax(natural, -1)
        return -(log_p.exp() * log_p).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        classes = natural.shape[-1]
        p = torch.softmax(natural, -1).reshape(-1, classes)
        index = torch.multinomial(p, 1, generator=generator)[:, 0]
        one_hot = torch.nn.functional.one_hot(index, classes).to(natural.dtype)
        return one_hot.reshape(natural.shape)

    def invalid(self, x: Tensor) -> str | None:
        if bool(((x == 0) | (x == 1)).all()) and bool((x.sum(-1) == 1).all()):
            return None
        return "must be one-hot for a categorical variable: each row has one 1 and is 0 elsewhere"


@dataclass(frozen=True)
class CategoricalProduct(ExponentialFamily):
    """Independent categorical variables with C categories each, x their one-hot vectors in a row.

    ``groups`` is the number G of variables. T(x) = x, η = logits, A(η) = Σ_g log Σ_c e^{η_gc},
    h = 1; L = D = G·C. In each group the statistics are over-complete, as for
    :class:`Categorical`.

    >>> family = CategoricalProduct(groups=2)
    >>> family.entropy(torch.zeros(6, dtype=torch.float64)).exp()   # 3 × 3 equal outcomes
    tensor(9., dtype=torch.float64)
    """

    groups: int

    def __post_init__(self) -> None:
        if isinstance(self.groups, bool) or not isinstance(self.groups, int) or self.groups < 1:
            raise ValueError(f"groups must be a positive integer: got {self.groups!r}")

    def split(self, x: Tensor) -> Tensor:
        """One row for each variable, ``(..., G·C)`` → ``(..., G, C)``."""
        return x.unflatten(-1, (self.groups, -1))

    def statistics(self, x: Tensor) -> Tensor:
        return x

    def log_partition(self, natural: Tensor) -> Tensor:
        return torch.logsumexp(self.split(natural), -1).sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        return torch.softmax(self.split(natural), -1).flatten(-2)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return Categorical().pseudo_entropy(self.split(natural)).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return Categorical().sample(self.split(natural), generator).flatten(-2)

    def invalid(self, x: Tensor) -> str | None:
        if x.shape[-1] % self.groups == 0 and Categorical().invalid(self.split(x)) is None:
            return None
        return (
            f"must be {self.groups} one-hot vectors in a row for categorical variables: each block "
            f"of {x.shape[-1] / self.groups:g} columns has one 1 and is 0 elsewhere"
        )

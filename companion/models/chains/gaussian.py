"""A variational distribution over chains of real vectors: any Gaussian Markov chain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from companion.models.chains.base import Chain
from companion.models.chains.scan import recursion
from companion.models.chains.sequences import as_sequences, truth_values
from companion.theory.model import normal_draws
from companion.theory.variational import Nodes

__all__ = ["GaussianChain", "Moments"]


class Moments(NamedTuple):
    """``steps``, Cov(z_t), ``(N, T, H, H)``; ``pairs``, Cov(z_t, z_{t+1}), ``(N, T − 1, H, H)``."""

    steps: Tensor
    pairs: Tensor


@dataclass(frozen=True)
class GaussianChain(Chain):
    """q_n(z_1, …, z_T): z_t given z_{t+1} is N(m_t + G_t (z_{t+1} − m_{t+1}), L_t L_tᵀ).

    Any Gaussian Markov chain can be written so, from its end to its beginning. ``mean`` is m,
    ``(N, T, H)``, ``gains`` G, ``(N, T − 1, H, H)``, ``scale`` the lower-triangular L,
    ``(N, T, H, H)``. ``observed``, ``(N, T)``, says at which steps there is an observation
    (everywhere, by default); a chain ends with its last one.

    >>> zero, one = torch.zeros(1, 3, 2), torch.eye(2).expand(1, 3, 2, 2)
    >>> q = GaussianChain(zero, 0 * one[:, 1:], one / (2 * math.pi * math.e) ** 0.5)
    >>> q.entropy().abs() < 1e-5    # six numbers of entropy zero, independent of each other
    tensor([True])
    """

    mean: Tensor
    gains: Tensor
    scale: Tensor
    observed: Tensor | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.mean.shape)
        points, steps, size = shape if len(shape) == 3 else (0, 0, 0)
        expected = [(points, steps, size), (points, steps - 1, size, size)]
        expected.append((points, steps, size, size))
        given = [tuple(t.shape) for t in (self.mean, self.gains, self.scale)]
        if given != expected:
            raise ValueError(
                "mean, gains and scale must have shapes (N, T, H), (N, T − 1, H, H) and "
                f"(N, T, H, H): got {given}"
            )
        object.__setattr__(self, "observed", truth_values(self.observed, points, steps))

    @classmethod
    def random(cls, x: Any, latent: int, generator: torch.Generator | None = None) -> Self:
        """A random chain for every sequence of ``x``, ``(N, T, D)``, which it knows nothing of."""
        data = as_sequences(x)
        points, steps, _ = data.shape
        mean = normal_draws(points, steps, latent, generator=generator)
        gains = 0.5 * normal_draws(points, steps - 1, latent, latent, generator=generator)
        scale = 0.3 * torch.tril(normal_draws(points, steps, latent, latent, generator=generator))
        scale = torch.tril(scale, -1) + torch.diag_embed(scale.diagonal(dim1=-2, dim2=-1).exp())
        return cls(mean, gains, scale, ~data.isnan().any(-1))

    @property
    def parameters(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "gains": self.gains, "scale": self.scale}

    @cached_property
    def moments(self) -> Moments:
        """Covariances of steps and of neighbours; what comes after the end is of no meaning."""
        gains = self.gains * self.within[:, 1:, None, None]
        maps = torch.cat([gains, torch.zeros_like(self.scale[:, :1])], 1)
        steps = recursion(maps, self.given, reverse=True)
        return Moments(steps, gains @ steps[:, 1:])

    @cached_property
    def given(self) -> Tensor:
        """Covariances L_t L_tᵀ of z_t given z_{t+1}, ``(N, T, H, H)``."""
        factor = torch.tril(self.scale)
        return factor @ factor.mT

    def entropy(self) -> Tensor:
        diagonal = self.scale.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
        each = diagonal + 0.5 * self.mean.shape[-1] * (1 + math.log(2 * math.pi))
        return torch.where(self.within > 0, each, 0.0).sum(-1)

    def nodes(self) -> Nodes:
        """One node at zero, of weight 1: factors read those of :meth:`counted` instead."""
        z, weights = self.counted(self.within)
        return Nodes(z, torch.ones_like(weights))

    def counted(self, steps: Tensor) -> Nodes:
        """One node, z = 0, with how many of ``steps``, ``(N, T)``, are true as its weight.

        This is all that an entropy which does not depend on z needs; expectations of log p come
        from :attr:`moments`.
        """
        weights = steps.to(self.mean.dtype).sum(1, keepdim=True)
        return Nodes(torch.zeros(1, self.mean.shape[-1], dtype=self.mean.dtype), weights)

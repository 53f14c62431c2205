"""Boltzmann machines: binary units with symmetric weights, the one undirected model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from companion.families import Bernoulli, ExponentialFamily
from companion.families.numerics import softplus
from companion.models.sigmoid_belief import BeliefNet
from companion.support.checks import positive_integer
from companion.theory.model import Factor, Parameters
from companion.theory.nodes import LARGEST_ENUMERATION
from companion.theory.variational import binary_states

__all__ = ["BoltzmannMachine"]


class _Listed(NamedTuple):
    """``states`` ``(S, U)`` of the units that are listed, and log Σ e^{−energy} over the others.

    ``log_weights`` is ``(..., S)``; ``log_odds`` ``(..., S, R)`` are those of the R other units.
    """

    states: Tensor
    log_weights: Tensor
    log_odds: Tensor


@dataclass(frozen=True)
class PairwiseBinary(ExponentialFamily):
    """s = (x, z) ∈ {0, 1}^{D+H}, p(s) = exp(b·x + c·z + xᵀWz + Σ_{i<j} s_i U_ij s_j)/Z.

    T(s) = (x, z, x zᵀ) and, unless ``restricted``, products of two x and of two z; h = 1. The
    log-partition A = log Z is a sum over all states, of a restricted machine over those of its
    smaller side, whose other side factorises.
    """

    observed: int
    latent: int
    restricted: bool

    def statistics(self, x: Tensor) -> Tensor:
        sides = x.split([self.observed, self.latent], -1)
        parts = [*sides, (sides[0][..., :, None] * sides[1][..., None, :]).flatten(-2)]
        return torch.cat(parts if self.restricted else [*parts, *map(_products, sides)], -1)

    def listed(self, natural: Tensor) -> _Listed:
        """All states, or those of a restricted machine's smaller side."""
        D, H = self.observed, self.latent
        if not self.restricted:
            states = binary_states(D + H)
            log_weights = natural @ self.statistics(states).T
            return _Listed(states, log_weights, log_weights[..., None][..., :0])
        b, c, weights = natural.split([D, H, D * H], -1)
        weights = weights.unflatten(-1, (D, H))
        if H <= D:
            b, c, weights = c, b, weights.mT
        states = binary_states(min(D, H))
        log_odds = c[..., None, :] + states @ weights
        return _Listed(states, b @ states.T + softplus(log_odds).sum(-1), log_odds)

    def log_partition(self, natural: Tensor) -> Tensor:
        return torch.logsumexp(self.listed(natural).log_weights, -1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        states, log_weights, log_odds = self.listed(natural)
        rows = torch.softmax(log_weights, -1).reshape(-1, len(states))
        drawn = torch.multinomial(rows, 1, generator=generator).reshape(natural.shape[:-1])
        chosen = torch.take_along_dim(log_odds, drawn[..., None, None], -2)[..., 0, :]
        others = torch.bernoulli(torch.sigmoid(chosen), generator=generator)
        latents_listed = self.restricted and self.latent <= self.observed
        sides = (others, states[drawn]) if latents_listed else (states[drawn], others)
        return torch.cat(sides, -1)

    def invalid(self, x: Tensor) -> str | None:
        return Bernoulli().invalid(x)


def _products(side: Tensor) -> Tensor:
    """s_i s_j for all i < j, ``(..., U)`` → ``(..., U(U−1)/2)``."""
    first, second = torch.triu_indices(side.shape[-1], side.shape[-1], 1)
    return side[..., first] * side[..., second]


@dataclass(frozen=True)
class Joint(Factor):
    """p(x, z) in one piece: there is no prior and no observable given it."""

    def log_prob(self, parameters: Parameters, x: Tensor, z: Tensor) -> Tensor:
        """log p(x_n, z_p), ``(N, P)``."""
        family = self.family
        assert isinstance(family, PairwiseBinary)
        fields = z @ parameters["weights"].T + parameters["bias"]
        inner = x @ fields.T if z.dim() == 2 else (fields @ x[..., None])[..., 0]
        inner = inner + z @ parameters["latent.bias"]
        for name, side in (("observed.weights", x[:, None]), ("latent.weights", z)):
            if name in parameters:
                inner = inner + _products(side) @ parameters[name]
        return inner - family.log_partition(self.natural(parameters, z))


@dataclass(frozen=True)
class BoltzmannMachine(BeliefNet):
    """Binary units, undirected: p(x, z) = exp(b·x + c·z + xᵀWz + xᵀUx + zᵀVz)/Z.

    U and V have entries above the diagonal only, Σ_{i<j} x_i U_ij x_j; a ``restricted`` machine
    has no U and no V. Z is a sum over all states of the smaller side of a
    restricted machine, at most 2¹⁶, or over those of all units together.

    Parameters: ``weights`` W ``(D, H)``, ``bias`` b ``(D,)``, ``latent.bias`` c ``(H,)``; of a
    machine that is not restricted also ``observed.weights`` U ``(D(D−1)/2,)`` and
    ``latent.weights`` V ``(H(H−1)/2,)``, row by row above the diagonal. The gap direction is the
    parameter vector itself. There is one factor, the joint distribution, and the entropy sum has
    *two* terms: mean H[q] − H[p(x, z)].

    Source: Ackley, Hinton & Sejnowski (1985), Smolensky (1986) for the models; this companion for
    the entropy sum.

    >>> BoltzmannMachine(observed=4, latent=2).shapes
    {'weights': (4, 2), 'bias': (4,), 'latent.bias': (2,)}
    """

    observed: int
    latent: int
    restricted: bool = True

    def __post_init__(self) -> None:
        for name in ("observed", "latent"):
            positive_integer(getattr(self, name), name)
        units = self.observed + self.latent
        if not self.restricted and units > LARGEST_ENUMERATION:
            raise ValueError(
                f"observed + latent must be at most {LARGEST_ENUMERATION} for a general machine, "
                f"whose states are all listed: got {units}"
            )

    @property
    def family(self) -> PairwiseBinary:
        """The exponential family of (x, z)."""
        return PairwiseBinary(self.observed, self.latent, self.restricted)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        D, H = self.observed, self.latent
        pairs = {"observed.weights": D * (D - 1) // 2, "latent.weights": H * (H - 1) // 2}
        own = {"weights": (D, H), "bias": (D,), "latent.bias": (H,)}
        return own | {name: (n,) for name, n in pairs.items() if n and not self.restricted}

    @property
    def factors(self) -> tuple[Factor, ...]:
        return (Joint("joint", self.family, self._natural),)

    def _natural(self, parameters: Mapping[str, Tensor], z: Tensor) -> Tensor:
        order = ("bias", "latent.bias", "weights", "observed.weights", "latent.weights")
        return torch.cat([parameters[name].flatten() for name in order if name in parameters])

    def log_likelihood(self, parameters: Parameters, x: Tensor) -> Tensor:
        """(1/N) Σ_n log Σ_z p(x_n, z), in nats per data point; restricted, by its free energy."""
        if not self.restricted:
            return super().log_likelihood(parameters, x)
        log_odds = x @ parameters["weights"] + parameters["latent.bias"]
        free = x @ parameters["bias"] + softplus(log_odds).sum(-1)
        return free.mean() - self.family.log_partition(self._natural(parameters, x))

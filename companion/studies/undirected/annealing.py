"""What stands in for a sum over all states: samples on the way from no weights to all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from companion.families.numerics import softplus
from companion.support.tables import Record
from companion.theory.model import Parameters

__all__ = ["Annealed", "annealed", "potential"]


@dataclass(frozen=True, repr=False)
class Annealed(Record):
    """Estimates for θ_t = tθ, t from 0 to 1, all from the same chains, with standard errors.

    ``log_partitions`` and ``errors`` are ``(T,)``, for the values ``t``; ``potentials`` is
    θᵀE[T(x, z) | x] at the last state of every chain, ``(chains,)``, and ``x`` these states.
    """

    t: Tensor
    log_partitions: Tensor
    errors: Tensor
    potentials: Tensor
    x: Tensor

    @property
    def potential(self) -> float:
        """The estimate of θᵀE T(x, z) at t = 1."""
        return float(self.potentials.mean())

    @property
    def potential_error(self) -> float:
        """Its standard error, which is that of a gap."""
        return float(self.potentials.std() / math.sqrt(len(self.potentials)))

    def rows(self) -> list[tuple[str, float]]:
        """Both estimates at t = 1 with their standard errors, and the entropy that they give."""
        return [
            ("log Z", float(self.log_partitions[-1])),
            ("standard error of log Z", float(self.errors[-1])),
            ("expected potential θᵀE T", self.potential),
            ("standard error of the potential", self.potential_error),
            ("joint entropy", float(self.log_partitions[-1]) - self.potential),
        ]


def potential(parameters: Parameters, x: Tensor) -> Tensor:
    """θᵀE[T(x, z) | x] of a restricted machine for every row of ``x``, ``(N,)``."""
    log_odds = x @ parameters["weights"] + parameters["latent.bias"]
    return x @ parameters["bias"] + (torch.sigmoid(log_odds) * log_odds).sum(-1)


def annealed(
    parameters: Parameters, steps: int, chains: int, generator: torch.Generator
) -> Annealed:
    """Annealed importance sampling of a restricted machine, from uniform units along tθ.

    log w = Σ_k log p*_{t_k}(x_{k−1}) − log p*_{t_{k−1}}(x_{k−1}), with p*_t(x) = exp(t b·x)
    Π_h (1 + exp t(c + xᵀW)_h) and a Gibbs step at t_k after each term; Z_0 = 2^{D+H}.

    Parameters
    ----------
    parameters
        Those of a restricted :class:`companion.models.BoltzmannMachine`.
    steps, chains
        How many temperatures, and chains side by side.
    generator
        What the chains are drawn with.

    Source: Neal (2001); Salakhutdinov & Murray (2008) for restricted Boltzmann machines.
    """
    W, b, c = (parameters[name] for name in ("weights", "bias", "latent.bias"))
    t = torch.linspace(0, 1, steps + 1, dtype=W.dtype)

    def log_weight(at: Tensor, x: Tensor) -> Tensor:
        return at * (x @ b) + softplus(at * (c + x @ W)).sum(-1)

    x = torch.bernoulli(torch.full((chains, len(b)), 0.5, dtype=W.dtype), generator=generator)
    logs = [torch.zeros(chains, dtype=W.dtype)]
    for before, now in pairwise(t):
        logs.append(logs[-1] + log_weight(now, x) - log_weight(before, x))
        z = torch.bernoulli(torch.sigmoid(now * (c + x @ W)), generator=generator)
        x = torch.bernoulli(torch.sigmoid(now * (b + z @ W.T)), generator=generator)
    log_w = torch.stack(logs)
    mean = torch.logsumexp(log_w, -1) - math.log(chains)
    errors = (log_w - mean[:, None]).exp().std(-1) / math.sqrt(chains)
    partitions = mean + sum(W.shape) * math.log(2)
    return Annealed(t, partitions, errors, potential(parameters, x), x)

"""The q of diffusion models, a chain without parameters, and the steps back along it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from companion.families.gaussian import LOG_2PI
from companion.theory.factor import Factor, Parameters
from companion.theory.nodes import Nodes, Settled

__all__ = ["Backward", "NoisedChain"]


@dataclass(frozen=True)
class NoisedChain(Settled):
    """q(x_1, …, x_T | x_0) = Π_t N(x_t; √(1−β_t) x_{t−1}, β_t I): a chain without parameters.

    ``x`` is x_0, ``(N, D)``; ``noise`` ``(N, T, D)`` are frozen draws ε_t, with x_t = √ᾱ_t x_0 +
    √(1−ᾱ_t) ε_t and ᾱ_t = Π_{s≤t} (1−β_s). They are drawn for each step on its own, since no
    factor of a :class:`Diffusion` sees two of them.
    """

    x: Tensor
    betas: Tensor
    noise: Tensor

    def nodes(self) -> Nodes:
        kept = torch.cumprod(1 - self.betas, 0)[:, None]
        z = kept.sqrt() * self.x[:, None] + (1 - kept).sqrt() * self.noise
        return Nodes(z, torch.full_like(self.betas, 1 / len(self.betas)))

    def entropy(self) -> Tensor:
        """(D/2) Σ_t log 2πe β_t for every data point."""
        size = self.x.shape[-1]
        total = 0.5 * size * (1 + LOG_2PI + self.betas.log()).sum()
        return total.expand(len(self.x))


@dataclass(frozen=True)
class Backward(Factor):
    """p(x_{t−1} | x_t) for some steps t: ``log_variances(parameters)`` ``(S,)`` are log σ_t².

    ``errors(parameters, x, z)`` ``(N, S)`` are the mean squared errors of a coordinate at nodes
    x_t, their expectation over x_{t−1} given x_t and x_0 taken in closed form.
    """

    errors: Callable[[Parameters, Tensor, Tensor], Tensor] | None = None
    log_variances: Callable[[Parameters], Tensor] | None = None

    def log_prob(self, parameters: Parameters, x: Tensor, z: Tensor) -> Tensor:
        assert self.errors is not None and self.log_variances is not None
        log_variances = self.log_variances(parameters)
        scaled = self.errors(parameters, x, z) * (-log_variances).exp()
        return -0.5 * x.shape[-1] * (LOG_2PI + log_variances + scaled)

    def entropy(self, parameters: Parameters, z: Tensor, pseudo: bool = False) -> Tensor:
        assert self.log_variances is not None
        return 0.5 * z.shape[-1] * (1 + LOG_2PI + self.log_variances(parameters))

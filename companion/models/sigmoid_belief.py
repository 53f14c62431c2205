"""Sigmoid belief networks: binary latents, binary observables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from companion.checks import positive_integer
from companion.families import Bernoulli
from companion.model import Factor, Model, Parameters, normal_draws
from companion.variational import Tabulated, binary_states

__all__ = ["SigmoidBeliefNet"]


@dataclass(frozen=True)
class SigmoidBeliefNet(Model):
    """z_h ~ Bern(σ(ψ_h)), x_d | z ~ Bern(σ((Wz + b)_d)).

    Parameters: ``prior_logits`` ψ ``(H,)``, ``W`` ``(D, H)``, ``b`` ``(D,)``. The gap direction is
    the parameter vector itself, v = (ψ, W, b), since all natural parameters are linear in it.

    Source: Neal (1992); Lücke & Warnken (arXiv:2209.03077), where it is an example.

    >>> model = SigmoidBeliefNet(observed=4, latent=2)
    >>> model.initial_parameters(torch.Generator().manual_seed(0))["W"].shape
    torch.Size([4, 2])
    """

    observed: int
    latent: int

    def __post_init__(self) -> None:
        positive_integer(self.observed, "observed")
        positive_integer(self.latent, "latent")

    @property
    def factors(self) -> tuple[Factor, ...]:
        return (
            Factor("prior", Bernoulli(), lambda p, z: p["prior_logits"], lambda z: z),
            Factor("observable", Bernoulli(), lambda p, z: z @ p["W"].T + p["b"]),
        )

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        draw = partial(normal_draws, generator=generator)
        return {
            "prior_logits": draw(self.latent),
            "W": draw(self.observed, self.latent),
            "b": draw(self.observed),
        }

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        return dict(parameters)

    def posterior(self, parameters: Parameters, x: Tensor) -> Tabulated:
        """The exact posterior p(z | x_n) over all 2ᴴ states; H at most 16."""
        states = binary_states(self.latent)
        return Tabulated(states, torch.log_softmax(self.log_joint(parameters, x, states), -1))

    def log_likelihood(self, parameters: Parameters, x: Tensor) -> Tensor:
        """(1/N) Σ_n log Σ_z p(x_n, z), in nats per data point; H at most 16."""
        states = binary_states(self.latent)
        return torch.logsumexp(self.log_joint(parameters, x, states), -1).mean()

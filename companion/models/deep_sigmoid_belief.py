"""Deep sigmoid belief networks: two layers of binary latents above binary observables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from companion.checks import positive_integer
from companion.families import Bernoulli
from companion.model import Factor, Model, Parameters, normal_draws
from companion.variational import Tabulated, binary_states

__all__ = ["DeepSigmoidBeliefNet"]


@dataclass(frozen=True)
class DeepSigmoidBeliefNet(Model):
    """z₂ ~ Bern(σ(ψ)), z₁ | z₂ ~ Bern(σ(Vz₂ + c)), x | z₁ ~ Bern(σ(Wz₁ + b)).

    ``latent`` is the size of the top layer z₂, ``hidden`` that of the layer z₁ between it and x. A
    latent state is the row z = (z₁, z₂), ``(hidden + latent,)``; see :meth:`layers`.

    Parameters: ``prior_logits`` ψ ``(latent,)``, ``V`` ``(hidden, latent)``, ``c`` ``(hidden,)``,
    ``W`` ``(observed, hidden)``, ``b`` ``(observed,)``. The gap direction is the parameter vector
    itself, v = (ψ, V, c, W, b), since the natural parameters of all three factors are linear in it.
    The entropy sum has one term for each layer:
    mean H[q] − H[p(z₂)] − E_q̄ H[p(z₁|z₂)] − E_q̄ H[p(x|z₁)].

    Source: Neal (1992) for the model; Lücke & Warnken (arXiv:2209.03077) for the theorem.

    >>> model = DeepSigmoidBeliefNet(observed=5, hidden=3, latent=2)
    >>> [factor.name for factor in model.factors], model.latent_size
    (['prior', 'hidden', 'observable'], 5)
    """

    observed: int
    hidden: int
    latent: int

    def __post_init__(self) -> None:
        positive_integer(self.observed, "observed")
        positive_integer(self.hidden, "hidden")
        positive_integer(self.latent, "latent")

    @property
    def latent_size(self) -> int:
        """Number of binary latents in both layers."""
        return self.hidden + self.latent

    def layers(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z₁ ``(..., hidden)`` and z₂ ``(..., latent)`` of the states z = (z₁, z₂)."""
        return z[..., : self.hidden], z[..., self.hidden :]

    @property
    def factors(self) -> tuple[Factor, ...]:
        bernoulli = Bernoulli()

        def hidden_natural(parameters: Parameters, z: Tensor) -> Tensor:
            return self.layers(z)[1] @ parameters["V"].T + parameters["c"]

        def observable_natural(parameters: Parameters, z: Tensor) -> Tensor:
            return self.layers(z)[0] @ parameters["W"].T + parameters["b"]

        return (
            Factor("prior", bernoulli, lambda p, z: p["prior_logits"], lambda z: self.layers(z)[1]),
            Factor("hidden", bernoulli, hidden_natural, lambda z: self.layers(z)[0]),
            Factor("observable", bernoulli, observable_natural),
        )

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        draw = partial(normal_draws, generator=generator)
        return {
            "prior_logits": draw(self.latent),
            "V": draw(self.hidden, self.latent),
            "c": draw(self.hidden),
            "W": draw(self.observed, self.hidden),
            "b": draw(self.observed),
        }

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        return dict(parameters)

    def states(self) -> Tensor:
        """All states z = (z₁, z₂), ``(2**(hidden + latent), hidden + latent)``.

        Raises
        ------
        ValueError
            If there are more than 16 latents in all.
        """
        return binary_states(self.latent_size)

    def posterior(self, parameters: Parameters, x: Tensor) -> Tabulated:
        """The exact posterior p(z₁, z₂ | x_n) over all states; at most 16 latents in all."""
        states = self.states()
        return Tabulated(states, torch.log_softmax(self.log_joint(parameters, x, states), -1))

    def log_likelihood(self, parameters: Parameters, x: Tensor) -> Tensor:
        """(1/N) Σ_n log Σ_z p(x_n, z), in nats per data point; at most 16 latents in all."""
        return torch.logsumexp(self.log_joint(parameters, x, self.states()), -1).mean()

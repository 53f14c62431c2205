"""Sigmoid belief networks: binary latents, binary observables."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from companion.families import Bernoulli
from companion.models.enumerated import Enumerated
from companion.support.checks import positive_integer
from companion.theory.model import Factor, Parameters, normal_draws
from companion.theory.variational import binary_states

__all__ = ["DeepSigmoidBeliefNet", "SigmoidBeliefNet"]


def log_odds(parameters: Parameters, above: Tensor, layer: str = "") -> Tensor:
    """Wz + b, ``(..., H)`` → ``(..., D)``, with weights and biases by the prefix of their layer."""
    return above @ parameters[f"{layer}weights"].T + parameters[f"{layer}bias"]


class BeliefNet(Enumerated):
    """Binary units in layers, with log-odds that are linear in the layer above.

    All natural parameters are linear in the parameters, so v is the vector of parameters itself.
    All latent states are listed, at most 2¹⁶.
    """

    latent: int

    def __post_init__(self) -> None:
        for name, size in vars(self).items():
            positive_integer(size, name)

    @property
    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the parameters."""

    @property
    def latent_size(self) -> int:
        return self.latent

    @property
    def states(self) -> Tensor:
        """All states z, ``(2**H, H)``.

        Raises
        ------
        ValueError
            If there are more than 16 latents in all.
        """
        return binary_states(self.latent_size)

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Standard-normal draws."""
        return {
            name: normal_draws(*shape, generator=generator) for name, shape in self.shapes.items()
        }

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        return dict(parameters)


@dataclass(frozen=True)
class SigmoidBeliefNet(BeliefNet):
    """z_h ~ Bern(σ(ψ_h)), x_d | z ~ Bern(σ((Wz + b)_d)).

    Parameters: ``prior_logits`` ψ ``(H,)``, ``weights`` W ``(D, H)``, ``bias`` b ``(D,)``. The gap
    direction is the parameter vector itself, v = (ψ, W, b), since all natural parameters are linear
    in it.

    Source: Neal (1992); Warnken et al. (arXiv:2501.09022) for the theorem.

    >>> model = SigmoidBeliefNet(observed=4, latent=2)
    >>> model.initial_parameters(torch.Generator().manual_seed(0))["weights"].shape
    torch.Size([4, 2])
    """

    observed: int
    latent: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            "prior_logits": (self.latent,),
            "weights": (self.observed, self.latent),
            "bias": (self.observed,),
        }

    @property
    def factors(self) -> tuple[Factor, ...]:
        return (
            Factor("prior", Bernoulli(), lambda p, z: p["prior_logits"], lambda z: z),
            Factor("observable", Bernoulli(), log_odds),
        )


@dataclass(frozen=True)
class DeepSigmoidBeliefNet(BeliefNet):
    """z₂ ~ Bern(σ(ψ)), z₁ | z₂ ~ Bern(σ(Vz₂ + c)), x | z₁ ~ Bern(σ(Wz₁ + b)).

    ``latent`` is the size of the top layer z₂, ``hidden`` that of the layer z₁ between it and x. A
    latent state is the row z = (z₁, z₂), ``(hidden + latent,)``; see :meth:`layers`.

    Parameters: ``prior_logits`` ψ ``(latent,)``, ``hidden.weights`` V ``(hidden, latent)``,
    ``hidden.bias`` c ``(hidden,)``, ``weights`` W ``(observed, hidden)``, ``bias`` b
    ``(observed,)``. The gap direction is the parameter vector itself, v = (ψ, V, c, W, b), since
    the natural parameters of all three factors are linear in it. The entropy sum has one term for
    each layer:
    mean H[q] − H[p(z₂)] − E_q̄ H[p(z₁|z₂)] − E_q̄ H[p(x|z₁)].

    Source: Neal (1992) for the model; Lücke & Warnken (arXiv:2209.03077) for the theorem.

    >>> model = DeepSigmoidBeliefNet(observed=5, hidden=3, latent=2)
    >>> [factor.name for factor in model.factors], model.latent_size
    (['prior', 'hidden', 'observable'], 5)
    """

    observed: int
    hidden: int
    latent: int

    @property
    def latent_size(self) -> int:
        """Number of binary latents in both layers."""
        return self.hidden + self.latent

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            "prior_logits": (self.latent,),
            "hidden.weights": (self.hidden, self.latent),
            "hidden.bias": (self.hidden,),
            "weights": (self.observed, self.hidden),
            "bias": (self.observed,),
        }

    def layers(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z₁ ``(..., hidden)`` and z₂ ``(..., latent)`` of the states z = (z₁, z₂)."""
        return z[..., : self.hidden], z[..., self.hidden :]

    @property
    def factors(self) -> tuple[Factor, ...]:
        def lower(z: Tensor) -> Tensor:
            return self.layers(z)[0]

        def top(z: Tensor) -> Tensor:
            return self.layers(z)[1]

        return (
            Factor("prior", Bernoulli(), lambda p, z: p["prior_logits"], top),
            Factor("hidden", Bernoulli(), lambda p, z: log_odds(p, top(z), "hidden."), lower),
            Factor("observable", Bernoulli(), lambda p, z: log_odds(p, lower(z))),
        )

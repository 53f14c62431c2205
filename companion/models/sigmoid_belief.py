"""Sigmoid belief networks: binary latents, binary observables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from companion.checks import positive_integer
from companion.families import Bernoulli
from companion.model import Factor, Model, Parameters, normal_draws
from companion.models.responsibilities import normalized
from companion.variational import Tabulated, binary_states

__all__ = ["SigmoidBeliefNet"]

#: Entries of one block of posteriors p(z_p | x_n): 2 MiB of float64, which a core's cache holds.
_BLOCK = 2**18


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

    def likelihood_gradient(
        self, parameters: Parameters, x: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The log-likelihood per data point and its gradient, ∇ℓ = E_p(z|x)[∇ log p(x, z)].

        That is the gradient of the ELBO at the exact posterior, a gradient step of EM. With the
        posterior's sums over the data for each state, r_p = Σ_n p(z_p | x_n) and
        s_p = Σ_n p(z_p | x_n) x_n, it needs only e_p = s_p − r_p σ(Wz_p + b):

            ∇ψ = (1/N) Σ_p r_p z_p − σ(ψ),   ∇W = (1/N) Σ_p e_p z_pᵀ,   ∇b = (1/N) Σ_p e_p.

        Blocks of data points and matrix products: no array is larger than ``(2**H, D)`` or 2 MiB,
        whatever N. H at most 16.

        Raises
        ------
        ValueError
            For invalid data or parameters (see :meth:`companion.model.Model.check`).
        """
        data = self.check(parameters, x)
        states, family = binary_states(self.latent), Bernoulli()
        logits = states @ parameters["W"].T + parameters["b"]
        constant = family.log_prob(states, parameters["prior_logits"]) - family.log_partition(
            logits
        )
        shares, sums = torch.zeros_like(constant), torch.zeros_like(logits)
        total = torch.zeros_like(constant[0])
        for block in data.split(max(1, _BLOCK // len(states))):
            posterior, log_marginal = normalized(torch.addmm(constant, block, logits.T), 1)
            shares += posterior.sum(0)
            sums.addmm_(posterior.T, block)
            total += log_marginal.sum()
        points = len(data)
        errors = (sums - shares[:, None] * torch.sigmoid(logits)) / points
        return total / points, {
            "prior_logits": shares @ states / points - torch.sigmoid(parameters["prior_logits"]),
            "W": errors.T @ states,
            "b": errors.sum(0),
        }

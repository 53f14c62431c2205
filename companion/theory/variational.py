"""Variational distributions q_n(z): each hands out nodes, weights and its entropy.

With nodes z_p and weights w_np, every expectation under q is one weighted sum,
E_{q_n}[f(z)] = Σ_p w_np f(z_np): exact for enumerated latents, exact up to a stated polynomial
degree for cubature, a Monte-Carlo average for frozen samples. The identity of this companion
holds for each of them to machine precision, because it is linear in q.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

import torch
from torch import Tensor

from companion.families import Bernoulli
from companion.theory.nodes import (
    Nodes,
    Variational,
    binary_states,
    cubature,
    fitting,
    gauss_hermite,
    rates_of,
    samples,
)

__all__ = ["Amortized", "Gaussian", "MeanFieldBernoulli", "Tabulated"]
# The rules, too, are found here: a Gaussian q is made with one of them.
__all__ += ["Nodes", "Variational", "binary_states", "cubature", "gauss_hermite", "samples"]


@dataclass(frozen=True)
class Tabulated(Variational):
    """Any q over enumerated states: q_n(z_p) = softmax(logits_n)_p.

    ``states`` is ``(P, H)``, ``logits`` ``(N, P)``. Exact for every model with few discrete states.

    >>> q = Tabulated(torch.eye(3), torch.zeros(2, 3))
    >>> q.entropy().exp()
    tensor([3.0000, 3.0000], dtype=torch.float64)
    """

    states: Tensor
    logits: Tensor

    def __post_init__(self) -> None:
        if self.states.dim() != 2 or self.logits.shape[-1:] != self.states.shape[:1]:
            raise ValueError(
                "logits must have one column per state: got logits of shape "
                f"{tuple(self.logits.shape)} for states of shape {tuple(self.states.shape)}"
            )

    @classmethod
    def from_probabilities(cls, states: Tensor, probabilities: Tensor) -> Tabulated:
        """q with the given ``probabilities`` ``(N, P)``; those that are zero stay so."""
        total = probabilities.sum(-1)
        if not bool((probabilities >= 0).all()) or not torch.allclose(
            total, torch.ones_like(total), rtol=0, atol=1e-9
        ):
            raise ValueError(
                "probabilities must be at least 0 and sum to one in every row: found entries from "
                f"{float(probabilities.min()):.3g} and row sums from {float(total.min()):.6g} "
                f"to {float(total.max()):.6g}"
            )
        return cls(states, probabilities.log().clamp(min=-1000))

    @property
    def parameters(self) -> dict[str, Tensor]:
        return {"logits": self.logits}

    @property
    def probabilities(self) -> Tensor:
        """q_n(z_p), ``(N, P)``: the responsibilities, if the states are mixture components."""
        return torch.softmax(self.logits, -1)

    def nodes(self) -> Nodes:
        return Nodes(self.states, self.probabilities)

    def entropy(self) -> Tensor:
        log_q = torch.log_softmax(self.logits, -1)
        q = log_q.exp()
        return -torch.where(q == 0, 0.0, q * log_q).sum(-1)


@dataclass(frozen=True)
class MeanFieldBernoulli(Variational):
    """Fully factored q over binary latents: q_n(z) = Π_h Bern(z_h; σ(logits_nh)).

    ``logits`` is ``(N, H)``. Expectations enumerate all 2ᴴ states, so that they are exact for any
    function of z; H is at most 16.

    >>> q = MeanFieldBernoulli(torch.zeros(2, 3, dtype=torch.float64))
    >>> q.entropy().exp()     # eight states, equally probable
    tensor([8.0000, 8.0000], dtype=torch.float64)
    """

    logits: Tensor
    states: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "states", binary_states(self.logits.shape[-1]))

    @property
    def parameters(self) -> dict[str, Tensor]:
        return {"logits": self.logits}

    def nodes(self) -> Nodes:
        log_on = torch.nn.functional.logsigmoid(self.logits)
        log_off = torch.nn.functional.logsigmoid(-self.logits)
        log_weights = log_on @ self.states.T + log_off @ (1 - self.states).T
        return Nodes(self.states, log_weights.exp())

    def entropy(self) -> Tensor:
        return Bernoulli().entropy(self.logits)


@dataclass(frozen=True)
class Gaussian(Variational):
    """q_n(z) = N(z; m_n, L_n L_nᵀ), with diagonal or full L.

    ``mean`` is ``(N, H)``. ``scale`` is ``(N, H)`` (standard deviations: a diagonal q) or
    ``(N, H, H)`` (lower-triangular Cholesky factors: a full q). ``rule`` gives standard-normal
    nodes: :func:`cubature` (the default), :func:`gauss_hermite` or :func:`samples`.

    >>> q = Gaussian(torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64))
    >>> float(q.entropy()[0]) == 1 + math.log(2 * math.pi)
    True
    """

    mean: Tensor
    scale: Tensor
    rule: Nodes | None = None

    def __post_init__(self) -> None:
        if self.mean.dim() != 2:
            raise ValueError(f"mean must have shape (N, H): got {tuple(self.mean.shape)}")
        if self.scale.shape not in (self.mean.shape, (*self.mean.shape, self.mean.shape[-1])):
            raise ValueError(
                "scale must have shape (N, H) for a diagonal q or (N, H, H) for a full q: got "
                f"{tuple(self.scale.shape)} for a mean of shape {tuple(self.mean.shape)}"
            )
        object.__setattr__(self, "rule", fitting(self.rule, *self.mean.shape))

    @property
    def diagonal(self) -> bool:
        """Whether q has a diagonal covariance."""
        return self.scale.dim() == 2

    @property
    def parameters(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "scale": self.scale}

    def nodes(self) -> Nodes:
        assert self.rule is not None
        noise, weights = self.rule
        if self.diagonal:
            return Nodes(self.mean[:, None, :] + self.scale[:, None, :] * noise, weights)
        return Nodes(self.mean[:, None, :] + noise @ torch.tril(self.scale).mT, weights)

    def entropy(self) -> Tensor:
        diagonal = self.scale if self.diagonal else self.scale.diagonal(dim1=-2, dim2=-1)
        size = self.mean.shape[-1]
        return diagonal.abs().log().sum(-1) + 0.5 * size * (1 + math.log(2 * math.pi))

    def log_prob(self, z: Tensor) -> Tensor:
        """log q_n(z_np), ``(N, P)``, for ``z`` ``(P, H)`` or ``(N, P, H)``."""
        centered = z - self.mean[:, None, :]
        if self.diagonal:
            noise = centered / self.scale[:, None, :]
        else:
            factor = torch.tril(self.scale)
            noise = torch.linalg.solve_triangular(factor, centered.mT, upper=False).mT
        size = self.mean.shape[-1]
        return 0.5 * (size - (noise * noise).sum(-1)) - self.entropy()[:, None]

    def rescaling(self, rate: float | Tensor) -> dict[str, Tensor]:
        rates = rates_of(rate, self.mean.shape[-1]).to(self.mean.dtype)
        rows = rates if self.diagonal else rates[:, None]
        return {"mean": rates * self.mean, "scale": rows * self.scale}


class Network(Protocol):
    """What an encoder has to have: its number of latents, both moments of q, and its rescaling."""

    @property
    def latent(self) -> int: ...

    def __call__(self, parameters: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]: ...

    def rescaling(
        self, parameters: Mapping[str, Tensor], rate: float | Tensor
    ) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Amortized(Variational):
    """q_n(z) = N(z; m(x_n; φ), diag s(x_n; φ)²): a Gaussian q given by an encoder.

    ``encoder`` maps ``(parameters, x)`` to a mean and a standard deviation, both ``(N, H)``; its
    ``rescaling(parameters, rate)`` says how φ moves when the latent space is rescaled.

    >>> from companion import models
    >>> encoder = models.Encoder(observed=4, latent=2)
    >>> phi = encoder.initial_parameters(torch.Generator().manual_seed(0))
    >>> q = encoder.posterior(phi, torch.zeros(3, 4, dtype=torch.float64))
    >>> isinstance(q, Amortized), q.entropy().shape
    (True, torch.Size([3]))
    """

    encoder: Network
    encoder_parameters: dict[str, Tensor]
    x: Tensor
    rule: Nodes | None = None

    @property
    def parameters(self) -> dict[str, Tensor]:
        return self.encoder_parameters

    @property
    def can_be_rescaled(self) -> bool:
        return bool(getattr(self.encoder, "can_be_rescaled", True))

    def with_parameters(self, parameters: Mapping[str, Tensor]) -> Self:
        return replace(self, encoder_parameters=dict(parameters))

    def on(self, x: Tensor, rule: Nodes | None) -> Self:
        """The same encoder applied to other data, or integrated with another rule."""
        return replace(self, x=x, rule=rule)

    def gaussian(self) -> Gaussian:
        """The q_n as free Gaussians, cut off from the encoder, which is run for this."""
        mean, std = self.encoder(self.encoder_parameters, self.x)
        return Gaussian(mean, std, self.rule)

    def evaluated(self) -> Variational:
        return self.gaussian()

    def nodes(self) -> Nodes:
        return self.gaussian().nodes()

    def entropy(self) -> Tensor:
        return self.gaussian().entropy()

    def rescaling(self, rate: float | Tensor) -> dict[str, Tensor]:
        if not isinstance(rate, Tensor) and rate == 0:
            return super().rescaling(rate)
        return self.encoder.rescaling(self.encoder_parameters, rate)

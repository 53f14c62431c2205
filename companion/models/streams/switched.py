"""q of models with switches: Gaussian latents, and a table of switches at each of their nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from companion.theory.variational import Amortized, Gaussian, Nodes, Variational, binary_states

__all__ = ["Switched"]


@dataclass(frozen=True)
class Switched(Variational):
    """q_n(z, s) = q_n(z) q_n(s | z): Gaussian latents, and a table of switches at each node.

    ``latents`` is the Gaussian q(z), free or from an encoder, with P nodes; ``logits``
    ``(N, P, 2**S)`` are those of q(s | z_np) over all states of S switches, in the order of
    ``variational.binary_states``. Values of the latents are z and s in one row. The entropy is
    H[q(z)] + E_{q(z)} H[q(s | z)].

    >>> from companion import variational
    >>> q = variational.Gaussian(torch.zeros(3, 2).double(), torch.ones(3, 2).double())
    >>> Switched(q, torch.zeros(3, 4, 8)).nodes().z.shape     # two latents, three switches
    torch.Size([3, 32, 5])
    """

    latents: Gaussian | Amortized
    logits: Tensor

    def __post_init__(self) -> None:
        states = self.logits.shape[-1] if self.logits.dim() == 3 else 0
        if states < 2 or states & (states - 1):
            raise ValueError(
                "logits must have shape (N, P, 2**S), a column for each state of S switches: got "
                f"{tuple(self.logits.shape)}"
            )

    @property
    def states(self) -> Tensor:
        """All states of the switches, ``(2**S, S)``."""
        return binary_states(self.logits.shape[-1].bit_length() - 1)

    @property
    def table(self) -> Tensor:
        """q(s | z_np), ``(N, P, 2**S)``."""
        return torch.softmax(self.logits, -1)

    @property
    def averaged(self) -> Tensor:
        """q_n(s) = E_{q_n(z)} q_n(s | z), ``(N, 2**S)``."""
        weights = self._parts()[1]
        return (weights[..., None] * self.table).sum(-2)

    @property
    def parameters(self) -> dict[str, Tensor]:
        return self.latents.parameters | {"switch_logits": self.logits}

    @property
    def can_be_rescaled(self) -> bool:
        return self.latents.can_be_rescaled

    def with_parameters(self, parameters: Mapping[str, Tensor]) -> Self:
        own = dict(parameters)
        logits = own.pop("switch_logits")
        return replace(self, latents=self.latents.with_parameters(own), logits=logits)

    def evaluated(self) -> Switched:
        gaussian = self.latents.evaluated()
        assert isinstance(gaussian, Gaussian)
        return Switched(gaussian, self.logits)

    def _parts(self) -> Nodes:
        z, weights = self.latents.nodes()
        if self.logits.shape[:2] != z.shape[:2]:
            raise ValueError(
                "logits must have a row for each of the nodes of latents, "
                f"{tuple(z.shape[:2])}: got shape {tuple(self.logits.shape)}"
            )
        return Nodes(z, weights)

    def nodes(self) -> Nodes:
        z, weights = self._parts()
        shape = (*self.logits.shape, -1)
        rows = torch.cat([z[:, :, None].expand(shape), self.states.expand(shape)], -1)
        return Nodes(rows.flatten(1, 2), (weights[..., None] * self.table).flatten(1, 2))

    def entropy(self) -> Tensor:
        log_q = torch.log_softmax(self.logits, -1)
        q = log_q.exp()
        given = -torch.where(q == 0, 0.0, q * log_q).sum(-1)
        return self.latents.entropy() + (self._parts()[1] * given).sum(-1)

    def rescaling(self, rate: float | Tensor) -> dict[str, Tensor]:
        still = {"switch_logits": torch.zeros_like(self.logits)}
        return self.latents.rescaling(rate) | still

"""Models whose latents take few values: Bayes' rule is a sum over all of them."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from companion.theory.model import Model, Parameters
from companion.theory.variational import Tabulated

__all__ = ["Enumerated", "normalized"]


class Enumerated(Model):
    """A model with all values of its latents at hand, so that its posterior is a table."""

    @property
    @abstractmethod
    def states(self) -> Tensor:
        """All values of the latents, ``(P, H)``."""

    def posterior(self, parameters: Parameters, x: Tensor) -> Tabulated:
        """The exact posterior p(z | x_n), a table over all states."""
        states = self.states
        return Tabulated(states, torch.log_softmax(self.log_joint(parameters, x, states), -1))

    def log_likelihood(self, parameters: Parameters, x: Tensor) -> Tensor:
        """(1/N) Σ_n log Σ_z p(x_n, z), in nats per data point."""
        return torch.logsumexp(self.log_joint(parameters, x, self.states), -1).mean()


#: e to this power is zero next to 1, but not subnormal: products with those are many times slower.
_LOG_TINY = -500.0


def normalized(log_joint: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """p(z|x) = p(x, z) / Σ_z p(x, z), and log Σ_z p(x, z), from log p(x, z); z along ``dim``.

    The first overwrites ``log_joint``; its entries are at least e⁻⁵⁰⁰.
    """
    largest = log_joint.amax(dim, keepdim=True)
    joint = log_joint.sub_(largest).clamp_(min=_LOG_TINY).exp_()
    marginal = joint.sum(dim, keepdim=True)
    return joint.div_(marginal), (marginal.log() + largest).squeeze(dim)

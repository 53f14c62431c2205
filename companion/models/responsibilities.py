"""Bayes' rule for an enumerated latent, in place and once for both of its results."""

from __future__ import annotations

from torch import Tensor

__all__ = ["normalized"]

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

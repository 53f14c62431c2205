"""Expectations at nodes, and what a factor gives to the entropy sum."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from companion.theory.factor import Factor, Parameters
from companion.theory.nodes import Nodes

__all__ = ["EntropyTerms", "entropy_terms", "expectation"]


def expectation(weights: Tensor, values: Tensor) -> Tensor:
    """(1/N) Σ_n Σ_p w_np f_np, where both may lack the axis n, and f the axis p too."""
    total = (weights * torch.atleast_1d(values)).sum(-1)
    return total.mean() if total.dim() else total


class EntropyTerms(NamedTuple):
    """The expected entropy of a factor, E log h, and the first less the second."""

    entropy: Tensor
    base_measure: Tensor
    excess: Tensor


def entropy_terms(
    factor: Factor, parameters: Parameters, x: Tensor, nodes: Nodes, pseudo: bool
) -> EntropyTerms:
    """A factor's part of the entropy sum; the base measure is zero unless it is asked for.

    Parameters
    ----------
    factor, parameters, x, nodes
        A factor, and where it is evaluated.
    pseudo
        Whether entropies are those relative to the base measure.
    """
    z, weights = nodes
    entropy = expectation(weights, factor.entropy(parameters, z, pseudo))
    if not pseudo or factor.family.constant_base_measure:
        return EntropyTerms(entropy, torch.zeros_like(entropy), entropy)
    base = expectation(weights, factor.log_base_measure(x, z))
    excess = factor.excess(parameters, x, z)
    together = entropy - base if excess is None else expectation(weights, excess)
    return EntropyTerms(entropy, base, together)

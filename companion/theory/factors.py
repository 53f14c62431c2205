"""The identity factor by factor: the lines of its proof, with a number for each side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.support import tree
from companion.theory.elbo import expectation, expected_log_probs
from companion.theory.identity import full_direction
from companion.theory.model import Model, Parameters
from companion.theory.variational import Variational

__all__ = ["FactorIdentity", "factor_identities"]


@dataclass(frozen=True)
class FactorIdentity:
    """One factor's line of the proof: ⟨∇E_q̄[log p_k], v⟩ = E_q̄[log p_k] + H̃[p_k] − E[log h_k].

    ``slope`` is the left side, by automatic differentiation at fixed entropies of q;
    ``cross_entropy`` is −E_q̄[log p_k], ``entropy`` the expected (pseudo-)entropy, ``base_measure``
    E[log h_k], all in nats per data point. The sum over factors is the identity that
    :func:`companion.verify` checks. ``slope`` of the first factor, the prior, includes the slope of
    the mean entropy of q, which is not zero only if the prior is fixed and v therefore rescales q.
    """

    name: str
    cross_entropy: float
    entropy: float
    base_measure: float
    slope: float

    @property
    def gap(self) -> float:
        """The right side, ``entropy`` − ``cross_entropy`` − ``base_measure``."""
        return self.entropy - self.cross_entropy - self.base_measure

    @property
    def residual(self) -> float:
        """|slope − gap|: zero up to round-off."""
        return abs(self.slope - self.gap)


def factor_identities(
    model: Model, parameters: Parameters, q: Variational, x: Any
) -> tuple[FactorIdentity, ...]:
    """Both sides of every factor's line of the proof; the prior first, the observable last.

    Raises
    ------
    ValueError
        For invalid data or parameters, or a model without a gap direction.

    Source: this companion.

    >>> from companion import models, variational
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = models.SigmoidBeliefNet(observed=3, latent=2)
    >>> parameters = model.initial_parameters(generator)
    >>> x = torch.ones(4, 3, dtype=torch.float64)
    >>> q = model.posterior(parameters, x)
    >>> [(f.name, f.residual < 1e-14) for f in factor_identities(model, parameters, q, x)]
    [('prior', True), ('observable', True)]
    """
    data = model.check(parameters, x)
    variables = {k: v.detach() for k, v in tree.merge(parameters, q.parameters).items()}
    v = full_direction(model, parameters, q)
    z, weights = q.nodes()

    def log_probs(merged: Mapping[str, Tensor]) -> dict[str, Tensor]:
        own, of_q = tree.split(merged)
        return expected_log_probs(model, own, q.with_parameters(of_q), data)

    def posterior_entropy(merged: Mapping[str, Tensor]) -> Tensor:
        return q.with_parameters(tree.split(merged)[1]).entropy().mean()

    derivatives = torch.func.jvp(log_probs, (variables,), (v,))
    expected, slopes = derivatives[0], derivatives[1]
    lines = []
    for factor in model.factors:
        entropies = factor.family.pseudo_entropy(factor.natural(parameters, z))
        if entropies.dim() == 0:
            entropies = entropies[None]
        lines.append(
            FactorIdentity(
                name=factor.name,
                cross_entropy=-float(expected[factor.name]),
                entropy=float(expectation(weights, entropies)),
                base_measure=float(expectation(weights, factor.log_base_measure(data, z))),
                slope=float(slopes[factor.name]),
            )
        )
    moved = float(torch.func.jvp(posterior_entropy, (variables,), (v,))[1])
    first = lines[0]
    values = (first.name, first.cross_entropy, first.entropy, first.base_measure)
    return (FactorIdentity(*values, slope=first.slope + moved), *lines[1:])

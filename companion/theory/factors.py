"""The identity factor by factor: the lines of its proof, with a number for each side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.support.checks import all_finite
from companion.support.doors import door
from companion.support.tables import Record
from companion.theory.elbo import expected_log_probs
from companion.theory.identity import full_direction
from companion.theory.model import Model, Parameters
from companion.theory.terms import entropy_terms
from companion.theory.variational import Variational

__all__ = ["FactorIdentities", "FactorIdentity", "factor_identities"]


@dataclass(frozen=True, repr=False)
class FactorIdentity(Record):
    """One factor's line of the proof: ⟨∇E_q̄[log p_k], v⟩ = E_q̄[log p_k] + H̃[p_k] − E[log h_k].

    ``slope`` is the left side, by automatic differentiation at fixed entropies of q;
    ``cross_entropy`` is −E_q̄[log p_k], ``entropy`` the expected (pseudo-)entropy, ``base_measure``
    E[log h_k], ``excess`` the difference of these two, all in nats per data point. The sum over
    factors is the identity that :func:`companion.verify` checks. ``slope`` of the first factor, the
    prior, includes the slope of the mean entropy of q, which is not zero only if the prior is fixed
    and v therefore rescales q.
    """

    name: str
    cross_entropy: float
    entropy: float
    base_measure: float
    excess: float
    slope: float

    @property
    def gap(self) -> float:
        """The right side, ``excess`` − ``cross_entropy``."""
        return self.excess - self.cross_entropy

    @property
    def residual(self) -> float:
        """|slope − gap|: zero up to round-off."""
        return abs(self.slope - self.gap)

    def rows(self) -> list[tuple[str, str | float]]:
        """Label and value of everything, in reading order."""
        names = ("cross_entropy", "entropy", "base_measure", "gap", "slope", "residual")
        return [("factor", self.name), *((n.replace("_", " "), getattr(self, n)) for n in names)]


class FactorIdentities(Record, tuple[FactorIdentity, ...]):
    """The lines of all factors, the prior first, the observable last: a tuple, and a table."""

    @property
    def columns(self) -> list[str]:  # type: ignore[override]
        """Labels of the numbers of a factor."""
        return [label for label, _ in self[0].rows()]

    def rows(self) -> list[list[str | float]]:
        """One row for each factor."""
        return [[value for _, value in line.rows()] for line in self]


@door
def factor_identities(
    model: Model, parameters: Parameters, q: Variational | None, x: Any
) -> FactorIdentities:
    """Both sides of every factor's line of the proof; the prior first, the observable last.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`companion.verify`.

    Raises
    ------
    ValueError
        For invalid data, parameters or q, or a model without a gap direction.

    Source: this companion.

    >>> from companion import models
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = models.SigmoidBeliefNet(observed=3, latent=2)
    >>> parameters = model.initial_parameters(generator)
    >>> lines = factor_identities(model, parameters, None, torch.ones(4, 3, dtype=torch.float64))
    >>> [(line.name, line.residual < 1e-14) for line in lines]
    [('prior', True), ('observable', True)]
    """
    q, data = model.checked(parameters, q, x)
    variables = q.join(parameters)
    v = full_direction(model, *q.split(variables))

    def left(moved: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        own, of_q = q.split(moved)
        seen = of_q.evaluated()
        return expected_log_probs(model, own, seen, data), seen.entropy().mean()

    (expected, _), (slopes, of_entropy) = torch.func.jvp(left, (variables,), (v,))[:2]
    slopes[model.factors[0].name] += of_entropy
    reached = [*expected.values(), *slopes.values()]
    if not all(map(all_finite, reached)):
        raise ValueError(
            "parameters must be where E log p of every factor and its slope are finite: found "
            f"{[float(each) for each in reached]}"
        )
    shared, lines = q.nodes(), []
    for factor in model.factors:
        terms = entropy_terms(factor, parameters, data, factor.nodes(q, shared), pseudo=True)
        lines.append(
            FactorIdentity(
                name=factor.name,
                cross_entropy=-float(expected[factor.name]),
                entropy=float(terms.entropy),
                base_measure=float(terms.base_measure),
                excess=float(terms.excess),
                slope=float(slopes[factor.name]),
            )
        )
    return FactorIdentities(lines)

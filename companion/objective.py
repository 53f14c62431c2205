"""The ELBO as a function of all its variables at once, for optimisers and for its curvature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion import tree
from companion.elbo import elbo
from companion.gap import Verification, verify
from companion.model import GenerativeModel, Parameters
from companion.variational import Variational

__all__ = ["Curvature", "Problem", "curvature"]


@dataclass(frozen=True)
class Problem:
    """The ELBO as a function of one dictionary, or of one vector.

    The variables are the model's parameters and, for a given ``q``, its parameters too (named
    ``q.<name>``). ``q=None`` stands for the exact posterior, which follows the parameters: then the
    ELBO is the log-likelihood.
    """

    model: GenerativeModel
    x: Tensor
    q: Variational | None
    start: dict[str, Tensor]

    @classmethod
    def of(
        cls, model: GenerativeModel, parameters: Parameters, x: Any, q: Variational | None
    ) -> Problem:
        data = model.check(parameters, x)
        start = tree.merge(parameters, q.parameters if q is not None else {})
        return cls(model, data, q, {k: v.detach().clone() for k, v in start.items()})

    def state(self, variables: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Variational]:
        own, of_q = tree.split(variables)
        if self.q is None:
            q: Variational = self.model.posterior(own, self.x)
            return own, q
        return own, self.q.with_parameters(of_q)

    def value(self, variables: Mapping[str, Tensor]) -> Tensor:
        own, q = self.state(variables)
        return elbo(self.model, own, q, self.x)

    def vector_value(self, vector: Tensor) -> Tensor:
        return self.value(tree.unflatten(vector, self.start))

    def verify(self, variables: Mapping[str, Tensor]) -> Verification:
        own, q = self.state(variables)
        return verify(self.model, own, q, self.x)


@dataclass(frozen=True)
class Curvature:
    """Eigenvalues of the ELBO's Hessian, rising, and how many are positive, zero and negative.

    No positive ones at a stationary point: a (local) maximum, up to the flat directions that the
    zeros count. Some: a saddle point.
    """

    eigenvalues: Tensor
    positive: int
    zero: int
    negative: int

    @property
    def kind(self) -> str:
        """What a stationary point with these signs is: "maximum", "saddle" or "minimum"."""
        if self.positive == 0:
            return "maximum"
        return "saddle" if self.negative else "minimum"

    def __str__(self) -> str:
        return f"{self.positive} positive / {self.zero} zero / {self.negative} negative"


def curvature(
    model: GenerativeModel,
    parameters: Parameters,
    x: Any,
    q: Variational | None = None,
    tolerance: float = 1e-9,
) -> Curvature:
    """Signs of the Hessian of the ELBO in all parameters, those of ``q`` included if it is given.

    ``q=None`` stands for the exact posterior. Eigenvalues below ``tolerance`` times the largest in
    absolute value count as zero.

    Raises
    ------
    ValueError
        For invalid data or parameters.
    """
    problem = Problem.of(model, parameters, x, q)
    hessian = torch.func.hessian(problem.vector_value)(tree.flatten(problem.start))
    eigenvalues = torch.linalg.eigvalsh((hessian + hessian.T) / 2)
    limit = tolerance * float(eigenvalues.abs().max())
    positive, negative = int((eigenvalues > limit).sum()), int((eigenvalues < -limit).sum())
    return Curvature(eigenvalues, positive, len(eigenvalues) - positive - negative, negative)

"""The ELBO as a function of all its variables at once, for optimisers and for its curvature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.support import tree
from companion.theory.elbo import elbo
from companion.theory.identity import Verification, check_q, held, verify
from companion.theory.model import Model, Parameters
from companion.theory.variational import Variational

__all__ = ["Curvature", "Problem", "curvature"]


@dataclass(frozen=True)
class Problem:
    """The ELBO as a function of one dictionary, or of one vector.

    The variables are the model's parameters and, for a given ``q``, its parameters too (named
    ``q.<name>``), less those that are held ``fixed``. ``q=None`` stands for the exact posterior,
    which follows the parameters: then the ELBO is the log-likelihood.
    """

    model: Model
    x: Tensor
    q: Variational | None
    start: dict[str, Tensor]
    fixed: dict[str, Tensor]

    @classmethod
    def of(
        cls,
        model: Model,
        parameters: Parameters,
        x: Any,
        q: Variational | None,
        fixed: Iterable[str] = (),
    ) -> Problem:
        data = model.check(parameters, x)
        if q is not None:
            check_q(model, q, len(data))
        merged = tree.merge(parameters, q.parameters if q is not None else {})
        merged = {name: value.detach().clone() for name, value in merged.items()}
        constant = {name: merged.pop(name) for name in held(fixed, merged)}
        if not merged:
            raise ValueError("fixed must leave at least one parameter to learn: got all of them")
        return cls(model, data, q, merged, constant)

    def state(self, variables: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Variational]:
        own, of_q = tree.split(self.fixed | dict(variables))
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
        return verify(self.model, own, q, self.x, fixed=self.fixed)


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
    model: Model,
    parameters: Parameters,
    x: Any,
    q: Variational | None = None,
    tolerance: float = 1e-9,
    fixed: Iterable[str] = (),
) -> Curvature:
    """Signs of the Hessian of the ELBO in all parameters, those of ``q`` included if it is given.

    ``q=None`` stands for the exact posterior; ``fixed`` names parameters to leave out (those of q
    as ``q.<name>``). Eigenvalues below ``tolerance`` times the largest in
    absolute value count as zero.

    Raises
    ------
    ValueError
        For invalid data or parameters.
    """
    problem = Problem.of(model, parameters, x, q, fixed)
    hessian = torch.func.hessian(problem.vector_value)(tree.flatten(problem.start))
    eigenvalues = torch.linalg.eigvalsh((hessian + hessian.T) / 2)
    limit = tolerance * float(eigenvalues.abs().max())
    positive, negative = int((eigenvalues > limit).sum()), int((eigenvalues < -limit).sum())
    return Curvature(eigenvalues, positive, len(eigenvalues) - positive - negative, negative)

"""The ELBO as a function of all its variables at once, for optimisers and for its curvature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.support import tree
from companion.support.blocks import Blocks
from companion.support.doors import Guarded, door
from companion.support.tables import Record
from companion.theory.elbo import expected_elbo, weighted_sum
from companion.theory.identity import Evaluation, Verification, evaluate, held, verification
from companion.theory.model import Model, Parameters
from companion.theory.variational import Nodes, Variational

__all__ = ["Curvature", "Problem", "curvature"]

#: Points for which nodes and their gradient are held at once.
_ROWS = 2**13


@dataclass(frozen=True)
class Problem(Guarded):
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
        q: Variational | None,
        x: Any,
        fixed: Iterable[str] = (),
    ) -> Problem:
        """The problem that starts here, once everything has been found to be valid.

        Parameters
        ----------
        model, parameters, q, x
            As for :func:`companion.verify`, to start from.
        fixed
            Names of variables that keep their values.

        Raises
        ------
        ValueError
            For invalid data, parameters or q, an unknown name, or if nothing is left to learn.
        """
        data = model.check(parameters, x).detach()
        if q is not None:
            model.check_q(q, len(data))
        start = tree.merge(parameters, q.parameters if q is not None else {})
        start = {name: value.detach().clone() for name, value in start.items()}
        constant = {name: start.pop(name) for name in held(fixed, start)}
        if not start:
            raise ValueError("fixed must leave at least one parameter to learn: got all of them")
        return cls(model, data, q, start, constant)

    def state(self, variables: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Variational]:
        """The model's parameters and q, both complete, at these variables."""
        own, of_q = tree.split(self.fixed | dict(variables))
        if self.q is None:
            return own, self.model.posterior(own, self.x)
        return own, self.q.with_parameters(of_q)

    def value(self, variables: Mapping[str, Tensor]) -> Tensor:
        """The ELBO, a scalar in nats per data point."""
        own, q = self.state(variables)
        return expected_elbo(self.model, own, q, self.x)

    def vector_value(self, vector: Tensor) -> Tensor:
        """The ELBO, of the variables as one vector."""
        return self.value(tree.unflatten(vector, self.start))

    def verify(self, variables: Mapping[str, Tensor]) -> Verification:
        """The identity at these variables, which are not checked again."""
        own, q = self.state(variables)
        return verification(self.model, own, q, self.x, fixed=self.fixed)


@dataclass(frozen=True)
class InBlocks:
    """The log-likelihood of data in blocks, with what a fit asks of a :class:`Problem`.

    q is the exact posterior, of one block at a time. There the ELBO is stationary in q, so that
    v's part on q adds nothing to the slope.
    """

    model: Model
    x: Blocks
    start: dict[str, Tensor]

    @classmethod
    def of(cls, model: Model, parameters: Parameters, x: Blocks) -> InBlocks:
        """The problem that starts here; the blocks are looked at when they are read.

        Raises
        ------
        ValueError
            For invalid parameters, or another number of columns.
        """
        model.check_parameters(parameters)
        start = {name: value.detach().clone() for name, value in parameters.items()}
        return cls(model, x.of(model.columns), start)

    def state(self, variables: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], None]:
        """The model's parameters; no q, which would have an entry for every point."""
        return dict(variables), None

    def verify(self, variables: Mapping[str, Tensor]) -> Verification:
        """The identity at these variables: the mean over blocks of all that it is about."""
        whole, points = None, 0
        for x in (part for block in self.x for part in block.split(_ROWS)):
            data = self.model.check_data(x)
            found = evaluate(self.model, variables, self.model.posterior(variables, data), data)
            found = found._replace(gradient={name: found.gradient[name] for name in variables})
            points += len(data)
            whole = whole.toward(found, len(data) / points) if whole else found
        assert whole is not None  # blocks without points are refused where they are read
        return whole.report(self.model.gap_direction(variables))


def summarized(
    model: Model,
    parameters: Parameters,
    bound: Callable[[Parameters], Tensor],
    posterior: Tensor,
    nodes: Nodes,
) -> Evaluation:
    """The identity at the exact posterior, from what that says of all data together.

    There the ELBO is stationary in q, so that v's part on q adds nothing to the slope. For families
    with constant base measures.

    Parameters
    ----------
    model, parameters
        A model and its parameters by name.
    bound
        The ELBO as a function of the parameters, for the q of ``parameters`` or for one that
        follows them: their gradients are the same.
    posterior
        The mean entropy of q, ``()``.
    nodes
        Those of the aggregate posterior, (1/N) Σ_n q_n.

    Raises
    ------
    ValueError
        If a value overflows, or is no number.
    """
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    with torch.enable_grad():
        value = bound(leaves)
    gradient = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
    with torch.no_grad():
        sums = weighted_sum(model, leaves, nodes.z, "auto", posterior, lambda _: nodes)
    return Evaluation(value.detach(), dict(zip(leaves, gradient, strict=True)), sums).finite()


@dataclass(frozen=True, repr=False)
class Curvature(Record):
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

    @property
    def signs(self) -> str:
        """The three numbers in one line."""
        return f"{self.positive} positive / {self.zero} zero / {self.negative} negative"

    def rows(self) -> list[tuple[str, str]]:
        """Kind and signs."""
        return [("stationary point", self.kind), ("eigenvalues of the Hessian", self.signs)]


@door
def curvature(
    model: Model,
    parameters: Parameters,
    q: Variational | None,
    x: Any,
    tolerance: float = 1e-9,
    fixed: Iterable[str] = (),
) -> Curvature:
    """Signs of the Hessian of the ELBO in all parameters, those of ``q`` included if it is given.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`companion.verify`; but with ``q=None`` the posterior follows the parameters.
    tolerance
        Eigenvalues below so many times the largest in absolute value count as zero.
    fixed
        Names of parameters to leave out, those of q as ``q.<name>``.

    Raises
    ------
    ValueError
        For invalid data or parameters, or an unknown name in ``fixed``.

    >>> from companion import models
    >>> model = models.PPCA(observed=2, latent=1)
    >>> x = torch.tensor([[2.0, 1.0], [-2.0, -1.0], [0.5, -1.0], [-0.5, 1.0]], dtype=torch.float64)
    >>> curvature(model, model.maximum_likelihood(x), None, x)
    stationary point            maximum
    eigenvalues of the Hessian  0 positive / 0 zero / 5 negative
    """
    problem = Problem.of(model, parameters, q, x, fixed)
    hessian = torch.func.hessian(problem.vector_value)(tree.flatten(problem.start))
    eigenvalues = torch.linalg.eigvalsh((hessian + hessian.T) / 2)
    limit = tolerance * float(eigenvalues.abs().max())
    positive, negative = int((eigenvalues > limit).sum()), int((eigenvalues < -limit).sum())
    return Curvature(eigenvalues, positive, len(eigenvalues) - positive - negative, negative)

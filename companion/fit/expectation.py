"""EM: the model's step, repeated, with a verification of the identity on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from inspect import signature
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from companion.fit.records import FitResult, Recorder, iterate
from companion.support.blocks import in_blocks
from companion.support.doors import door
from companion.theory.identity import Evaluation, Verification
from companion.theory.model import Model, Parameters
from companion.theory.objective import InBlocks, Problem

__all__ = ["Learnable", "em", "em_map"]

Step = Callable[[Parameters], tuple[Tensor, dict[str, Tensor]]]


@runtime_checkable
class Learnable(Protocol):
    """A model with a step of EM: the log-likelihood before it, and the parameters after it.

    Where variances can have a floor, ``em_map`` takes it as a second argument.
    """

    def em_map(self, x: Any) -> Step: ...


@runtime_checkable
class Summarizing(Protocol):
    """A :data:`Step` that also knows all that the identity is about at the exact posterior.

    From the pass over the data that the step needs, so that logging adds little to it. ``None``
    where that would lose digits: then the identity is verified by nodes and all data.
    """

    def evaluation(self, parameters: Parameters) -> Evaluation | None: ...


@door
def em(
    model: Model,
    parameters: Parameters,
    x: Any,
    *,
    steps: int = 1000,
    tolerance: float | None = 1e-10,
    floor: float = 0.0,
    log_every: int = 1,
) -> FitResult:
    """EM, with the identity verified at every logged step. The ELBO never falls.

    It has no ``fixed``: its M-step finds the best values of all parameters at once. A verification
    shares a pass over the data with the step for a :class:`companion.models.GaussianMixture` and a
    :class:`companion.models.FactorAnalysis`; for other models it costs more time than a step: raise
    ``log_every`` for large data.

    Parameters
    ----------
    model
        One that has ``em_map``: a :class:`companion.models.GaussianMixture`; a
        :class:`companion.models.FamilyMixture` whose M-step has a closed form (or, for gamma
        components, a one-dimensional Newton iteration); a :class:`companion.models.FactorAnalysis`;
        a :class:`companion.models.HiddenMarkov` with such a mixture; a
        :class:`companion.models.LinearDynamical`; or a model of your own.
    parameters, steps, tolerance, log_every
        As for :func:`lbfgs`; the gradient norm is looked at where the identity is verified.
    x
        Data, ``(N, D)``; or, for a :class:`companion.models.GaussianMixture` and a
        :class:`companion.models.FactorAnalysis`, data that do not fit into memory, as
        :class:`companion.datasets.Blocks`, a memory-mapped array or arrays in a list: with the same
        result, but no q.
    floor
        For Gaussian components only: added to all variances in every M-step, as scikit-learn's
        ``reg_covar`` is. Then the fixed point is no stationary point of the ELBO, and the fit stops
        on the change of the parameters instead of the gradient norm.

    Raises
    ------
    ValueError
        For a model or a family without such an M-step (beta, von Mises, Laplace, Student t), a
        floor for other components than Gaussians, invalid data or parameters, or a component that
        dies or collapses.

    >>> import torch
    >>> from companion import datasets, fit, models
    >>> model, x = models.GaussianMixture(4, components=2), datasets.iris()
    >>> end = fit.em(model, model.random_start(x, torch.Generator().manual_seed(0)), x)
    >>> end.converged, abs(end.final.gap) < 1e-8
    (True, True)
    """
    make_step = em_map(model, floor)
    blocks = in_blocks(x)
    if blocks is not None and "em_map" not in model.read_in_blocks:
        raise ValueError(f"x must be in memory for a {type(model).__name__}: got {blocks}")
    problem = (
        Problem.of(model, parameters, q=None, x=x)
        if blocks is None
        else InBlocks.of(model, parameters, blocks)
    )
    step = make_step(problem.x)
    change = float("inf")

    def path() -> Iterator[dict[str, Tensor]]:
        nonlocal change
        current = problem.start
        yield current
        while change > 1e-13:
            updated = step(current)[1]
            # Each block by itself: means far from zero must not hide what the variances do.
            moves = (
                (updated[k] - old).norm() / updated[k].norm().clamp(min=1e-10)
                for k, old in current.items()
            )
            change = max(float(move) for move in moves)
            current = updated
            yield current

    def verify(variables: dict[str, Tensor]) -> Verification:
        found = step.evaluation(variables) if isinstance(step, Summarizing) else None
        return found.report(model.gap_direction(variables)) if found else problem.verify(variables)

    log = Recorder(verify, log_every, None if floor else tolerance)
    state = problem.state(iterate(path(), steps, log))
    if floor:
        return log.result(state, f"EM with floor {floor}", 1e-9, change)
    return log.result(state, "EM", tolerance)


def em_map(model: Model, floor: float = 0.0) -> Callable[[Any], Step]:
    """What makes the step of EM from data, if ``model`` has one; a ``ValueError`` otherwise."""
    if floor < 0:
        raise ValueError(f"floor must be at least 0: got {floor}")
    if not isinstance(model, Learnable):
        raise ValueError(
            "model must have em_map, a step of EM, as mixtures, FactorAnalysis, HiddenMarkov and "
            f"LinearDynamical have: got {type(model).__name__}; learn with fit.lbfgs"
        )
    given = {"floor": floor} if floor else {}
    if not given.keys() <= signature(model.em_map).parameters.keys():
        raise ValueError(
            f"floor must be 0 for a {type(model).__name__}, it is for variances of Gaussian "
            f"components: got {floor}"
        )
    return partial(model.em_map, **given)

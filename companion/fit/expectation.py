"""EM: the model's step, repeated, with a verification of the identity on the way or without."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from companion.fit.records import (
    ConvergenceWarning,
    FitResult,
    Trace,
    Vector,
    counts,
    finish,
    positive,
)
from companion.models import FactorAnalysis, FamilyMixture, GaussianMixture
from companion.support import tree
from companion.theory.model import Parameters
from companion.theory.objective import Problem

__all__ = ["EMRun", "em", "em_steps"]

Learnable = GaussianMixture | FamilyMixture | FactorAnalysis
Step = Callable[[Parameters], tuple[Tensor, dict[str, Tensor]]]


def em(
    model: Learnable,
    parameters: Parameters,
    x: Any,
    *,
    steps: int = 1000,
    tolerance: float = 1e-10,
    floor: float = 0.0,
    log_every: int = 1,
) -> FitResult:
    """EM, with the identity verified at every logged step. The ELBO never falls.

    For :class:`companion.models.GaussianMixture`; for every
    :class:`companion.models.FamilyMixture` whose M-step has a closed form (or, for gamma
    components, a one-dimensional Newton iteration); and for
    :class:`companion.models.FactorAnalysis`. A verification costs more time than a step of EM:
    raise ``log_every`` for large data, or take :func:`em_steps`.

    ``floor``, for Gaussian components only, is added to all variances in every M-step, as
    scikit-learn's ``reg_covar`` is; then the fixed point is no stationary point of the ELBO, and
    the fit stops on the change of the parameters instead of the gradient norm.

    Raises
    ------
    ValueError
        For a family without such an M-step (beta, von Mises, Laplace, Student t), a floor for
        other components than Gaussians, invalid data or parameters, or a component that dies or
        collapses.
    """
    make_step = _step_maker(model, floor)
    counts(steps=steps, log_every=log_every)
    positive(tolerance)
    problem = Problem.of(model, parameters, x, None)
    em_step = make_step(problem.x)
    trace, current, change = Trace(), problem.start, float("inf")
    trace._log(0, problem.verify(current))
    for step in range(1, steps + 1):
        updated = em_step(current)[1]
        change = float(tree.norm(tree.add(updated, current, -1.0)))
        current = updated
        last = change <= 1e-13 * float(tree.norm(current)) or step == steps
        if last or step % log_every == 0:
            trace._log(step, problem.verify(current))
            last = last or (floor == 0 and trace.records[-1].gradient_norm <= tolerance)
        if last:
            break
    own, q = problem.state(current)
    if floor == 0:
        return finish(own, q, trace, tolerance, f"EM ended after {trace.steps[-1]} steps")
    converged = change <= 1e-9 * float(tree.norm(current))
    message = f"EM with floor {floor} ended after {trace.steps[-1]} steps: last change {change:.1e}"
    if not converged:
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return FitResult(own, q, trace, converged, message)


@dataclass(frozen=True)
class EMRun:
    """The end of :func:`em_steps`: parameters, and the log-likelihood on the way.

    ``log_likelihoods`` ``(T,)`` are those per data point *before* each of the T steps, which EM
    computes anyway; the steps' own rises are their differences.
    """

    parameters: dict[str, Tensor]
    log_likelihoods: Vector
    converged: bool

    @property
    def steps(self) -> int:
        """The number of steps taken, T."""
        return len(self.log_likelihoods)


def em_steps(
    model: Learnable,
    parameters: Parameters,
    x: Any,
    *,
    steps: int = 100,
    rise: float | None = None,
    floor: float = 0.0,
) -> EMRun:
    """EM and nothing else: ``steps`` steps, or fewer if the log-likelihood stops rising.

    The same steps as :func:`em` takes, without a verification of the identity, for data so large
    that this matters. With ``rise`` given, EM ends after the first step before which the
    log-likelihood per point had risen by less than this, and warns if there is none: the rule of
    scikit-learn's ``tol``, so that both end at the same parameters. Without it, all steps are
    taken.

    Raises
    ------
    ValueError
        As :func:`em`, or if ``rise`` is not positive.

    >>> import torch
    >>> from companion import datasets, models
    >>> x, model = datasets.iris(), models.GaussianMixture(observed=4, components=2)
    >>> start = model.random_start(x, torch.Generator().manual_seed(0))
    >>> run = em_steps(model, start, x, steps=500, rise=1e-6)
    >>> run.converged, bool((np.diff(run.log_likelihoods) > 0).all())
    (True, True)
    """
    make_step = _step_maker(model, floor)
    counts(steps=steps)
    if rise is not None and not rise > 0:
        raise ValueError(f"rise must be positive, or None for all steps: got {rise}")
    data, current = model.check(parameters, x), dict(parameters)
    em_step, values, converged = make_step(data), [], rise is None
    for _ in range(steps):
        value, current = em_step(current)
        values.append(float(value))
        if rise is not None and len(values) > 1 and abs(values[-1] - values[-2]) < rise:
            converged = True
            break
    if not converged:
        message = f"EM ended after {steps} steps: its last rise was not below {rise}"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return EMRun(current, np.array(values), converged)


def _step_maker(model: Learnable, floor: float) -> Callable[[Tensor], Step]:
    """What makes the step of EM from data, if ``model`` has one; a ``ValueError`` otherwise."""
    if floor < 0:
        raise ValueError(f"floor must be at least 0: got {floor}")
    if isinstance(model, GaussianMixture):
        return partial(model.em_map, floor=floor)
    if not isinstance(model, FamilyMixture | FactorAnalysis):
        raise ValueError(
            "em needs a GaussianMixture, a FamilyMixture or a FactorAnalysis: "
            f"got {type(model).__name__}"
        )
    if floor:
        raise ValueError(
            f"floor must be 0 for a {type(model).__name__}, it is for variances of Gaussian "
            f"components: got {floor}"
        )
    if isinstance(model, FamilyMixture) and not model.family.has_m_step:
        raise ValueError(
            f"em needs a closed-form M-step, which {type(model.family).__name__} lacks: learn with "
            "fit.lbfgs and fit.newton"
        )
    return model.em_map

"""EM for mixtures."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from companion import tree
from companion.fit.records import ConvergenceWarning, FitResult, Trace, counts, finish, positive
from companion.model import Parameters
from companion.models import FamilyMixture, GaussianMixture
from companion.objective import Problem

__all__ = ["em"]


def em(
    model: GaussianMixture | FamilyMixture,
    parameters: Parameters,
    x: Any,
    *,
    steps: int = 1000,
    tolerance: float = 1e-10,
    floor: float = 0.0,
    log_every: int = 1,
) -> FitResult:
    """EM for a mixture: responsibilities, then the model's ``m_step``, in turn.

    For :class:`companion.models.GaussianMixture`, and for every
    :class:`companion.models.FamilyMixture` whose M-step has a closed form (or, for gamma
    components, a one-dimensional Newton iteration). The ELBO never falls.

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
    m_step = _m_step(model, floor)
    counts(steps=steps, log_every=log_every)
    positive(tolerance)
    problem = Problem.of(model, parameters, x, None)
    trace, current, change = Trace(), problem.start, float("inf")
    trace._log(0, problem.verify(current))
    for step in range(1, steps + 1):
        responsibilities = model.posterior(current, problem.x).probabilities
        updated = m_step(responsibilities, problem.x)
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


def _m_step(
    model: GaussianMixture | FamilyMixture, floor: float
) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """The M-step of ``model``, if it has one; a ``ValueError`` otherwise."""
    if floor < 0:
        raise ValueError(f"floor must be at least 0: got {floor}")
    if isinstance(model, GaussianMixture):
        return partial(model.m_step, floor=floor)
    if not isinstance(model, FamilyMixture):
        raise ValueError(
            f"em needs a GaussianMixture or a FamilyMixture: got {type(model).__name__}"
        )
    if floor:
        raise ValueError(f"floor must be 0 for a FamilyMixture, it is for variances: got {floor}")
    if not model.component.exact:
        raise ValueError(
            f"em needs a closed-form M-step, which {type(model.family).__name__} lacks: learn with "
            "fit.lbfgs and fit.newton"
        )
    return model.m_step

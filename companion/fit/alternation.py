"""Learning by turns: a step of q at fixed parameters, then the best parameters for that q."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from companion.fit import ConvergenceWarning, FitResult, Trace
from companion.models import EntropyWeights, SparseCoding
from companion.support import tree
from companion.support.checks import positive_integer
from companion.theory.elbo import expected_log_probs
from companion.theory.identity import verify
from companion.theory.model import Parameters
from companion.theory.variational import Gaussian

__all__ = ["alternate"]

#: From turn to turn the step of W grows by this factor, up to the longest.
_GROWTH, _LONGEST = 1.15, 100.0


def alternate(
    model: SparseCoding,
    parameters: Parameters,
    x: Any,
    q: Gaussian | None = None,
    *,
    steps: int = 100,
    inner_steps: int = 1,
    weights: Sequence[EntropyWeights] = (),
    tolerance: float | None = None,
    log_every: int = 10,
) -> FitResult:
    """Sparse coding by turns: :meth:`SparseCoding.e_step`, then :meth:`SparseCoding.m_step`.

    Each logged step has the best parameters for its q, so that with a learnable prior the ELBO
    equals the entropy sum there, long before learning has converged; columns of W then have length
    one (see :meth:`SparseCoding.normalized`). Between logged steps, W goes further than to its best
    value as long as that pays, since plain turns are slow where noise is small; a turn that lowered
    the ELBO is undone. ``q`` starts from N(0, I), diagonal, unless it is given. For gradient norms
    much below 1e-2, go on with :func:`companion.fit.lbfgs`.

    ``weights`` anneal: the first steps raise the entropy sum with these weights instead (see
    :class:`companion.models.EntropyWeights`), one for each step, the others the ELBO. Since the
    parameters are at their best, the weighted ELBO and the weighted entropy sum then have the same
    gradient in q. Warns only if ``tolerance`` is given and the gradient norm does not reach it.

    Raises
    ------
    ValueError
        For invalid data or parameters, a model other than sparse coding, or more weights than
        steps.

    Source: the entropy objective is that of Velychko et al. (arXiv:2311.01888), who also anneal its
    entropies; the alternating Newton steps are this companion's.
    """
    if not isinstance(model, SparseCoding):
        raise ValueError(f"alternate needs a SparseCoding model: got {type(model).__name__}")
    for name, number in (("steps", steps), ("inner_steps", inner_steps), ("log_every", log_every)):
        positive_integer(number, name)
    if len(weights) > steps:
        raise ValueError(
            f"weights must be for some of the {steps} steps: got {len(weights)} of them"
        )
    if tolerance is not None and not tolerance > 0:
        raise ValueError(f"tolerance must be positive: got {tolerance}")
    data = model.check(parameters, x)
    q = model.prior_q(len(data)) if q is None else q
    current, stretch = tree.scale(parameters, 1.0), 1.0
    best, best_q = current, q
    trace = Trace()
    trace._log(0, verify(model, current, q, data))
    for step in range(1, steps + 1):
        at = weights[step - 1] if step <= len(weights) else EntropyWeights()
        q = model.e_step(current, q, data, at, inner_steps)
        before = _weighted_elbo(model, best, best_q, data, at)
        if stretch > 1 and _weighted_elbo(model, current, q, data, at) < before:
            current, q, stretch = best, best_q, 1.0
        best, best_q = current, q
        if step % log_every == 0 or step == steps:
            end, end_q = model.normalized(model.m_step(current, q, data), q)
            trace._log(step, verify(model, end, end_q, data))
            reached = trace.records[-1].gradient_norm
            if tolerance is not None and reached <= tolerance and step > len(weights):
                break
        stretch = min(_GROWTH * stretch, _LONGEST)
        current, q = model.normalized(model.m_step(current, q, data, stretch), q)
    reached = trace.records[-1].gradient_norm
    message = f"alternation ended after {trace.steps[-1]} steps: gradient norm {reached:.2e}"
    converged = tolerance is None or reached <= tolerance
    if not converged:
        message += f", asked for {tolerance:.1e}"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return FitResult(end, end_q, trace, converged, message)


def _weighted_elbo(
    model: SparseCoding, parameters: Parameters, q: Gaussian, x: Tensor, weights: EntropyWeights
) -> float:
    """The ELBO with its three terms weighted."""
    terms = expected_log_probs(model, parameters, q, x)
    value = weights.posterior * q.entropy().mean()
    return float(value + weights.prior * terms["prior"] + weights.observable * terms["observable"])

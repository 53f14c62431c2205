"""Learning by turns: a step of q at fixed parameters, then the best parameters for that q."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from companion import tree
from companion.checks import positive_integer
from companion.fit import ConvergenceWarning, FitResult, Trace
from companion.gap import verify
from companion.model import Parameters
from companion.models import EntropyWeights, SparseCoding
from companion.variational import Gaussian

__all__ = ["alternate"]


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

    Every turn raises the ELBO and ends with the best parameters for its q, so that with a learnable
    prior the ELBO equals the entropy sum at every logged step, long before learning has converged;
    columns of W then have length one (see :meth:`SparseCoding.normalized`). ``q`` starts from
    N(0, I), diagonal, unless it is given.

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
    current = tree.scale(parameters, 1.0)
    trace = Trace()
    trace._log(0, verify(model, current, q, data))
    for step in range(1, steps + 1):
        at = weights[step - 1] if step <= len(weights) else None
        q = model.e_step(current, q, data, at, inner_steps)
        current, q = model.normalized(model.m_step(current, q, data), q)
        if step % log_every == 0 or step == steps:
            trace._log(step, verify(model, current, q, data))
            reached = trace.records[-1].gradient_norm
            if tolerance is not None and reached <= tolerance and step > len(weights):
                break
    reached = trace.records[-1].gradient_norm
    message = f"alternation ended after {trace.steps[-1]} steps: gradient norm {reached:.2e}"
    converged = tolerance is None or reached <= tolerance
    if not converged:
        message += f", asked for {tolerance:.1e}"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return FitResult(current, q, trace, converged, message)

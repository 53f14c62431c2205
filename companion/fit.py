"""Learning: EM, L-BFGS, Newton and Adam, with the identity checked along the way.

Every function returns a :class:`FitResult`, says how it ended, and warns with
:class:`ConvergenceWarning` if it did not reach the gradient norm that was asked for. Progress goes
to the logger ``companion.fit`` at level INFO.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from companion import tree
from companion.checks import positive_integer
from companion.gap import Verification
from companion.model import Model, Parameters
from companion.models import GaussianMixture
from companion.objective import Problem
from companion.variational import Amortized, Variational, samples

__all__ = ["ConvergenceWarning", "FitResult", "Trace", "adam", "em", "lbfgs", "newton"]

logger = logging.getLogger(__name__)

#: Newton ends at round-off: when this many steps have not halved a gradient norm below 1e-8.
_STALL = 4

Vector = np.ndarray[Any, np.dtype[np.float64]]


class ConvergenceWarning(UserWarning):
    """A fit ended before the gradient norm that was asked for."""


@dataclass(frozen=True)
class Trace:
    """One :class:`companion.Verification` for each logged step of learning."""

    steps: list[int] = field(default_factory=list)
    records: list[Verification] = field(default_factory=list)

    def column(self, name: str) -> Vector:
        """One quantity over the steps, for example ``"elbo"``, ``"entropy_sum"`` or ``"gap"``.

        Raises
        ------
        ValueError
            If a verification has no such number.
        """
        if not all(isinstance(getattr(record, name, None), float) for record in self.records):
            raise ValueError(f"name must be a number of companion.Verification: got {name!r}")
        return np.array([getattr(record, name) for record in self.records], dtype=np.float64)

    def _log(self, step: int, record: Verification) -> None:
        self.steps.append(step)
        self.records.append(record)
        logger.info(
            "step %d: ELBO %.6f, gap %.3e, gradient norm %.3e",
            *(step, record.elbo, record.gap, record.gradient_norm),
        )

    def then(self, later: Trace) -> Trace:
        """This trace continued by ``later``, its steps counted on from here."""
        offset = self.steps[-1] if self.steps else 0
        return Trace(
            self.steps + [offset + step for step in later.steps], self.records + later.records
        )


@dataclass(frozen=True)
class FitResult:
    """Parameters and q at the end, the trace, and how the fit ended."""

    parameters: dict[str, Tensor]
    q: Variational
    trace: Trace
    converged: bool
    message: str

    @property
    def final(self) -> Verification:
        """The identity at the last step."""
        return self.trace.records[-1]

    @property
    def gradient_norm(self) -> float:
        """Norm of the gradient of the ELBO at the end, over model and variational parameters."""
        return self.final.gradient_norm


def _finish(
    parameters: dict[str, Tensor], q: Variational, trace: Trace, tolerance: float, how: str
) -> FitResult:
    reached = trace.records[-1].gradient_norm
    converged = reached <= tolerance
    message = f"{how}: gradient norm {reached:.2e}, asked for {tolerance:.1e}"
    if not converged:
        warnings.warn(message, ConvergenceWarning, stacklevel=3)
    return FitResult(parameters, q, trace, converged, message)


def _tolerance(tolerance: float) -> float:
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive: got {tolerance}")
    return tolerance


def _counts(**numbers: int) -> None:
    for name, value in numbers.items():
        positive_integer(value, name)


def em(
    model: GaussianMixture,
    parameters: Parameters,
    x: Any,
    *,
    steps: int = 1000,
    tolerance: float = 1e-10,
    floor: float = 0.0,
    log_every: int = 1,
) -> FitResult:
    """EM for a mixture: responsibilities, then :meth:`GaussianMixture.m_step`, in turn.

    ``floor`` is added to all variances in every M-step, as scikit-learn's ``reg_covar`` is; then
    the fixed point is no stationary point of the ELBO, and the fit stops on the change of the
    parameters instead of the gradient norm.

    Raises
    ------
    ValueError
        For invalid data or parameters, or a component that dies or collapses.
    """
    if not isinstance(model, GaussianMixture):
        raise ValueError(f"em needs a GaussianMixture: got {type(model).__name__}")
    _counts(steps=steps, log_every=log_every)
    if floor < 0:
        raise ValueError(f"floor must be at least 0: got {floor}")
    _tolerance(tolerance)
    problem = Problem.of(model, parameters, x, None)
    trace, current, change = Trace(), problem.start, float("inf")
    trace._log(0, problem.verify(current))
    for step in range(1, steps + 1):
        responsibilities = model.posterior(current, problem.x).probabilities
        updated = model.m_step(responsibilities, problem.x, floor)
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
        return _finish(own, q, trace, tolerance, f"EM ended after {trace.steps[-1]} steps")
    converged = change <= 1e-9 * float(tree.norm(current))
    message = f"EM with floor {floor} ended after {trace.steps[-1]} steps: last change {change:.1e}"
    if not converged:
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return FitResult(own, q, trace, converged, message)


def lbfgs(
    model: Model,
    parameters: Parameters,
    x: Any,
    q: Variational | None = None,
    *,
    steps: int = 2000,
    tolerance: float = 1e-5,
    log_every: int = 10,
    fixed: Iterable[str] = (),
) -> FitResult:
    """L-BFGS ascent of the ELBO over the model's parameters and those of ``q``.

    ``q=None`` stands for the exact posterior: then the ELBO is the log-likelihood. A line search
    can't see gradients below about 1e-8, the square root of round-off: go on with :func:`newton`.
    ``fixed`` names parameters that keep their values, those of q as ``q.<name>``; they don't count
    in the gradient norm.

    Raises
    ------
    ValueError
        For invalid data or parameters, or an unknown name in ``fixed``.
    """
    _tolerance(tolerance)
    _counts(steps=steps, log_every=log_every)
    problem = Problem.of(model, parameters, x, q, fixed)
    gradient_and_value = torch.func.grad_and_value(problem.vector_value)

    def objective(vector: Vector) -> tuple[float, Vector]:
        gradient, value = gradient_and_value(torch.from_numpy(vector))
        return -float(value), -gradient.numpy()

    trace = Trace()
    trace._log(0, problem.verify(problem.start))
    count = 0

    def callback(vector: Vector) -> None:
        nonlocal count
        count += 1
        if count % log_every == 0:
            variables = tree.unflatten(torch.from_numpy(vector.copy()), problem.start)
            trace._log(count, problem.verify(variables))

    start = tree.flatten(problem.start).numpy()
    options = {"maxiter": steps, "maxfun": 4 * steps, "ftol": 0.0, "gtol": tolerance / 10}
    options["maxcor"] = 20
    end = minimize(
        objective, start, jac=True, method="L-BFGS-B", callback=callback, options=options
    )
    variables = tree.unflatten(torch.from_numpy(end.x), problem.start)
    if not trace.steps or trace.steps[-1] != count or count == 0:
        trace._log(count, problem.verify(variables))
    own, of_q = problem.state(variables)
    return _finish(own, of_q, trace, tolerance, f"L-BFGS ended after {count} steps")


def newton(
    model: Model,
    parameters: Parameters,
    x: Any,
    q: Variational | None = None,
    *,
    steps: int = 50,
    tolerance: float = 1e-12,
    fixed: Iterable[str] = (),
) -> FitResult:
    """Newton steps to a gradient norm at round-off, for up to about 1000 parameters.

    The Hessian's eigenvalues enter by their absolute values, so that a step is uphill; directions
    in which the ELBO is flat (rotations of the latent space, a shift of all logits) are left alone.
    A step is halved until the ELBO does not fall or the gradient norm shrinks.

    Raises
    ------
    ValueError
        For invalid data or parameters, or an unknown name in ``fixed``.
    """
    _tolerance(tolerance)
    _counts(steps=steps)
    problem = Problem.of(model, parameters, x, q, fixed)
    gradient_and_value = torch.func.grad_and_value(problem.vector_value)
    hessian = torch.func.hessian(problem.vector_value)
    vector = tree.flatten(problem.start)
    gradient, value = gradient_and_value(vector)
    trace = Trace()
    trace._log(0, problem.verify(problem.start))
    norms = [float(gradient.norm())]
    for step in range(1, steps + 1):
        stalled = len(norms) > _STALL and min(norms[-_STALL:]) > 0.5 * norms[-_STALL - 1]
        if norms[-1] <= tolerance or (stalled and norms[-1] < 1e-8):
            break
        eigenvalues, vectors = torch.linalg.eigh(hessian(vector))
        curved = eigenvalues.abs() > 1e-9 * eigenvalues.abs().max()
        move = vectors[:, curved] @ ((vectors[:, curved].T @ gradient) / eigenvalues[curved].abs())
        accepted = _backtrack(gradient_and_value, vector, value, gradient, move)
        if accepted is None:
            break
        vector, value, gradient = accepted
        norms.append(float(gradient.norm()))
        trace._log(step, problem.verify(tree.unflatten(vector, problem.start)))
    own, of_q = problem.state(tree.unflatten(vector, problem.start))
    return _finish(own, of_q, trace, tolerance, f"Newton ended after {trace.steps[-1]} steps")


def _backtrack(
    gradient_and_value: Callable[[Tensor], tuple[Tensor, Tensor]],
    vector: Tensor,
    value: Tensor,
    gradient: Tensor,
    move: Tensor,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """The first of the steps 1, 1/2, 1/4, … that improves; ``None`` if round-off is reached."""
    slack = 1e-13 * (1 + abs(float(value)))
    for halvings in range(40):
        trial = vector + 0.5**halvings * move
        trial_gradient, trial_value = gradient_and_value(trial)
        smaller = float(trial_gradient.norm()) < float(gradient.norm())
        higher = float(trial_value) > float(value) + slack
        if higher or (smaller and float(trial_value) >= float(value) - slack):
            return trial, trial_value, trial_gradient
    return None


def adam(
    model: Model,
    parameters: Parameters,
    x: Any,
    q: Variational | None = None,
    *,
    steps: int = 1000,
    learning_rate: float = 1e-2,
    fresh_samples: int | None = None,
    batch_size: int | None = None,
    log_every: int = 50,
    tolerance: float | None = None,
    generator: torch.Generator | None = None,
) -> FitResult:
    """Adam ascent of the ELBO, the learning rate decayed to zero along a cosine.

    With ``fresh_samples``, an amortized ``q`` is integrated with that many new samples per data
    point in every step, on mini-batches of ``batch_size`` points; the trace uses q's own rule on
    all data. Warns only if ``tolerance`` is given and not reached.

    Raises
    ------
    ValueError
        For invalid data or parameters, or mini-batches or fresh samples with a q that is not
        :class:`companion.variational.Amortized`.
    """
    _counts(steps=steps, log_every=log_every)
    if batch_size is not None:
        _counts(batch_size=batch_size)
    if fresh_samples is not None:
        _counts(fresh_samples=fresh_samples)
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be positive: got {learning_rate}")
    problem = Problem.of(model, parameters, x, q)
    stochastic = fresh_samples is not None or batch_size is not None
    if stochastic and not isinstance(q, Amortized):
        raise ValueError(
            "fresh_samples and batch_size need an amortized q, "
            f"variational.Amortized: got {type(q).__name__}"
        )
    variables = {k: v.requires_grad_() for k, v in problem.start.items()}
    optimizer = torch.optim.Adam(list(variables.values()), lr=learning_rate, maximize=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    trace = Trace()

    def detached() -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in variables.items()}

    trace._log(0, problem.verify(detached()))
    for step in range(1, steps + 1):
        current = _batch(problem, fresh_samples, batch_size, generator) if stochastic else problem
        optimizer.zero_grad()
        current.value(variables).backward()
        optimizer.step()
        schedule.step()
        if step % log_every == 0 or step == steps:
            trace._log(step, problem.verify(detached()))
    own, of_q = problem.state(detached())
    how = f"Adam ended after {steps} steps"
    if tolerance is not None:
        return _finish(own, of_q, trace, _tolerance(tolerance), how)
    message = f"{how}: gradient norm {trace.records[-1].gradient_norm:.2e}"
    return FitResult(own, of_q, trace, True, message)


def _batch(
    problem: Problem,
    fresh_samples: int | None,
    batch_size: int | None,
    generator: torch.Generator | None,
) -> Problem:
    q = problem.q
    assert isinstance(q, Amortized)
    x = problem.x
    if batch_size is not None and batch_size < len(x):
        x = x[torch.randperm(len(x), generator=generator)[:batch_size]]
    rule = q.rule
    if fresh_samples is not None:
        rule = samples(len(x), fresh_samples, q.encoder.latent, generator)
    return Problem(problem.model, x, q.on(x, rule), problem.start, problem.fixed)

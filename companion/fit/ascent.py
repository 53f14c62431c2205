"""Ascent of the ELBO along its gradient: L-BFGS, Newton's method and Adam."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from scipy.optimize import minimize
from torch import Tensor

from companion.fit.records import FitResult, Trace, Vector, counts, finish, positive
from companion.support import tree
from companion.theory.model import Model, Parameters
from companion.theory.objective import Problem
from companion.theory.variational import Amortized, Variational, samples

__all__ = ["adam", "lbfgs", "newton"]

#: Newton ends at round-off: when this many steps have not halved a gradient norm below 1e-8.
_STALL = 4


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
    positive(tolerance)
    counts(steps=steps, log_every=log_every)
    problem = Problem.of(model, parameters, q, x, fixed)
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
    return finish(own, of_q, trace, tolerance, f"L-BFGS ended after {count} steps")


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
    positive(tolerance)
    counts(steps=steps)
    problem = Problem.of(model, parameters, q, x, fixed)
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
    return finish(own, of_q, trace, tolerance, f"Newton ended after {trace.steps[-1]} steps")


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
        :class:`companion.theory.variational.Amortized`.
    """
    counts(steps=steps, log_every=log_every)
    if batch_size is not None:
        counts(batch_size=batch_size)
    if fresh_samples is not None:
        counts(fresh_samples=fresh_samples)
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be positive: got {learning_rate}")
    problem = Problem.of(model, parameters, q, x)
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
        return finish(own, of_q, trace, positive(tolerance), how)
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

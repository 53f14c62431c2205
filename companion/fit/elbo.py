"""The ELBO as the objective: L-BFGS, Newton's method and Adam of :mod:`companion.fit.maximise`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from companion.fit import maximise
from companion.fit.records import FitResult, Recorder
from companion.support.checks import positive_integer
from companion.support.doors import door
from companion.theory.model import Model, Parameters
from companion.theory.objective import Problem
from companion.theory.variational import Amortized, Variational, samples

__all__ = ["adam", "lbfgs", "newton"]


@door
def lbfgs(
    model: Model,
    parameters: Parameters,
    q: Variational | None,
    x: Any,
    *,
    steps: int = 2000,
    tolerance: float | None = 1e-5,
    log_every: int = 10,
    fixed: Iterable[str] = (),
) -> FitResult:
    """L-BFGS ascent of the ELBO over the model's parameters and those of ``q``.

    A line search can't see gradients below about 1e-8, the square root of round-off: go on with
    :func:`newton`.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`companion.verify`; ``q=None`` stands for the exact posterior, with which the
        ELBO is the log-likelihood.
    steps
        At most so many.
    tolerance
        The gradient norm to reach; ``None``: none, only the steps end the fit.
    log_every
        The identity is verified at the start, at every so many steps, and at the end.
    fixed
        Names of parameters that keep their values, those of q as ``q.<name>``; they don't count in
        the gradient norm.

    Raises
    ------
    ValueError
        For invalid data or parameters, an unknown name in ``fixed``, or a number that is not
        positive.

    >>> from companion import datasets, fit, models
    >>> model, x = models.PPCA(observed=4, latent=1), datasets.iris(standardize=True)
    >>> start = model.initial_parameters(torch.Generator().manual_seed(0))
    >>> end = fit.lbfgs(model, start, None, x)
    >>> end.converged, abs(end.final.elbo - end.final.entropy_sum) < 1e-4
    (True, True)
    """
    problem = Problem.of(model, parameters, q=q, x=x, fixed=fixed)
    log = Recorder(problem.verify, log_every)
    end = maximise.lbfgs(problem.value, problem.start, steps=steps, tolerance=tolerance, log=log)
    return log.result(problem.state(end), "L-BFGS", tolerance)


@door
def newton(
    model: Model,
    parameters: Parameters,
    q: Variational | None,
    x: Any,
    *,
    steps: int = 50,
    tolerance: float | None = 1e-12,
    log_every: int = 1,
    fixed: Iterable[str] = (),
) -> FitResult:
    """Newton steps to a gradient norm at round-off, for up to about 1000 parameters.

    Steps are uphill, and leave alone the directions in which the ELBO is flat: see
    :func:`companion.fit.maximise.newton`.

    Parameters
    ----------
    model, parameters, q, x, steps, tolerance, log_every, fixed
        As for :func:`lbfgs`.

    Raises
    ------
    ValueError
        As :func:`lbfgs`.

    >>> from companion import datasets, fit, models
    >>> model, x = models.PPCA(observed=4, latent=1), datasets.iris(standardize=True)
    >>> start = model.initial_parameters(torch.Generator().manual_seed(0))
    >>> start = fit.lbfgs(model, start, None, x)
    >>> end = fit.newton(model, start.parameters, None, x)
    >>> end.final.gradient_norm < 1e-10, abs(end.final.gap) < 1e-10
    (True, True)
    """
    problem = Problem.of(model, parameters, q=q, x=x, fixed=fixed)
    log = Recorder(problem.verify, log_every)
    end = maximise.newton(problem.value, problem.start, steps=steps, tolerance=tolerance, log=log)
    return log.result(problem.state(end), "Newton", tolerance)


@door
def adam(
    model: Model,
    parameters: Parameters,
    q: Variational | None,
    x: Any,
    *,
    steps: int = 1000,
    learning_rate: float = 1e-2,
    fresh_samples: int | None = None,
    batch_size: int | None = None,
    tolerance: float | None = None,
    log_every: int = 50,
    fixed: Iterable[str] = (),
    generator: torch.Generator | None = None,
) -> FitResult:
    """Adam ascent of the ELBO, the learning rate decayed to zero along a cosine.

    Parameters
    ----------
    model, parameters, q, x, steps, tolerance, log_every, fixed
        As for :func:`lbfgs`; the gradient norm is looked at where the identity is verified, by q's
        own rule on all data.
    learning_rate
        That of the first step.
    fresh_samples
        How many new samples per data point an amortized ``q`` is integrated with in every step;
        ``None``: by its own rule.
    batch_size
        How many data points, drawn anew, each step sees with an amortized ``q``; ``None``: all.
    generator
        Draws samples and batches.

    Raises
    ------
    ValueError
        As :func:`lbfgs`, or for mini-batches or fresh samples with a q that is not
        :class:`companion.theory.variational.Amortized`.

    >>> from companion import datasets, fit, models
    >>> model, x = models.PPCA(observed=4, latent=1), datasets.iris(standardize=True)
    >>> start = model.initial_parameters(torch.Generator().manual_seed(0))
    >>> end = fit.adam(model, start, None, x, steps=300, learning_rate=0.1)
    >>> abs(end.final.gap) < 0.1, end.trace.steps[-1]
    (True, 300)
    """
    problem = Problem.of(model, parameters, q=q, x=x, fixed=fixed)
    for name, value in (("batch_size", batch_size), ("fresh_samples", fresh_samples)):
        if value is not None:
            positive_integer(value, name)
            if not isinstance(q, Amortized):
                raise ValueError(
                    "fresh_samples and batch_size need an amortized q, "
                    f"variational.Amortized: got {type(q).__name__}"
                )

    def objective(variables: Mapping[str, Tensor]) -> Tensor:
        if not isinstance(q, Amortized) or (fresh_samples is None and batch_size is None):
            return problem.value(variables)
        seen, rule = problem.x, q.rule
        if batch_size is not None and batch_size < len(seen):
            seen = seen[torch.randperm(len(seen), generator=generator)[:batch_size]]
        if fresh_samples is not None:
            rule = samples(len(seen), fresh_samples, q.encoder.latent, generator)
        return replace(problem, x=seen, q=q.on(seen, rule)).value(variables)

    log = Recorder(problem.verify, log_every, tolerance)
    end = maximise.adam(objective, problem.start, steps=steps, learning_rate=learning_rate, log=log)
    return log.result(problem.state(end), "Adam", tolerance)

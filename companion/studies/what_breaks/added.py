"""Objectives that are not the ELBO: weight decay, and what scikit-learn adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from companion.models.from_sklearn import from_sklearn
from companion.studies.what_breaks.record import Counterexample, climb
from companion.theory.explain import explain_gap
from companion.theory.identity import verify
from companion.theory.model import Model, Parameters
from companion.theory.objective import Problem
from companion.theory.variational import Variational

__all__ = ["biased_mixture", "decay", "unbiased_pca"]


def decay(
    case: str, model: Model, parameters: Parameters, q: Variational | None, x: Tensor, rate: float
) -> Counterexample:
    """Learned with weight decay: a stationary point of ELBO − (λ/2)‖θ‖², λ = ``rate``.

    As in most optimisers, θ is everything that is learned, biases and the parameters of q too. The
    gap is λ⟨θ, v⟩.

    Parameters
    ----------
    case
        Its name in the table.
    model, parameters, q, x
        Where learning starts, as for :func:`companion.fit.lbfgs`; ``q=None`` stands for the exact
        posterior, which has no parameters.
    rate
        λ, at least 0.
    """
    problem = Problem.of(model, parameters, q, x)

    def objective(variables: Mapping[str, Tensor]) -> Tensor:
        squares = torch.stack([(value**2).sum() for value in variables.values()])
        return problem.value(variables) - 0.5 * rate * squares.sum()

    end, norm = climb(objective, problem.start)
    own, moved = problem.state(end)
    parts = explain_gap(model, own, moved, x, weight_decay=rate, decayed=list(end))
    return Counterexample(case, parts.gap, parts.weight_decay, norm)


def biased_mixture(case: str, estimator: Any, x: Tensor) -> Counterexample:
    """A fitted scikit-learn ``GaussianMixture``, whose ``reg_covar`` e was added to all variances.

    At the fixed point of its EM the gap is (e/2) Σ_c q̄_c tr Σ_c⁻¹. The gradient is the ELBO's.
    """
    model, parameters = from_sklearn(estimator)
    q = model.posterior(parameters, x)
    report = verify(model, parameters, q, x)
    precisions = torch.from_numpy(estimator.precisions_)
    traces = precisions.diagonal(dim1=-2, dim2=-1).sum(-1)
    predicted = estimator.reg_covar / 2 * float(q.nodes().weights.mean(0) @ traces)
    return Counterexample(case, report.gap, predicted, report.gradient_norm)


def unbiased_pca(case: str, estimator: Any, x: Tensor) -> Counterexample:
    """A fitted scikit-learn ``PCA``, which divides by N − 1: the gap is D/(2N)."""
    model, parameters = from_sklearn(estimator)
    report = verify(model, parameters, model.posterior(parameters, x), x)
    points, size = x.shape
    return Counterexample(case, report.gap, size / (2 * points), report.gradient_norm)

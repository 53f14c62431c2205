"""Learning by turns: a step of q at fixed parameters, then the best parameters for that q."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any

from torch import Tensor

from companion.fit.records import End, FitResult, Recorder, iterate
from companion.models import EntropyWeights, SparseCoding
from companion.support import tree
from companion.support.checks import positive_integer
from companion.support.doors import door
from companion.theory.elbo import expected_log_probs
from companion.theory.identity import Verification
from companion.theory.model import Parameters
from companion.theory.objective import Problem
from companion.theory.variational import Gaussian

__all__ = ["alternate"]

#: From turn to turn the step of W grows by this factor, up to the longest.
_GROWTH, _LONGEST = 1.15, 100.0


@door
def alternate(
    model: SparseCoding,
    parameters: Parameters,
    q: Gaussian | None,
    x: Any,
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
    the ELBO is undone. It has no ``fixed``: a turn finds the best values of all parameters at once.
    For gradient norms much below 1e-2, go on with :func:`companion.fit.lbfgs`.

    Parameters
    ----------
    model, parameters, q, x
        Sparse coding with a free Gaussian q, for example ``model.prior_q(len(x))``.
    steps, tolerance, log_every
        As for :func:`companion.fit.lbfgs`; the gradient norm is looked at where the identity is
        verified, once all weights are one.
    inner_steps
        Newton steps of q in every turn.
    weights
        They anneal: the first steps raise the entropy sum with these weights instead (see
        :class:`companion.models.EntropyWeights`), one for each step, the others the ELBO. Since the
        parameters are at their best, the weighted ELBO and the weighted entropy sum then have the
        same gradient in q.

    Raises
    ------
    ValueError
        For invalid data or parameters, a model other than sparse coding, ``q=None`` (there is no
        exact posterior), or more weights than steps.

    Source: the entropy objective is that of Velychko et al. (arXiv:2311.01888), who also anneal its
    entropies; the alternating Newton steps are this companion's.
    """
    positive_integer(inner_steps, "inner_steps")
    if len(weights) > steps:
        raise ValueError(
            f"weights must be for some of the {steps} steps: got {len(weights)} of them"
        )
    problem = Problem.of(model, parameters, q=q, x=x)
    start: End = problem.state(problem.start)
    data = problem.x

    def turns() -> Iterator[End]:
        (current, q), stretch = start, 1.0
        best = start
        yield best
        for at in chain(weights, repeat(EntropyWeights())):
            q = model.e_step(current, q, data, at, inner_steps)
            before = _weighted_elbo(model, *best, data, at)
            if stretch > 1 and _weighted_elbo(model, current, q, data, at) < before:
                (current, q), stretch = best, 1.0
            best = current, q
            yield best
            stretch = min(_GROWTH * stretch, _LONGEST)
            current, q = model.normalized(model.m_step(current, q, data, stretch=stretch), q)

    def settled(end: End) -> End:
        return end if end is start else model.normalized(model.m_step(*end, data), end[1])

    def verified(end: End) -> Verification:
        current, q = settled(end)
        return problem.verify(tree.merge(current, q.parameters))

    log = Recorder(verified, log_every, tolerance)
    last = iterate(turns(), steps, lambda step, end: log(step, end) and step > len(weights))
    return log.result(settled(last), "alternation", tolerance)


def _weighted_elbo(
    model: SparseCoding, parameters: Parameters, q: Gaussian, x: Tensor, weights: EntropyWeights
) -> float:
    """The ELBO with its three terms weighted."""
    terms = expected_log_probs(model, parameters, q, x)
    value = weights.posterior * q.entropy().mean()
    return float(value + weights.prior * terms["prior"] + weights.observable * terms["observable"])

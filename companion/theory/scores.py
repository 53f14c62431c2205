"""The parameterization criterion in the form of scores: a log density and an entropy suffice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.distributions import Distribution

from companion.support.doors import door
from companion.theory.criterion import Criterion, outcome
from companion.theory.equations import chosen_from
from companion.theory.solvers import Stacked, dense

__all__ = ["check_distribution", "check_score_criterion"]

#: A misfit that any smooth function has, on points that hardly differ.
ANYTHING = 1e-4

#: A number for each row of points, from parameters and points.
Scores = Callable[[Mapping[str, Tensor], Tensor], Tensor]


@door
def check_score_criterion(
    log_prob: Scores,
    entropy: Scores,
    parameters: Mapping[str, Tensor],
    points: Tensor,
    subset: Iterable[str] | None = None,
    log_base_measure: Callable[[Tensor], Tensor] | None = None,
) -> Criterion:
    """Does log(p(x|z)/g(x)) + H̃[p(·|z)] = ⟨∇_θ log p(x|z), v⟩ hold for all x, z with one v?

    The criterion in the form of scores: it asks for no natural parameters, so that it can also be
    put to densities that are not exponential families, and to over-complete statistics without a
    gauge. For minimal exponential families it says the same as :func:`check_criterion`. The left
    side is the derivative, at t = 1, of the log of the tempered density pᵗg¹⁻ᵗ/Z_t.

    Least squares with the whole Jacobian on half of the points, judged on the other half. If the
    square of the left side could be had from the scores as well, the points hardly differ and the
    verdict is "undecided".

    Parameters
    ----------
    log_prob
        A torch function ``(parameters, points) → log p``, ``(P,)``, base measure included, each
        entry a function of the same row of points.
    entropy
        ``(parameters, points) → H̃``, ``(P,)`` or a scalar: −E[log(p/g)], which is the entropy if
        the base measure is constant.
    parameters
        The point at which to check, float64. Take random parameters, not zeros.
    points
        Rows that hold x, or x and z side by side, ``(P, K)``; take both at random, at least a few
        more than twice as many as there are parameters, and none at a kink of the density.
    subset
        Names of the parameters that v may use; all by default.
    log_base_measure
        ``points → log g``, ``(P,)``; zero by default.

    Raises
    ------
    ValueError
        For an unknown name in ``subset``, an empty one, fewer than two points, log densities of
        another shape, dtype other than float64, or values that are not finite.

    Source: this companion.

    >>> from companion.families import Laplace
    >>> family, one = Laplace(), torch.ones(1, dtype=torch.float64)
    >>> def density(p, x):
    ...     return family.log_prob(x, family.parameters(p["location"], p["log_scale"].exp()))
    >>> def entropy(p, x):
    ...     return family.entropy(family.parameters(p["location"], p["log_scale"].exp()))
    >>> x = torch.randn(20, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> p = {"location": 0.1 * one, "log_scale": 0.3 * one}
    >>> found = check_score_criterion(density, entropy, p, x)
    >>> found.verdict, float(found.direction["log_scale"].round(decimals=9))
    ('pass', -1.0)
    """
    chosen, points = chosen_from(parameters, subset), points.detach()
    points = torch.as_tensor(points)
    if points.dim() != 2 or len(points) < 2:
        raise ValueError(
            f"points must have shape (P, K) with at least two rows: got {tuple(points.shape)}"
        )
    half = len(points) // 2

    def side(rows: Tensor) -> tuple[Stacked, Tensor]:
        def density(moved: Mapping[str, Tensor]) -> Tensor:
            return log_prob(dict(parameters) | dict(moved), rows)

        value = density(chosen)
        if value.shape != (len(rows),):
            raise ValueError(
                f"log_prob must return one number for each point, ({len(rows)},): "
                f"got shape {tuple(value.shape)}"
            )
        base = 0.0 if log_base_measure is None else log_base_measure(rows)
        target = (value - base + entropy(dict(parameters), rows)).detach()
        if target.shape != value.shape:
            raise ValueError(
                f"entropy and log_base_measure must return one number for each point or a scalar: "
                f"got a sum of shape {tuple(target.shape)} for {len(rows)} points"
            )
        if not bool(torch.isfinite(target).all()):
            raise ValueError("log_prob and entropy must be finite: found NaN or infinity")
        return density, target

    (train, target), (test, test_target) = side(points[:half]), side(points[half:])
    found = dense(train, test, chosen, target, test_target)
    # Its square is no combination of scores, whose means are zero: it fits where any function does.
    other = dense(train, test, chosen, target.square(), test_target.square())
    proven = other.held_out > ANYTHING or not bool(target.any())
    return outcome(found, parameters, tuple(chosen), half, found.rank >= half, proven)


@door
def check_distribution(
    distribution: Callable[[Mapping[str, Tensor]], Distribution],
    parameters: Mapping[str, Tensor],
    points: Tensor,
    subset: Iterable[str] | None = None,
) -> Criterion:
    """:func:`check_score_criterion` for one-dimensional densities of :mod:`torch.distributions`.

    Parameters
    ----------
    distribution
        ``parameters → distribution``, with an ``entropy`` in closed form; give it
        ``validate_args=False``, as its arguments are traced.
    parameters, subset
        As for :func:`check_score_criterion`.
    points
        Values x, ``(P,)``.

    Raises
    ------
    ValueError
        For points of another shape, and as :func:`check_score_criterion`.

    Source: this companion.

    >>> from torch.distributions import Normal
    >>> p = {"mean": torch.tensor(0.3).double(), "log_std": torch.tensor(0.1).double()}
    >>> x = torch.randn(20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> check_distribution(lambda p: Normal(p["mean"], p["log_std"].exp(), False), p, x).verdict
    'pass'
    """
    if points.dim() != 1:
        raise ValueError(f"points must have shape (P,): got {tuple(points.shape)}")
    return check_score_criterion(
        lambda p, x: distribution(p).log_prob(x[:, 0]),
        lambda p, x: distribution(p).entropy(),
        parameters,
        points[:, None],
        subset,
    )

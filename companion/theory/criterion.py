"""The parameterization criterion: is there a direction β with η(z) = ∂η(z)/∂θ β for every z?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, Literal

import torch
from torch import Tensor

from companion.support.checks import as_data
from companion.support.doors import door
from companion.support.tables import Record
from companion.theory.equations import Natural, chosen_from, stacked, widened
from companion.theory.solvers import (
    Found,
    Stacked,
    dense,
    from_dictionary,
    iterative,
)

__all__ = ["Criterion", "check_criterion", "sufficient_subsets"]

Verdict = Literal["pass", "fail", "undecided"]

TOLERANCE = 1e-8
#: A misfit on wider nodes that is no round-off, though they stretch over many orders of magnitude.
REFUTED = 1e-5
_MORE = 12
_LARGEST_JACOBIAN = 20_000_000


@dataclass(frozen=True, repr=False)
class Criterion(Record):
    """Outcome of the check.

    ``residual`` is the relative error ‖Jβ − η‖/‖η‖ on nodes that were not used to find β;
    ``training_residual`` the same on those that were. ``direction`` holds β by parameter, zero
    outside the subset. ``beyond`` is the relative error on nodes far wider than those given, with
    a direction of their own: where the given ones hardly differ, every smooth function seems to
    pass. It is ``None`` where none was needed or possible.

    ``verdict`` is "pass", "fail", or "undecided": if the equations have as many independent columns
    as rows, so that a fit proves nothing and a misfit might be numerical; if only the iterative
    method was left (see :func:`check_criterion`) and did not converge; or if there is a direction
    on the given nodes and none on wider ones. Then ``direction`` serves the given nodes only.

    >>> b = torch.tensor([0.3, 0.2], dtype=torch.float64)
    >>> check_criterion(lambda p: p["b"], {"b": b}, None).direction["b"].round(decimals=9)
    tensor([0.3000, 0.2000], dtype=torch.float64)
    """

    verdict: Verdict
    residual: float
    training_residual: float
    rank: int
    equations: int
    subset: tuple[str, ...]
    direction: dict[str, Tensor]
    method: str = "dense"
    beyond: float | None = None

    def rows(self) -> list[tuple[str, str | float]]:
        """Label and value of everything but the direction, in reading order."""
        return [
            ("verdict", self.verdict),
            ("relative residual on held-out nodes", self.residual),
            ("relative residual on the others", self.training_residual),
            *([] if self.beyond is None else [("relative residual on wider nodes", self.beyond)]),
            ("rank", f"{self.rank} of {self.equations} equations"),
            ("parameters", ", ".join(self.subset)),
            ("method", self.method),
        ]


@door
def check_criterion(
    natural_parameters: Natural,
    parameters: Mapping[str, Tensor],
    nodes: Tensor | None = None,
    subset: Iterable[str] | None = None,
    gauge: Tensor | None = None,
    complete: bool = False,
) -> Criterion:
    """Does η(z; Θ) = (∂η(z; Θ)/∂θᵀ) β hold for all z with one β, and which?

    Solves the equations by least squares on half of the nodes and judges them on the other half.
    Small problems use the whole Jacobian. Large ones (more than 2e7 entries) first try the span of
    θ_k and 1_k over all tensors k, then each tensor that is small enough, then the iterative LSMR;
    as this one may converge slowly, it never says "fail". A direction that was found is sought
    again on wider nodes, up to a hundred times, since it proves little where η hardly varies.

    Parameters
    ----------
    natural_parameters
        A torch function ``(parameters, z) → η`` with z ``(P, H)`` and η ``(P, L)``, each row of η
        a function of the same row of z; or, for a prior (``nodes=None``),
        ``parameters → η``, ``(L,)``.
    parameters
        The point Θ at which to check, float64. Take random parameters, not zeros.
    nodes
        Latent values z, ``(P, H)``; take them at random, at least a few more than twice
        (number of parameters)/L, and as different as z can be.
    subset
        Names of the parameters θ that β may use; all by default.
    gauge
        Directions ``(G, L)`` along which η can move without changing the distribution, for
        over-complete statistics: ``torch.ones(1, C)`` for a categorical variable.
    complete
        Whether ``nodes`` are all values that z can take, as for a discrete latent: then all of them
        are used, and no others.

    Raises
    ------
    ValueError
        For an unknown name in ``subset``, an empty one, fewer than two nodes, natural parameters of
        another shape, dtype other than float64, or values that are not finite; if
        ``natural_parameters`` draws random numbers or changes something in place.

    Source: Lücke & Warnken (arXiv:2209.03077), parameterization criterion; the numerical test is
    this companion's.

    >>> W = torch.tensor([[1.0, 2.0], [0.5, -1.0]], dtype=torch.float64)
    >>> b = torch.tensor([0.3, 0.2], dtype=torch.float64)
    >>> z = torch.randn(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> check_criterion(lambda p, z: z @ p["W"].T + p["b"], {"W": W, "b": b}, z).verdict
    'pass'
    >>> check_criterion(lambda p, z: z @ W.T + p["b"], {"b": b}, z).verdict
    'fail'
    """
    chosen = chosen_from(parameters, subset)
    points = None if nodes is None else _points(nodes, complete)
    equations = partial(stacked, natural_parameters, parameters, gauge=gauge)
    whole = points is None or complete
    half = 0 if whole or points is None else len(points) // 2
    train = equations(points if points is None or whole else points[:half])
    test = train if points is None or whole else equations(points[half:])
    try:
        target = train(chosen)
        if not bool(torch.isfinite(target).all()):
            raise ValueError("natural_parameters must be finite: found NaN or infinity")
        unknowns = sum(value.numel() for value in chosen.values())
        small = unknowns * len(target) <= _LARGEST_JACOBIAN
        if small:
            found, method = dense(train, test, chosen), "dense"
        else:
            found, method = _at_scale(train, test, chosen, len(target))
    except RuntimeError as error:
        raise ValueError(
            "natural_parameters must be a function of its arguments that torch can differentiate, "
            "without random numbers and changes in place (batch norm and dropout in evaluation "
            f"mode): {str(error).splitlines()[0]}"
        ) from error
    beyond = None
    seen = small or method == "dictionary"
    if not whole and points is not None and found.held_out <= TOLERANCE and seen:
        count = max(len(points), 2 * unknowns * half // len(target) + _MORE if small else 0)
        with suppress(IndexError, RuntimeError, ValueError):  # A z that is not in its domain.
            wide = widened(natural_parameters, parameters, points, count)
            near, far = (equations(part) for part in wide.tensor_split(2))
            beyond = _beyond(near, far, chosen, small)
    open_end = method == "iterative" or (not whole and found.rank >= len(target))
    names = tuple(chosen)
    proven = beyond is None or beyond <= REFUTED
    return outcome(found, parameters, names, len(target), open_end, proven, method, beyond)


def _beyond(
    train: Stacked, test: Stacked, chosen: Mapping[str, Tensor], small: bool
) -> float | None:
    """The misfit with a direction of its own; ``None`` if any values would have one."""
    found = (dense if small else from_dictionary)(train, test, chosen)
    open_end = small and found.rank >= len(train(chosen))
    return None if open_end or not math.isfinite(found.held_out) else found.held_out


def _points(nodes: Any, complete: bool) -> Tensor:
    shape = tuple(torch.as_tensor(nodes).shape)
    if len(shape) != 2 or shape[0] < 2 - complete:
        raise ValueError(f"nodes must have shape (P, H) with at least two rows: got {shape}")
    return as_data(nodes, "nodes")


def outcome(
    found: Found,
    parameters: Mapping[str, Tensor],
    names: tuple[str, ...],
    equations: int,
    open_end: bool,
    proven: bool,
    method: str = "dense",
    beyond: float | None = None,
) -> Criterion:
    """The record of what was found: a misfit is "undecided" if ``open_end``.

    A direction is "undecided" unless ``proven``: if other functions would have had one as well.
    """
    otherwise: Verdict = "undecided" if open_end else "fail"
    passed: Verdict = "pass" if proven else "undecided"
    verdict: Verdict = passed if found.held_out <= TOLERANCE else otherwise
    zeros = {name: torch.zeros_like(value) for name, value in parameters.items()}
    direction, residuals = zeros | found.direction, (found.held_out, found.training)
    return Criterion(verdict, *residuals, found.rank, equations, names, direction, method, beyond)


@door
def sufficient_subsets(
    natural_parameters: Natural,
    parameters: Mapping[str, Tensor],
    nodes: Tensor | None = None,
    gauge: Tensor | None = None,
    largest: int = 3,
    complete: bool = False,
) -> list[Criterion]:
    """All minimal sets of parameters that satisfy the criterion alone.

    Parameters
    ----------
    natural_parameters, parameters, nodes, gauge, complete
        As for :func:`check_criterion`, with what it raises.
    largest
        Sets of more parameters than this are not tried.
    """
    found: list[Criterion] = []
    for size in range(1, min(largest, len(parameters)) + 1):
        for names in combinations(parameters, size):
            if any(set(known.subset) <= set(names) for known in found):
                continue
            result = check_criterion(natural_parameters, parameters, nodes, names, gauge, complete)
            if result.verdict == "pass":
                found.append(result)
    return found


def _at_scale(
    train: Stacked, test: Stacked, chosen: Mapping[str, Tensor], equations: int
) -> tuple[Found, str]:
    """Dictionary, then the whole Jacobian of each tensor that is small enough, then LSMR."""
    found = from_dictionary(train, test, chosen)
    if found.held_out <= TOLERANCE:
        return found, "dictionary"
    for name, value in chosen.items():
        if value.numel() * equations <= _LARGEST_JACOBIAN:
            found = dense(train, test, {name: value})
            if found.held_out <= TOLERANCE:
                return found, "dense"
    return iterative(train, test, chosen), "iterative"

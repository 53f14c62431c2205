"""The parameterization criterion: is there a direction β with η(z) = ∂η(z)/∂θ β for every z?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from companion.support import tree
from companion.support.checks import as_names
from companion.support.tables import Record
from companion.theory.solvers import Found, Stacked, from_dictionary, iterative, misfit, solve

__all__ = ["Criterion", "check_criterion", "sufficient_subsets"]

Verdict = Literal["pass", "fail", "undecided"]
Natural = Callable[..., Tensor]

TOLERANCE = 1e-8
_LARGEST_JACOBIAN = 20_000_000


@dataclass(frozen=True, repr=False)
class Criterion(Record):
    """Outcome of the check.

    ``residual`` is the relative error ‖Jβ − η‖/‖η‖ on nodes that were not used to find β;
    ``training_residual`` the same on those that were. ``direction`` holds β by parameter, zero
    outside the subset. ``verdict`` is "pass", "fail", or "undecided" if the equations have as many
    independent columns as rows, so that a fit proves nothing and a misfit might be numerical, or if
    only the iterative method was left (see :func:`check_criterion`) and did not converge.
    """

    verdict: Verdict
    residual: float
    training_residual: float
    rank: int
    equations: int
    subset: tuple[str, ...]
    direction: dict[str, Tensor]
    method: str = "dense"

    def rows(self) -> list[tuple[str, str | float]]:
        """Label and value of everything but the direction, in reading order."""
        return [
            ("verdict", self.verdict),
            ("relative residual on held-out nodes", self.residual),
            ("relative residual on the others", self.training_residual),
            ("rank", f"{self.rank} of {self.equations} equations"),
            ("parameters", ", ".join(self.subset)),
            ("method", self.method),
        ]


def check_criterion(
    natural_parameters: Natural,
    parameters: Mapping[str, Tensor],
    nodes: Tensor | None = None,
    subset: Iterable[str] | None = None,
    gauge: Tensor | None = None,
) -> Criterion:
    """Does η(z; Θ) = (∂η(z; Θ)/∂θᵀ) β hold for all z with one β, and which?

    Solves the equations by least squares on half of the nodes and judges them on the other half.
    Small problems use the whole Jacobian. Large ones (more than 2e7 entries) first try the span of
    θ_k and 1_k over all tensors k, then each tensor that is small enough, then the iterative LSMR;
    as this one may converge slowly, it never says "fail".

    Parameters
    ----------
    natural_parameters
        A torch function ``(parameters, z) → η`` with z ``(P, H)`` and η ``(P, L)``, each row of η
        a function of the same row of z; or, for a prior (``nodes=None``),
        ``parameters → η``, ``(L,)``.
    parameters
        The point Θ at which to check, float64. Take random parameters, not zeros.
    nodes
        Latent values z, ``(P, H)``; take them at random, at least a few more than
        (number of parameters)/L.
    subset
        Names of the parameters θ that β may use; all by default.
    gauge
        Directions ``(G, L)`` along which η can move without changing the distribution, for
        over-complete statistics: ``torch.ones(1, C)`` for a categorical variable.

    Raises
    ------
    ValueError
        For an unknown name in ``subset``, an empty one, fewer than two nodes, natural parameters of
        another shape, dtype other than float64, or values that are not finite.

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
    if nodes is not None and (nodes.dim() != 2 or len(nodes) < 2):
        raise ValueError(
            f"nodes must have shape (P, H) with at least two rows: got {tuple(nodes.shape)}"
        )
    half = 0 if nodes is None else len(nodes) // 2
    train = _stacked(natural_parameters, parameters, None if nodes is None else nodes[:half], gauge)
    test = train if nodes is None else _stacked(natural_parameters, parameters, nodes[half:], gauge)
    target = train(chosen)
    if not bool(torch.isfinite(target).all()):
        raise ValueError("natural_parameters must be finite: found NaN or infinity")
    unknowns = sum(value.numel() for value in chosen.values())
    if unknowns * len(target) <= _LARGEST_JACOBIAN:
        found, method = dense(train, test, chosen), "dense"
    else:
        found, method = _at_scale(train, test, chosen, len(target))
    open_end = method == "iterative" or (nodes is not None and found.rank >= len(target))
    return outcome(found, parameters, tuple(chosen), len(target), open_end, method)


def outcome(
    found: Found,
    parameters: Mapping[str, Tensor],
    names: tuple[str, ...],
    equations: int,
    open_end: bool,
    method: str = "dense",
) -> Criterion:
    """The record of what was found: a misfit is "undecided" if ``open_end``."""
    otherwise: Verdict = "undecided" if open_end else "fail"
    verdict: Verdict = "pass" if found.held_out <= TOLERANCE else otherwise
    zeros = {name: torch.zeros_like(value) for name, value in parameters.items()}
    direction, residuals = zeros | found.direction, (found.held_out, found.training)
    return Criterion(verdict, *residuals, found.rank, equations, names, direction, method)


def sufficient_subsets(
    natural_parameters: Natural,
    parameters: Mapping[str, Tensor],
    nodes: Tensor | None = None,
    gauge: Tensor | None = None,
    largest: int = 3,
) -> list[Criterion]:
    """All minimal sets of parameters that satisfy the criterion alone.

    Parameters
    ----------
    natural_parameters, parameters, nodes, gauge
        As for :func:`check_criterion`, with what it raises.
    largest
        Sets of more parameters than this are not tried.
    """
    found: list[Criterion] = []
    for size in range(1, min(largest, len(parameters)) + 1):
        for names in combinations(parameters, size):
            if any(set(known.subset) <= set(names) for known in found):
                continue
            result = check_criterion(natural_parameters, parameters, nodes, names, gauge)
            if result.verdict == "pass":
                found.append(result)
    return found


def chosen_from(
    parameters: Mapping[str, Tensor], subset: Iterable[str] | None
) -> dict[str, Tensor]:
    """The parameters that β may use, once names and dtypes have been found to be valid."""
    chosen = tuple(parameters) if subset is None else as_names(subset)
    unknown = [name for name in chosen if name not in parameters]
    if unknown or not chosen:
        raise ValueError(f"subset must name some of {sorted(parameters)}: got {list(chosen)}")
    for name, value in parameters.items():
        if value.dtype != torch.float64:
            raise ValueError(f"parameters[{name!r}] must be float64: got {value.dtype}")
    return {name: parameters[name] for name in chosen}


def _stacked(
    natural_parameters: Natural,
    parameters: Mapping[str, Tensor],
    nodes: Tensor | None,
    gauge: Tensor | None,
) -> Stacked:
    """η of all nodes as one vector, gauge directions taken out, from the chosen parameters."""
    arguments = () if nodes is None else (nodes,)
    count = 1 if nodes is None else len(nodes)
    flat = None if gauge is None else torch.atleast_2d(gauge).to(torch.float64).T
    basis = None if flat is None else torch.linalg.qr(flat).Q

    def natural(chosen: Mapping[str, Tensor]) -> Tensor:
        eta = natural_parameters(dict(parameters) | dict(chosen), *arguments)
        expected = (count, eta.shape[-1])
        if (nodes is not None and eta.dim() != 2) or eta.numel() != math.prod(expected):
            raise ValueError(
                f"natural_parameters must return one row for each node, {expected}: "
                f"got shape {tuple(eta.shape)}"
            )
        eta = eta.reshape(expected)
        eta = eta if basis is None else eta - (eta @ basis) @ basis.T
        return eta.reshape(-1)

    return natural


def dense(
    train: Stacked,
    test: Stacked,
    chosen: Mapping[str, Tensor],
    target: Tensor | None = None,
    test_target: Tensor | None = None,
) -> Found:
    """Least squares with the whole Jacobian: J β = target, a row for each entry.

    J is that of ``train``; the target is the value of ``train`` itself unless it is given.
    """

    def equations(function: Stacked, goal: Tensor | None) -> tuple[Tensor, Tensor]:
        goal = function(chosen) if goal is None else goal
        blocks = torch.func.jacfwd(function)(dict(chosen))
        columns = [blocks[name].reshape(len(goal), -1) for name in chosen]
        return torch.cat(columns, 1), goal

    jacobian, target = equations(train, target)
    beta, rank = solve(jacobian, target)
    training = misfit(jacobian, target, beta)
    held_out = training if test is train else misfit(*equations(test, test_target), beta)
    return Found(tree.unflatten(beta, chosen), rank, training, held_out)


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

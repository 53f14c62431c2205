"""The parameterization criterion: is there a direction β with η(z) = ∂η(z)/∂θ β for every z?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from companion import tree

__all__ = ["Criterion", "check_criterion", "sufficient_subsets"]

Verdict = Literal["pass", "fail", "undecided"]
Natural = Callable[..., Tensor]

TOLERANCE = 1e-8
_RANK_TOLERANCE = 1e-11


@dataclass(frozen=True)
class Criterion:
    """Outcome of the check.

    ``residual`` is the relative error ‖Jβ − η‖/‖η‖ on nodes that were not used to find β;
    ``training_residual`` the same on those that were. ``direction`` holds β by parameter, zero
    outside the subset. ``verdict`` is "pass", "fail", or "undecided" if the equations have as many
    independent columns as rows, so that a fit proves nothing and a misfit might be numerical.
    """

    verdict: Verdict
    residual: float
    training_residual: float
    rank: int
    equations: int
    subset: tuple[str, ...]
    direction: dict[str, Tensor]

    def __str__(self) -> str:
        return (
            f"{self.verdict}: relative residual {self.residual:.1e} on held-out nodes, "
            f"rank {self.rank} of {self.equations} equations, "
            f"parameters {', '.join(self.subset) or '(none)'}"
        )


def check_criterion(
    natural_parameters: Natural,
    parameters: Mapping[str, Tensor],
    nodes: Tensor | None = None,
    subset: Iterable[str] | None = None,
    gauge: Tensor | None = None,
) -> Criterion:
    """Does η(z; Θ) = (∂η(z; Θ)/∂θᵀ) β hold for all z with one β, and which?

    Solves the equations by least squares on half of the nodes and judges them on the other half.

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
    names = _subset(parameters, subset)
    for name, value in parameters.items():
        if value.dtype != torch.float64:
            raise ValueError(f"parameters[{name!r}] must be float64: got {value.dtype}")
    if nodes is not None and (nodes.dim() != 2 or len(nodes) < 2):
        raise ValueError(
            f"nodes must have shape (P, H) with at least two rows: got {tuple(nodes.shape)}"
        )
    basis = _gauge_basis(gauge)
    if nodes is None:
        jacobian, target = _equations(natural_parameters, parameters, names, None, basis)
        beta, rank, training = _solve(jacobian, target)
        residual = training
    else:
        half = len(nodes) // 2
        jacobian, target = _equations(natural_parameters, parameters, names, nodes[:half], basis)
        beta, rank, training = _solve(jacobian, target)
        residual = _misfit(
            *_equations(natural_parameters, parameters, names, nodes[half:], basis), beta
        )
    equations = len(target)
    verdict: Verdict = "fail"
    if residual <= TOLERANCE:
        verdict = "pass"
    elif nodes is not None and rank >= equations:
        verdict = "undecided"
    chosen = {name: parameters[name] for name in names}
    direction = {name: torch.zeros_like(value) for name, value in parameters.items()}
    direction |= tree.unflatten(beta, chosen)
    return Criterion(verdict, residual, training, rank, equations, names, direction)


def sufficient_subsets(
    natural_parameters: Natural,
    parameters: Mapping[str, Tensor],
    nodes: Tensor | None = None,
    gauge: Tensor | None = None,
    largest: int = 3,
) -> list[Criterion]:
    """All minimal sets of up to ``largest`` parameters that satisfy the criterion alone."""
    found: list[Criterion] = []
    for size in range(1, min(largest, len(parameters)) + 1):
        for names in combinations(parameters, size):
            if any(set(known.subset) <= set(names) for known in found):
                continue
            result = check_criterion(natural_parameters, parameters, nodes, names, gauge)
            if result.verdict == "pass":
                found.append(result)
    return found


def _subset(parameters: Mapping[str, Tensor], subset: Iterable[str] | None) -> tuple[str, ...]:
    names = tuple(parameters) if subset is None else tuple(subset)
    unknown = [name for name in names if name not in parameters]
    if unknown or not names:
        raise ValueError(f"subset must name some of {sorted(parameters)}: got {list(names)}")
    return names


def _gauge_basis(gauge: Tensor | None) -> Tensor | None:
    if gauge is None:
        return None
    return torch.linalg.qr(torch.atleast_2d(gauge).to(torch.float64).T).Q


def _equations(
    natural_parameters: Natural,
    parameters: Mapping[str, Tensor],
    names: tuple[str, ...],
    nodes: Tensor | None,
    basis: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The rows of J β = η: one for each node and natural parameter, gauge directions taken out."""
    arguments = () if nodes is None else (nodes,)

    def natural(chosen: Mapping[str, Tensor]) -> Tensor:
        eta = natural_parameters(dict(parameters) | dict(chosen), *arguments)
        expected = (1, eta.shape[-1]) if nodes is None else (len(nodes), eta.shape[-1])
        if (nodes is not None and eta.dim() != 2) or eta.numel() != math.prod(expected):
            raise ValueError(
                f"natural_parameters must return one row for each node, {expected}: "
                f"got shape {tuple(eta.shape)}"
            )
        eta = eta.reshape(expected)
        return eta if basis is None else eta - (eta @ basis) @ basis.T

    chosen = {name: parameters[name] for name in names}
    target = natural(chosen).reshape(-1)
    if not bool(torch.isfinite(target).all()):
        raise ValueError("natural_parameters must be finite: found NaN or infinity")
    blocks = torch.func.jacfwd(natural)(chosen)
    jacobian = torch.cat([blocks[name].reshape(len(target), -1) for name in names], 1)
    return jacobian, target


def _solve(jacobian: Tensor, target: Tensor) -> tuple[Tensor, int, float]:
    """Least squares with rows of [J|η] and columns of J scaled to norm one; β, rank, misfit."""
    rows = torch.cat([jacobian, target[:, None]], 1).norm(dim=1)
    rows = torch.where(rows > 0, rows, 1.0)[:, None]
    scaled = jacobian / rows
    columns = scaled.norm(dim=0)
    columns = torch.where(columns > 0, columns, 1.0)
    U, s, Vh = torch.linalg.svd(scaled / columns, full_matrices=False)
    keep = s > _RANK_TOLERANCE * s.max()
    coefficients = (U.T @ (target / rows[:, 0]))[keep] / s[keep]
    beta = (Vh[keep].T @ coefficients) / columns
    return beta, int(keep.sum()), _misfit(jacobian, target, beta)


def _misfit(jacobian: Tensor, target: Tensor, beta: Tensor) -> float:
    size = float(target.norm())
    if size == 0:
        return 0.0
    # Every row is weighed by its own size: a misfit in a small natural parameter must show.
    rows = torch.cat([jacobian * beta, target[:, None]], 1).norm(dim=1)
    rows = torch.where(rows > 0, rows, 1.0)
    return float(((jacobian @ beta - target) / rows).norm() / (target / rows).norm())

"""Equations of the criterion: natural parameters as a function of what β may use, and nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from companion.support.checks import as_names
from companion.theory.solvers import Stacked

__all__ = ["Natural", "chosen_from", "stacked", "widened"]

Natural = Callable[..., Tensor]
_LARGEST = 1e60


def chosen_from(
    parameters: Mapping[str, Tensor], subset: Iterable[str] | None
) -> dict[str, Tensor]:
    """The parameters that β may use, once names and dtypes have been found to be valid."""
    if not isinstance(parameters, Mapping):
        raise ValueError(
            f"parameters must be a dictionary of tensors: got {type(parameters).__name__}"
        )
    chosen = tuple(parameters) if subset is None else as_names(subset)
    unknown = [name for name in chosen if name not in parameters]
    if unknown or not chosen:
        raise ValueError(f"subset must name some of {sorted(parameters)}: got {list(chosen)}")
    for name, value in parameters.items():
        if not isinstance(value, Tensor) or value.dtype != torch.float64:
            found = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"parameters[{name!r}] must be float64: got {found}")
    return {name: parameters[name] for name in chosen}


def stacked(
    natural_parameters: Natural,
    parameters: Mapping[str, Tensor],
    nodes: Tensor | None,
    gauge: Tensor | None,
) -> Stacked:
    """η of all nodes as one vector, gauge directions taken out, from the chosen parameters.

    Parameters
    ----------
    natural_parameters, parameters, nodes, gauge
        As for :func:`companion.check_criterion`.
    """
    arguments = () if nodes is None else (nodes,)
    count = 1 if nodes is None else len(nodes)
    flat = None if gauge is None else torch.atleast_2d(gauge).to(torch.float64).T
    basis = None if flat is None else torch.linalg.qr(flat).Q

    def natural(chosen: Mapping[str, Tensor]) -> Tensor:
        eta = natural_parameters(dict(parameters) | dict(chosen), *arguments)
        if not isinstance(eta, Tensor):
            raise ValueError(f"natural_parameters must return one tensor: got {type(eta).__name__}")
        expected = (count, eta.shape[-1] if eta.dim() else 1)
        if (nodes is not None and eta.dim() != 2) or eta.numel() != math.prod(expected):
            raise ValueError(
                f"natural_parameters must return one row for each node, {expected}: "
                f"got shape {tuple(eta.shape)}"
            )
        eta = eta.reshape(expected)
        if basis is not None:
            free, round_off = eta - (eta @ basis) @ basis.T, 1e-15 * eta.norm(dim=1, keepdim=True)
            eta = torch.where(free.abs() > round_off, free, 0 * free)
        return eta.reshape(-1)

    return natural


def widened(
    natural_parameters: Natural, parameters: Mapping[str, Tensor], nodes: Tensor, count: int
) -> Tensor:
    """Points about the nodes, 1, 10 and 100 times as wide as these, and at least ±1.

    Those at which natural parameters are not finite, or their squares might not be, are left out.

    Parameters
    ----------
    natural_parameters, parameters, nodes
        As for :func:`companion.check_criterion`.
    count
        So many points, with those that are left out.
    """
    draws = torch.Generator().manual_seed(0)
    start = nodes[torch.randint(len(nodes), (count,), generator=draws)]
    noise = torch.randn(start.shape, dtype=start.dtype, generator=draws)
    width = nodes.std(0, correction=0).clamp(min=1.0)
    powers = 10.0 ** (torch.arange(count) % 3).to(start.dtype)
    points = start + powers[:, None] * width * noise
    return points[(natural_parameters(dict(parameters), points).abs() < _LARGEST).all(-1)]

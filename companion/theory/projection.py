"""Equality without convergence: every factor's own gap closed, by moving along v block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from companion.support import tree
from companion.support.checks import positive_integer
from companion.support.doors import door
from companion.theory.identity import full_direction
from companion.theory.model import Factor, Model, Parameters
from companion.theory.objective import Problem
from companion.theory.solvers import closed_form, flow
from companion.theory.variational import Variational

__all__ = ["NotReached", "gap_blocks", "project"]

Tensors = Mapping[str, Tensor]
Field = Callable[[Tensors], dict[str, Tensor]]
Objective = Callable[[Tensors], Tensor]
Move = Callable[[float], dict[str, Tensor]]

_TOLERANCE = 1e-13


class NotReached(RuntimeError):
    """A projection ended before ELBO and entropy sum were equal."""


@dataclass(frozen=True)
class _Block:
    """One part of v as a vector field over all variables; ``entrywise``: each entry is a block."""

    name: str
    field: Field
    entrywise: bool = False


@door
def gap_blocks(
    model: Model, parameters: Parameters, q: Variational | None, x: Any
) -> dict[str, dict[str, Tensor]]:
    """v as a sum of directions, one for each part of the model that has an identity of its own.

    One block for each factor (prior, hidden layers, observable) with parameters of its own, and
    ``"latent 0"``, ``"latent 1"``, … where a fixed continuous prior makes v rescale q. Each is a
    dictionary over model and variational parameters (``q.<name>``). Along a factor's block,
    ⟨∇ELBO, v_k⟩ = E_q̄[log p_k] + H̃[p_k] − E[log h_k]; the blocks of the latents together do this
    for the prior. Factors that share parameters have one block in common.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`companion.verify`.

    Raises
    ------
    ValueError
        For invalid data or parameters, or a model without a gap direction.

    Source: this companion.

    >>> from companion import datasets, models
    >>> model, x = models.PPCA(observed=4, latent=2), datasets.iris()
    >>> list(gap_blocks(model, model.maximum_likelihood(x), None, x))
    ['latent 0', 'latent 1', 'observable']
    """
    q, _ = model.checked(parameters, q, x)
    variables = q.join(parameters)
    return {block.name: block.field(variables) for block in _blocks(model, q, variables)}


@door
def project(
    model: Model, parameters: Parameters, q: Variational | None, x: Any, steps: int = 50
) -> tuple[dict[str, Tensor], Variational]:
    """Move along v to a point where ELBO = entropy sum, factor by factor, without training.

    For each block of v (see :func:`gap_blocks`; every single variance where the model has several)
    the ELBO is maximised along that block, until ⟨∇ELBO, v_b⟩ = 0. Then the gap of each factor is
    zero, not only their sum. Variances and latent scales have the closed form
    t = log(1 + F′/|F″|), which is exact after one step; inverse temperatures (v = θ) take Newton
    steps θ + sθ, so that they may change sign; a step that would lower the ELBO is halved. The ELBO
    never falls. Returns parameters and q.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`companion.verify`; ``q=None`` starts from the exact posterior.
    steps
        The most steps that are taken along one block.

    Raises
    ------
    ValueError
        For invalid data or parameters.
    NotReached
        If a slope does not reach round-off within ``steps`` steps, with the slope that is left.

    Source: this companion.

    >>> from companion import datasets, elbo, entropy_sum, models
    >>> model, x = models.PPCA(observed=4, latent=2), datasets.iris()
    >>> start = model.initial_parameters(torch.Generator().manual_seed(0))
    >>> there, q = project(model, start, None, x)
    >>> gap = elbo(model, there, q, x) - entropy_sum(model, there, q, x).total
    >>> float(gap.abs()) < 1e-9, bool(elbo(model, there, q, x) > elbo(model, start, None, x))
    (True, True)
    """
    positive_integer(steps, "steps")
    q, data = model.checked(parameters, q, x)
    variables = q.join(parameters)
    problem = Problem(model, data, q, variables, {})
    for block in _blocks(model, q, variables):
        variables = _climb(problem.value, block, variables, steps)
    return problem.state(variables)


def _blocks(model: Model, q: Variational, variables: Tensors) -> list[_Block]:
    """The blocks of v: rescaled latents first, then the factors."""
    own = tree.split(variables)[0]

    def whole(moved: Tensors) -> dict[str, Tensor]:
        return full_direction(model, *q.split(moved))

    rate = torch.as_tensor(model.latent_rescaling, dtype=torch.float64)
    fixed = bool(rate.any())
    if fixed and model.absorption(own, torch.ones((), dtype=torch.float64)) is None:
        return [_Block("all", whole)]  # not known how this model absorbs a rescaling of z

    def rescale(moved: Tensors, rates: Tensor) -> dict[str, Tensor]:
        own, at = q.split(moved)
        absorbed = {k: torch.zeros_like(value) for k, value in own.items()}
        absorbed |= model.absorption(own, rates) or {}
        return tree.merge(absorbed, at.rescaling(rates))

    def without_latents(names: Sequence[str]) -> Field:
        def field(moved: Tensors) -> dict[str, Tensor]:
            part = whole(moved)
            if fixed:
                every = rate.expand(size)
                part = tree.add(part, rescale(moved, every), -1.0)
            return {k: t if k in names else torch.zeros_like(t) for k, t in part.items()}

        return field

    nodes, prior = q.nodes(), model.factors[0]
    size = (nodes.z if prior.value is None or rate.dim() else prior.value(nodes.z)).shape[-1]
    blocks = [
        _Block(f"latent {h}", partial(rescale, rates=rate * one))
        for h, one in enumerate(torch.eye(size).double() if fixed else ())
        if bool((rate * one).any())
    ]
    rest = without_latents(list(variables))(variables)
    moved = [name for name, tangent in rest.items() if bool((tangent != 0).any())]
    for name, group in _groups(model, own, lambda factor: factor.nodes(q, nodes).z, moved):
        entrywise = set(group) <= set(model.log_scales)
        blocks.append(_Block(name, without_latents(group), entrywise))
    return blocks


def _groups(
    model: Model, own: Parameters, z_of: Callable[[Factor], Tensor], moved: Sequence[str]
) -> Iterator[tuple[str, list[str]]]:
    """Names of the ``moved`` parameters by factor; factors that share one are joined."""
    leaves = {name: own[name].detach().requires_grad_() for name in moved if name in own}
    groups: list[tuple[list[str], set[str]]] = []
    for factor in model.factors:
        with torch.enable_grad():
            natural = factor.natural({**own, **leaves}, z_of(factor))
        if not natural.requires_grad:
            continue
        found = torch.autograd.grad(natural.sum(), list(leaves.values()), allow_unused=True)
        used = {name for name, each in zip(leaves, found, strict=True) if each is not None}
        joined = [group for group in groups if group[1] & used]
        groups = [group for group in groups if not group[1] & used]
        factors = [name for group in joined for name in group[0]]
        groups.append(([*factors, factor.name], used.union(*(group[1] for group in joined))))
    for factors, used in groups:
        yield " and ".join(factors), sorted(used)


def _climb(
    objective: Objective, block: _Block, variables: dict[str, Tensor], steps: int
) -> dict[str, Tensor]:
    """The point along ``block`` where its slope is zero, the ELBO no lower than at the start."""
    value, left = float(objective(variables)), math.inf
    if not math.isfinite(value):
        raise ValueError(f"parameters must be where the ELBO is finite: it is {value}")
    for _ in range(steps):
        slopes, moves = (_entries if block.entrywise else _scalar)(objective, block, variables)
        left = max(float(slope.abs().max()) for slope in slopes)
        if left <= _TOLERANCE * (1 + abs(value)):
            return variables
        slack = 1e-14 * (1 + abs(value))
        for halvings in range(60):
            trials = [move(0.5**halvings) for move in moves]
            values = [float(objective(trial)) for trial in trials]
            good = [k for k, reached in enumerate(values) if reached >= value - slack]
            if good:
                break
        else:
            break
        best = max(good, key=values.__getitem__)
        variables, value = trials[best], values[best]
    raise NotReached(
        f"project did not reach the equality in {steps} steps: along {block.name} the slope "
        f"{left:.2e} is left"
    )


def _scalar(
    objective: Objective, block: _Block, variables: dict[str, Tensor]
) -> tuple[list[Tensor], list[Move]]:
    """Slope along the block; a step along its flow and, where v = θ, one on the straight line."""

    def slope(merged: Tensors) -> Tensor:
        return torch.func.jvp(objective, (merged,), (block.field(merged),))[1]

    v = block.field(variables)
    turn = torch.func.jvp(block.field, (variables,), (v,))[1]
    first, second = torch.func.jvp(slope, (variables,), (v,))[:2]
    step = closed_form(first, second)
    moves: list[Move] = [lambda size: flow(variables, v, turn, size * step)]
    straight = second - first  # the curvature along the line, if v = θ and so turn = v
    if all(torch.equal(turn[name], v[name]) for name in v) and bool(straight < 0):
        moves.insert(0, lambda size: tree.add(variables, v, size * first / -straight))
    return [first], moves


def _entries(
    objective: Objective, block: _Block, variables: dict[str, Tensor]
) -> tuple[list[Tensor], list[Move]]:
    """Slopes along every entry of log-scales, on which the ELBO depends without interaction."""
    v = block.field(variables)
    names = [name for name, tangent in v.items() if bool((tangent != 0).any())]

    def only(moved: Tensors) -> Tensor:
        return objective({**variables, **moved})

    at, tangents = ({name: part[name] for name in names} for part in (variables, v))
    gradient, curved = torch.func.jvp(torch.func.grad(only), (at,), (tangents,))[:2]
    firsts = {name: gradient[name] * v[name] for name in names}
    steps = {name: closed_form(firsts[name], curved[name] * v[name]) for name in names}

    def move(size: float) -> dict[str, Tensor]:
        return variables | {k: variables[k] + size * steps[k] * v[k] for k in names}

    return list(firsts.values()), [move]

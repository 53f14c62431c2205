"""Norm of the gradient and certificate by finite differences, to pin those of `verify` down."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from companion.support import tree
from companion.support.doors import door
from companion.theory.elbo import expected_elbo
from companion.theory.identity import full_direction
from companion.theory.model import Model, Parameters
from companion.theory.variational import Variational

__all__ = ["Differences", "by_differences"]


class Differences(NamedTuple):
    """‖∇F‖ and Σ_b ‖g_b‖ ‖v_b‖ from values of the ELBO alone, as far as lengths go."""

    gradient_norm: float
    certificate: float


@door
def by_differences(
    model: Model, parameters: Parameters, q: Variational | None, x: Any, step: float = 1e-4
) -> Differences:
    """Gradient norm and certificate of :func:`companion.verify`, found without derivatives.

    Each norm is the slope of the ELBO along a direction of length one, (F(θ + hu) − F(θ − hu))/2h.
    The direction u is that of the gradient: a wrong u makes the slope smaller, and nothing but the
    direction is taken from automatic differentiation. What :func:`companion.verify` says must agree
    to about h²; a bound from above alone would pass what is a hundred times too small.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`companion.verify`, at a point that is not stationary.
    step
        h.

    Raises
    ------
    ValueError
        As :func:`companion.verify`, and for a step that is not positive or above one.

    >>> from companion import models, verify
    >>> model = models.PPCA(observed=4, latent=2)
    >>> generator = torch.Generator().manual_seed(0)
    >>> start = model.initial_parameters(generator)
    >>> x = torch.randn(9, 4, dtype=torch.float64, generator=generator)
    >>> report, found = verify(model, start, None, x), by_differences(model, start, None, x)
    >>> abs(report.gradient_norm / found.gradient_norm - 1) < 1e-6
    True
    """
    if not 0 < step <= 1:
        raise ValueError(f"step must be above 0 and at most 1: got {step}")
    q, data = model.checked(parameters, q, x)
    start = {name: value.detach() for name, value in q.join(parameters).items()}
    v = full_direction(model, *q.split(start))

    def value(variables: dict[str, Tensor]) -> Tensor:
        own, moved = q.split(variables)
        return expected_elbo(model, own, moved, data)

    leaves = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    slopes = torch.autograd.grad(value(leaves), list(leaves.values()), materialize_grads=True)
    gradient = dict(zip(leaves, slopes, strict=True))

    def length(part: dict[str, Tensor]) -> float:
        size = float(tree.norm(part))
        if size == 0:
            return 0.0
        h = step / size
        ahead, behind = (
            {n: t + s * h * part.get(n, 0.0) for n, t in start.items()} for s in (1, -1)
        )
        with torch.no_grad():
            return float(value(ahead) - value(behind)) / (2 * step)

    seen = {name: gradient[name] * (v[name] != 0) for name in v}
    certificate = sum(length({name: g}) * float(v[name].norm()) for name, g in seen.items())
    found = Differences(length(gradient), certificate)
    if not all(map(math.isfinite, found)):
        raise ValueError(f"x and parameters must be where the ELBO is finite: found {found}")
    return found

"""Ways to let a decoder output a variance, and which of them can be tempered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from companion.families import DiagonalGaussian
from companion.families.numerics import softplus
from companion.support.checks import one_of
from companion.theory.criterion import Criterion, check_criterion

__all__ = ["HEADS", "check_head"]

#: Variance from the linear head's output a and an extra learnable scale c, by what is written.
HEADS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "exp(a)": lambda a, c: a.exp(),
    "exp(2a)": lambda a, c: (2 * a).exp(),
    "exp(−a)": lambda a, c: (-a).exp(),
    "exp(a), no bias": lambda a, c: a.exp(),
    "a²": lambda a, c: a * a,
    "(eᶜ softplus(a))²": lambda a, c: (c.exp() * softplus(a)) ** 2,
    "exp(c + 2 tanh a)": lambda a, c: (c + 2 * torch.tanh(a)).exp(),
    "η₂ = −exp(a), η₁ linear": lambda a, c: 0.5 * (-a).exp(),
    "softplus(a)": lambda a, c: softplus(a),
    "softplus(a)²": lambda a, c: softplus(a) ** 2,
    "1 + exp(a)": lambda a, c: 1 + a.exp(),
    "exp(2 tanh a)": lambda a, c: (2 * torch.tanh(a)).exp(),
    "exp(clamp(a, −1, 1))": lambda a, c: a.clamp(-1, 1).exp(),
}


def check_head(
    name: str, seed: int = 0, latent: int = 2, hidden: int = 4, observed: int = 2, nodes: int = 200
) -> Criterion:
    """The parameterization criterion for a random tanh decoder with the head ``name`` of HEADS.

    The mean has a linear head of its own; all weights may move. For "η₂ = −exp(a), η₁ linear" that
    head gives the first natural parameter instead of the mean.

    Parameters
    ----------
    name
        The head.
    seed
        Draws weights and nodes.
    latent, hidden, observed
        Sizes of the decoder.
    nodes
        At how many z the criterion is checked.

    Raises
    ------
    ValueError
        For a name that is not in HEADS.

    >>> check_head("exp(a)").verdict, check_head("softplus(a)").verdict
    ('pass', 'fail')
    """
    one_of(name, "name", HEADS)
    generator = torch.Generator().manual_seed(seed)
    shapes = {"W1": (hidden, latent), "b1": (hidden,), "mean.W": (observed, hidden)}
    shapes |= {"mean.b": (observed,), "head.W": (observed, hidden)}
    if name != "exp(a), no bias":
        shapes |= {"head.b": (observed,)}
    if set("cᶜ") & set(name.replace("clamp", "")):
        shapes |= {"c": ()}
    parameters = {
        key: torch.randn(shape, dtype=torch.float64, generator=generator)
        / math.sqrt(shape[1] if len(shape) == 2 else 1)
        for key, shape in shapes.items()
    }
    family, none = DiagonalGaussian(), torch.zeros((), dtype=torch.float64)

    def natural(p: Mapping[str, Tensor], z: Tensor) -> Tensor:
        units = torch.tanh(z @ p["W1"].T + p["b1"])
        first = units @ p["mean.W"].T + p["mean.b"]
        output = units @ p["head.W"].T + p.get("head.b", none)
        variance = HEADS[name](output, p.get("c", none))
        mean = first * variance if name.startswith("η") else first
        return family.natural_parameters(mean, variance)

    z = torch.randn(nodes, latent, dtype=torch.float64, generator=generator)
    return check_criterion(natural, parameters, z)

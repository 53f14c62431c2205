"""Random distributions q of each kind that the catalogue uses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from companion import models, variational
from companion.models.vae.layered import Order
from companion.theory.model import normal_draws
from companion.theory.variational import Nodes, Variational

__all__ = [
    "Build",
    "chain",
    "encoder",
    "gaussian",
    "layered",
    "mean_field",
    "switched",
    "tabulated",
]

Build = Callable[[torch.Generator], Variational]


def tabulated(states: Tensor, points: int) -> Build:
    def build(generator: torch.Generator) -> Variational:
        logits = normal_draws(points, len(states), generator=generator)
        return variational.Tabulated(states, logits)

    return build


def mean_field(points: int, latent: int) -> Build:
    def build(generator: torch.Generator) -> Variational:
        return variational.MeanFieldBernoulli(normal_draws(points, latent, generator=generator))

    return build


def gaussian(points: int, latent: int, full: bool = False, rule: Nodes | None = None) -> Build:
    def build(generator: torch.Generator) -> Variational:
        mean = normal_draws(points, latent, generator=generator)
        scale = (0.3 * normal_draws(points, latent, generator=generator)).exp()
        if full:
            below = 0.3 * normal_draws(points, latent, latent, generator=generator)
            scale = torch.diag_embed(scale) + torch.tril(below, -1)
        return variational.Gaussian(mean, scale, rule)

    return build


def encoder(
    x: Tensor, latent: int, hidden: tuple[int, ...] = (), rule: Nodes | None = None
) -> Build:
    """A Gaussian encoder; Gauss-Hermite nodes of order 5 by default."""
    encoder = models.Encoder(x.shape[1], latent, hidden)
    nodes = variational.gauss_hermite(latent, 5) if rule is None else rule

    def build(generator: torch.Generator) -> Variational:
        return encoder.posterior(encoder.initial_parameters(generator), x, nodes)

    return build


def layered(x: Tensor, latents: tuple[int, ...], order: Order, rule: Nodes | None = None) -> Build:
    """Encoders of three hidden units for each layer of latents."""
    encoder = models.LayeredEncoder(x.shape[1], latents, (3,), order)
    return lambda generator: encoder.posterior(encoder.initial_parameters(generator), x, rule)


def chain(kind: type[models.MarkovChain | models.GaussianChain], x: Tensor, size: int) -> Build:
    """A Markov chain of so many states, or dimensions, for every sequence of ``x``."""
    return lambda generator: kind.random(x, size, generator)


def switched(latents: Build, streams: int) -> Build:
    """Any table of switches at the nodes of a Gaussian."""

    def build(generator: torch.Generator) -> Variational:
        q = latents(generator)
        assert isinstance(q, variational.Gaussian | variational.Amortized)
        points, nodes = q.nodes().z.shape[:2]
        return models.Switched(q, normal_draws(points, nodes, 2**streams, generator=generator))

    return build

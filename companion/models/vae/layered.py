"""The q of hierarchical VAEs: one layer of latents after the other, each given the one before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from companion.models.vae.networks import Activation, Encoder, OfData, Shapes
from companion.support.checks import one_of, positive_integer
from companion.theory.model import Parameters
from companion.theory.nodes import Nodes, Settled, fitting, rates_of
from companion.theory.variational import Amortized, Gaussian

__all__ = ["Layered", "LayeredEncoder"]

Order = Literal["bottom-up", "top-down"]


@dataclass(frozen=True)
class LayeredEncoder(OfData):
    """Networks for q(z_1|x) q(z_2|z_1) … or, top-down, q(z_L|x) q(z_{L−1}|z_L, x) ….

    Each is an :class:`Encoder` with the same ``hidden`` layers: a Gaussian with independent
    entries, given what is above or below; in the order "top-down" it sees x as well. Parameters:
    those of layer l as ``z1.<name>``, ``z2.<name>``, ….

    Parameters
    ----------
    observed
        D.
    latents
        H_1, …, H_L, as for :class:`HierarchicalVAE`.
    hidden, activation
        As for :class:`Encoder`, in every layer.
    order
        Which layer is drawn first: z_1 ("bottom-up") or z_L ("top-down").

    Source: Rezende, Mohamed & Wierstra (2014), Sønderby et al. (2016), who compare both orders.

    >>> encoder = LayeredEncoder(observed=6, latents=(3, 2), order="top-down")
    >>> [(name, each.observed) for name, each in encoder.networks.items()]
    [('z2', 6), ('z1', 8)]
    """

    observed: int
    latents: tuple[int, ...]
    hidden: tuple[int, ...] = ()
    order: Order = "bottom-up"
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        positive_integer(self.observed, "observed")
        one_of(self.order, "order", Order)
        if not isinstance(self.latents, tuple | list) or len(self.latents) < 2:
            raise ValueError(f"latents must be two sizes or more: got {self.latents!r}")
        for size in self.latents:
            positive_integer(size, "every entry of latents")
        assert self.networks  # says what is wrong with hidden and activation

    @property
    def latent(self) -> int:
        """Entries of z = (z_1, …, z_L)."""
        return sum(self.latents)

    @property
    def names(self) -> list[str]:
        """The layers, "z1", "z2", …."""
        return [f"z{k}" for k in range(1, len(self.latents) + 1)]

    @cached_property
    def networks(self) -> dict[str, Encoder]:
        """The encoder of every layer, in the order in which they are drawn."""
        sizes = dict(zip(self.names, self.latents, strict=True))
        first, *others = self.names if self.order == "bottom-up" else self.names[::-1]
        inputs, seen = {first: self.observed}, first
        for name in others:
            inputs[name] = sizes[seen] + (self.observed if self.order == "top-down" else 0)
            seen = name
        return {
            name: Encoder(columns, sizes[name], self.hidden, self.activation)
            for name, columns in inputs.items()
        }

    @cached_property
    def shapes(self) -> Shapes:
        return {
            f"{layer}.{name}": shape
            for layer, network in self.networks.items()
            for name, shape in network.shapes.items()
        }

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Random weights of variance 1/inputs, zero biases."""
        return {
            f"{layer}.{name}": value
            for layer, network in self.networks.items()
            for name, value in network.initial_parameters(generator).items()
        }

    def rescaling(self, parameters: Parameters, rate: float | Tensor) -> dict[str, Tensor]:
        """Direction of φ along which z is rescaled, at one rate or one for each entry, ``(H,)``.

        Every layer's network moves as an :class:`Encoder`; what reads z_l absorbs its rescaling.
        """
        rates = rates_of(rate, self.latent).split(self.latents)
        of, seen = dict(zip(self.names, rates, strict=True)), rates[0][:0]
        direction: dict[str, Tensor] = {}
        for layer, network in self.networks.items():
            own = part(parameters, layer)
            step = network.rescaling(own, of[layer])
            absorbed = torch.nn.functional.pad(seen, (0, network.observed - len(seen)))
            for name in ["hidden0"] if self.hidden else network.heads:
                step[f"{name}.weights"] = (
                    step[f"{name}.weights"] - absorbed * own[f"{name}.weights"]
                )
            direction |= {f"{layer}.{name}": value for name, value in step.items()}
            seen = of[layer]
        return direction

    def posterior(
        self, parameters: Mapping[str, Tensor], x: Tensor, rule: Nodes | None = None
    ) -> Layered:
        """q(z | x_n) for all rows of ``x``, with a ``rule`` as in ``variational.Gaussian``."""
        return Layered(self, dict(parameters), x, rule)


@dataclass(frozen=True)
class Layered(Amortized):
    """q(z_1, …, z_L | x_n) from a :class:`LayeredEncoder`: no Gaussian, as each is given another.

    z_l = m_l + s_l ε_l with m_l and s_l from the network of its layer, and nodes ε of the ``rule``:
    the identity holds for any of them. H[q_n] = Σ_l E[log s_l] + (H/2) log 2πe, by the same nodes.

    >>> encoder = LayeredEncoder(observed=4, latents=(2, 1))
    >>> phi = encoder.initial_parameters(torch.Generator().manual_seed(0))
    >>> encoder.posterior(phi, torch.zeros(3, 4, dtype=torch.float64)).entropies().shape
    torch.Size([2, 3])
    """

    encoder: LayeredEncoder  # type: ignore[assignment]  # gives no mean and width of all at once

    def gaussian(self) -> Gaussian:
        """Not available: what is drawn second is Gaussian only given what is drawn first.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("q must be Gaussian here: got one in layers, each given another")

    def evaluated(self) -> Drawn:
        rule = fitting(self.rule, len(self.x), self.encoder.latent)
        noise = rule.z.expand(len(self.x), *rule.z.shape[-2:])
        given = dict(zip(self.encoder.names, noise.split(self.encoder.latents, -1), strict=True))
        rows = self.x[:, None]
        seen, drawn, entropies = rows, dict[str, Tensor](), dict[str, Tensor]()
        for layer, network in self.encoder.networks.items():
            mean, std = network(part(self.encoder_parameters, layer), seen)
            seen = drawn[layer] = mean + std * given[layer]
            spread = (std.log().sum(-1) * rule.weights).sum(-1)
            entropies[layer] = spread + 0.5 * network.latent * (1 + math.log(2 * math.pi))
            if self.encoder.order == "top-down":
                seen = torch.cat([seen, rows.expand(*seen.shape[:-1], -1)], -1)
        z, each = ([found[name] for name in self.encoder.names] for found in (drawn, entropies))
        return Drawn(Nodes(torch.cat(z, -1), rule.weights), torch.stack(each))

    def nodes(self) -> Nodes:
        return self.evaluated().points

    def entropies(self) -> Tensor:
        """Entropy of every layer, E H[q(z_l | ·)], for z_1 first: ``(L, N)``."""
        return self.evaluated().each

    def entropy(self) -> Tensor:
        return self.entropies().sum(0)


@dataclass(frozen=True)
class Drawn(Settled):
    """The nodes of a :class:`Layered` q and the entropies ``each`` ``(L, N)`` of its layers."""

    points: Nodes
    each: Tensor

    def nodes(self) -> Nodes:
        return self.points

    def entropy(self) -> Tensor:
        return self.each.sum(0)


def part(parameters: Mapping[str, Tensor], layer: str) -> dict[str, Tensor]:
    """The parameters of one layer, by their own names."""
    begins = f"{layer}."
    return {k.removeprefix(begins): v for k, v in parameters.items() if k.startswith(begins)}

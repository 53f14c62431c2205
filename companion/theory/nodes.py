"""What a variational distribution hands out, nodes and its entropy; and rules for the nodes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from companion.support import tree
from companion.support.checks import known, positive_integer
from companion.support.doors import Guarded, door

__all__ = ["Nodes", "Variational", "binary_states", "cubature", "gauss_hermite", "samples"]

LARGEST_ENUMERATION = 16


class Nodes(NamedTuple):
    """Points ``z``, ``(P, H)`` or ``(N, P, H)``, with ``weights``, ``(P,)`` or ``(N, P)``.

    >>> Nodes(torch.eye(2), torch.full((2,), 0.5)).weights
    tensor([0.5000, 0.5000])
    """

    z: Tensor
    weights: Tensor


class Variational(Guarded, ABC):
    """A distribution q_n(z) for every data point n = 1, …, N.

    ``parameters`` holds the variational parameters as leaves of their own: the gradient with
    respect to the model is taken at fixed q, and only a fixed prior makes the gap direction point
    into q (see :meth:`rescaling`).
    """

    #: What a q must be, in words (``companion.support.arguments``).
    told: ClassVar[str] = "a distribution of companion.variational (Tabulated for responsibilities)"

    def admit(self, method: str, given: dict[str, Any]) -> None:
        """Refuse parameters of other names, or of another shape than they have."""
        if method == "with_parameters":
            names, now = set(given["parameters"]), self.parameters
            if names != set(now):
                raise ValueError(
                    f"parameters must be exactly {sorted(now)} for {type(self).__name__}: got "
                    f"{sorted(names)}"
                )

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Tensor]:
        """The variational parameters by name."""

    def with_parameters(self, parameters: Mapping[str, Tensor]) -> Self:
        """The same kind of q with other parameters: here those that are fields of a dataclass."""
        return replace(self, **parameters)  # type: ignore[type-var]  # all here are dataclasses

    @abstractmethod
    def nodes(self) -> Nodes:
        """Nodes and weights for expectations under q."""

    @abstractmethod
    def entropy(self) -> Tensor:
        """Entropy H[q_n] of every q_n, shape ``(N,)``, in nats."""

    @property
    def can_be_rescaled(self) -> bool:
        """False where it is known that there is no :meth:`rescaling`: then v does not exist."""
        return True

    def evaluated(self) -> Variational:
        """The same distributions, with what nodes and entropy share worked out once."""
        return self

    def join(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A model's parameters and those of q, as ``q.<name>``, cut off from any graph."""
        return {k: v.detach() for k, v in tree.merge(parameters, self.parameters).items()}

    def split(self, variables: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Self]:
        """The inverse of :meth:`join`: a model's parameters, and this kind of q with its own."""
        own, of_q = tree.split(variables)
        return own, self.with_parameters(of_q)

    def rescaling(self, rate: float | Tensor) -> dict[str, Tensor]:
        """Direction d/dt at t = 0 of the parameters of the law of e^{rate·t} z, for z ~ q.

        ``rate`` is one number, or one for each latent, ``(H,)``.

        Raises
        ------
        ValueError
            If this q can't follow a rescaling of the latent space.
        """
        if not isinstance(rate, Tensor) and rate == 0:
            return {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        raise ValueError(
            f"{type(self).__name__} has no rescaling of the latent space, which a fixed continuous "
            "prior needs: use a Gaussian q, or give the prior a learnable variance"
        )


class Settled(Variational):
    """A q without parameters: nothing of it is learned, and no gradient is taken of it."""

    @property
    def parameters(self) -> dict[str, Tensor]:
        return {}

    def with_parameters(self, parameters: Mapping[str, Tensor]) -> Self:
        return self


@door
def binary_states(size: int) -> Tensor:
    """All 2ᴴ states of H binary variables, ``(2**size, size)``; the last variable runs fastest.

    >>> binary_states(2).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    if not 1 <= positive_integer(size, "size") <= LARGEST_ENUMERATION:
        raise ValueError(
            f"size must be between 1 and {LARGEST_ENUMERATION} to enumerate all binary states: "
            f"got {size}, which means {2.0**size:.3g} states"
        )
    index = torch.arange(2**size)
    bits = torch.arange(size - 1, -1, -1)
    return ((index[:, None] >> bits) & 1).to(torch.float64)


@door
def cubature(size: int) -> Nodes:
    """The 2H symmetric points ±√H e_h with equal weights, for z ~ N(0, I_H).

    Exact for every polynomial of degree at most 3: the ELBO of a model that is quadratic in z
    (probabilistic PCA, factor analysis, linear VAE) has no integration error.

    >>> nodes = cubature(2)
    >>> nodes.z.shape, round(float(nodes.weights @ nodes.z[:, 0] ** 2), 9)    # the variance of z_1
    (torch.Size([4, 2]), 1.0)
    """
    points = math.sqrt(positive_integer(size, "size")) * torch.eye(size, dtype=torch.float64)
    points = torch.cat([points, -points])
    return Nodes(points, torch.full((2 * size,), 1 / (2 * size), dtype=torch.float64))


@door
def gauss_hermite(size: int, order: int) -> Nodes:
    """Tensor-product Gauss–Hermite rule for z ~ N(0, I_H), exact to degree 2·order − 1 per z_h.

    Raises
    ------
    ValueError
        If ``order**size`` exceeds 100 000 points.

    >>> nodes = gauss_hermite(1, 5)
    >>> round(float(nodes.weights @ nodes.z[:, 0] ** 8), 9)    # the eighth moment, 7 · 5 · 3
    105.0
    """
    positive_integer(size, "size")
    if positive_integer(order, "order") ** min(size, 99) > 100_000:
        raise ValueError(
            f"order**size must be at most 100000: got order {order}, "
            f"size {size}; use samples(...) for many latent dimensions"
        )
    x, w = np.polynomial.hermite_e.hermegauss(order)
    grid = np.stack(np.meshgrid(*[x] * size, indexing="ij"), -1).reshape(-1, size)
    weights = np.stack(np.meshgrid(*[w] * size, indexing="ij"), -1).reshape(-1, size).prod(-1)
    return Nodes(torch.from_numpy(grid.copy()), torch.from_numpy(weights / weights.sum()))


@door
def samples(points: int, count: int, size: int, generator: torch.Generator | None = None) -> Nodes:
    """Frozen standard-normal draws ε, ``(N, count, H)``, with equal weights.

    Reparameterised: z = m + L ε with ε held fixed, so that ELBO and entropy sum see the same
    samples and gradients are pathwise.

    Parameters
    ----------
    points, count, size
        N data points, draws for each of them, and latent dimensions H.
    generator
        What to draw with; torch's own by default.

    Raises
    ------
    ValueError
        If one of the numbers is less than 1.

    >>> nodes = samples(points=3, count=10, size=2, generator=torch.Generator().manual_seed(0))
    >>> nodes.z.shape, nodes.weights.shape
    (torch.Size([3, 10, 2]), torch.Size([10]))
    """
    for name, value in (("points", points), ("count", count), ("size", size)):
        positive_integer(value, name)
    noise = torch.randn(points, count, size, dtype=torch.float64, generator=generator)
    return Nodes(noise, torch.full((count,), 1 / count, dtype=torch.float64))


def rates_of(rate: float | Tensor, size: int) -> Tensor:
    """Rates of rescaling ``(H,)`` from one number, or from one for each latent."""
    rates = torch.as_tensor(rate, dtype=torch.float64)
    if rates.shape not in ((), (size,)):
        raise ValueError(
            f"rate must be one number, or one for each of the {size} latents: got shape "
            f"{tuple(rates.shape)}"
        )
    return rates.expand(size)


def probabilities(weights: Tensor, what: str) -> None:
    """A ``ValueError`` that begins with ``what``, unless the last axis holds probabilities."""
    if not known(weights):
        return
    given = weights.detach()
    smallest, off = float(given.min()), float((given.sum(-1) - 1).abs().max())
    if not smallest >= 0 or not off <= max(1e-9, 8 * torch.finfo(weights.dtype).eps):
        raise ValueError(
            f"{what} are not negative and sum to one: the smallest is {smallest:.3g}, "
            f"and a sum is off by {off:.3g}"
        )


def fitting(rule: Nodes | None, points: int, size: int) -> Nodes:
    """A rule for N Gaussians in H dimensions: the one given if it fits, :func:`cubature` for none.

    Raises
    ------
    ValueError
        If the rule has points of another dimension, samples for another number of data points, or
        no :func:`probabilities` for weights.
    """
    if rule is None:
        return cubature(size)
    probabilities(rule.weights, "rule must have weights that")
    if rule.z.shape[-1] != size:
        raise ValueError(f"rule must have points of {size} dimensions: got {rule.z.shape[-1]}")
    if rule.z.dim() == 3 and len(rule.z) != points:
        raise ValueError(
            f"rule must have samples for each of the {points} data points: got {len(rule.z)}"
        )
    return rule

"""Sources that are switched on and off and superimposed: discrete and Gaussian latents together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from companion.families import Bernoulli, DiagonalGaussian, Laplace
from companion.models.scaled import check_logs
from companion.models.streams.switched import Switched
from companion.models.vae.networks import (
    Activation,
    apply_hidden,
    check_network,
    initial_network,
    linear,
    network_shapes,
)
from companion.support.checks import positive_integer
from companion.theory.factor import Factor, Parameters
from companion.theory.model import Model
from companion.theory.nodes import LARGEST_ENUMERATION
from companion.theory.variational import Amortized, Gaussian, Variational, binary_states

__all__ = ["MultiStream"]


@dataclass(frozen=True)
class MultiStream(Model):
    """s_i ~ Bern(σ(a_i)), z_i ~ N(0, I), x | z, s ~ Laplace(Σ_i s_i μ_i(z_i), b).

    S streams, each a network μ_i of its own that reads H latents of its own; a switch says whether
    it is part of x. Latents are (z_1, …, z_S, s) in one row, ``(..., S*H + S)``.

    q is :class:`companion.models.Switched`. A Gaussian over the ``S*H`` latents z alone, free or
    from an encoder, stands for the best q that it is part of, whose q(s | z, x) is the exact
    posterior of the switches over all 2ˢ states: :meth:`with_switches`.

    Parameters: ``hidden0``, ``hidden1``, …, ``mean``, each with ``.weights`` and ``.bias``, those
    of all streams stacked; ``prior_logits`` a ``(S,)`` and ``log_scale`` log b ``()``. v is a on a,
    −1 on log b, and, for the fixed prior of z, −½ of every weight matrix that reads z, with q(z)
    rescaled at rate ½; tables of switches stay. The entropy sum is
    mean H[q(z)] + mean E H[q(s | z, x)] − H[p(z)] − H[p(s)] − D log 2eb.

    Parameters
    ----------
    observed, latent, streams
        D, H and S, the last from 1 to 16.
    hidden, activation
        Sizes of the hidden layers of each stream, ``()`` for linear ones, and their units.

    Source: Boukun & Lücke (arXiv:2510.15669v2) for the model; this companion for v.

    >>> model = MultiStream(observed=4, latent=1, streams=3)
    >>> model.shapes["mean.weights"], model.latent_size
    ((3, 4, 1), 6)
    """

    observed: int
    latent: int
    streams: int = 2
    hidden: tuple[int, ...] = ()
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        for name in ("observed", "latent", "streams"):
            positive_integer(getattr(self, name), name)
        if self.streams > LARGEST_ENUMERATION:
            raise ValueError(
                f"streams must be at most {LARGEST_ENUMERATION}, as all states of their switches "
                f"are listed: got {self.streams}"
            )
        check_network(self.hidden, self.activation)

    @property
    def latent_size(self) -> int:
        return self.streams * (self.latent + 1)

    @property
    def _network(self) -> dict[str, tuple[int, ...]]:
        return network_shapes((self.latent, *self.hidden), ("mean",), self.observed)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        own = {name: (self.streams, *shape) for name, shape in self._network.items()}
        return own | {"prior_logits": (self.streams,), "log_scale": ()}

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Random weights of variance 1/inputs, all else zero."""
        drawn = [initial_network(self._network, generator) for _ in range(self.streams)]
        own = {name: torch.stack([each[name] for each in drawn]) for name in self._network}
        rest = ("prior_logits", "log_scale")
        return own | {name: torch.zeros(self.shapes[name]).double() for name in rest}

    @property
    def factors(self) -> tuple[Factor, ...]:
        gaussian, laplace, size = DiagonalGaussian(), Laplace(), self.streams * self.latent

        def standard(parameters: Parameters, z: Tensor) -> Tensor:
            return gaussian.natural_parameters(z.new_zeros(size), z.new_ones(size))

        def superposed(parameters: Parameters, z: Tensor) -> Tensor:
            mean = (z[..., size:, None] * self._means(parameters, z)).sum(-2)
            return laplace.parameters(mean, parameters["log_scale"].exp().expand(mean.shape))

        def expected(parameters: Parameters, q: Variational, x: Tensor) -> Tensor | None:
            if not isinstance(q, Switched):
                return None
            z, weights = q.latents.nodes()
            log_p = (q.table * self._log_prob(parameters, x, z)).sum(-1)
            return (weights * log_p).sum(-1)

        return (
            Factor("prior", gaussian, standard, lambda z: z[..., :size]),
            Factor(
                *("switches", Bernoulli(), lambda parameters, z: parameters["prior_logits"]),
                value=lambda z: z[..., size:],
            ),
            Factor("observable", laplace, superposed, closed_form=expected),
        )

    def _means(self, parameters: Parameters, z: Tensor) -> Tensor:
        """μ_i(z_i), ``(..., S*H)`` or whole rows → ``(..., S, D)``: each network is run once."""
        latents, found = z[..., : self.streams * self.latent].split(self.latent, -1), []
        for stream, own in enumerate(latents):
            network = {name: parameters[name][stream] for name in self._network}
            seen = apply_hidden(network, len(self.hidden), self.activation, own)
            found.append(linear(network, "mean", seen))
        return torch.stack(found, -2)

    def _log_prob(self, parameters: Parameters, x: Tensor, z: Tensor) -> Tensor:
        """log p(x_n | z_np, s) for all s, ``(N, P, 2**S)``."""
        sums = binary_states(self.streams) @ self._means(parameters, z)
        error = (x[:, None, None] - sums).abs().sum(-1)
        log_scale = parameters["log_scale"]
        return -error * (-log_scale).exp() - self.observed * (log_scale + math.log(2))

    def decode_streams(self, parameters: Parameters, z: Tensor) -> Tensor:
        """μ_i(z_i) of every stream, switched on or off: ``(..., S*H + S)`` → ``(..., S, D)``."""
        return self._means(parameters, z)

    def decode(self, parameters: Parameters, z: Tensor) -> Tensor:
        return self.factors[-1].natural(parameters, z).chunk(2, -1)[0]

    def with_switches(self, parameters: Parameters, q: Gaussian | Amortized, x: Tensor) -> Switched:
        """q(z) with the exact q(s | z, x) ∝ p(s) p(x | z, s) at its nodes.

        Parameters
        ----------
        parameters, q, x
            The model's, a Gaussian over the latents z, ``(N, S*H)``, and data ``(N, D)``.

        Raises
        ------
        ValueError
            For a Gaussian over other latents, or for another number of data points.
        """
        z, size = q.nodes().z, self.streams * self.latent
        if (len(z), z.shape[-1]) != (len(x), size):
            raise ValueError(
                f"q must be over the {size} latents z of all streams, for each of {len(x)} data "
                f"points: got {z.shape[-1]} latents and {len(z)} points"
            )
        prior = parameters["prior_logits"] @ binary_states(self.streams).T
        return Switched(q, prior + self._log_prob(parameters, x, z))

    def resolved(self, parameters: Parameters, q: Variational | None, x: Tensor) -> Variational:
        q = super().resolved(parameters, q, x)
        if isinstance(q, Gaussian | Amortized):
            return self.with_switches(parameters, q, x)
        return q

    def check_q(self, q: Variational, points: int | None) -> None:
        if isinstance(q, Gaussian | Amortized):
            z = q.nodes().z
            q = Switched(q, z.new_zeros(*z.shape[:2], 2**self.streams))
        elif isinstance(q, Variational) and not isinstance(q, Switched):
            raise ValueError(
                "q must be a Switched, or a Gaussian over z, for streams with switches: got "
                f"{type(q).__name__}"
            )
        super().check_q(q, points)
        if isinstance(q, Switched) and q.logits.shape[-1] != 2**self.streams:
            raise ValueError(
                f"q must have {self.streams} switches: got {q.logits.shape[-1]} states of them"
            )

    def check_parameters(self, parameters: Parameters) -> None:
        super().check_parameters(parameters)
        check_logs(parameters, ("log_scale",))

    @property
    def latent_rescaling(self) -> float:
        return 0.5

    @property
    def log_scales(self) -> tuple[str, ...]:
        return ("log_scale",)

    def absorption(self, parameters: Parameters, rate: Tensor) -> dict[str, Tensor]:
        first = "hidden0.weights" if self.hidden else "mean.weights"
        rates = rate if rate.dim() == 0 else rate.reshape(self.streams, 1, self.latent)
        return {first: -rates * parameters[first]}

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        v = {name: torch.zeros_like(value) for name, value in parameters.items()}
        v |= self.absorption(parameters, torch.tensor(self.latent_rescaling).double())
        v |= {"prior_logits": parameters["prior_logits"]}
        return v | {"log_scale": -torch.ones_like(parameters["log_scale"])}

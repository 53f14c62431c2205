"""Hierarchical VAEs: decoders in a stack, each the prior of the layer below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from companion.models.scaled import check_logs
from companion.models.vae.gaussian import GaussianVAE
from companion.models.vae.networks import Decoder, Shapes
from companion.models.vae.student_t import StudentTVAE
from companion.support.checks import positive_integer
from companion.theory.model import Factor, Model, Parameters

__all__ = ["HierarchicalVAE", "own_parameters"]

_PRIOR = "prior_log_variance"


@dataclass(frozen=True, repr=False)
class HierarchicalVAE(Model):
    """p(z_L) … p(z_1 | z_2) p(x | z_1): ``layers`` are p(x | z_1), p(z_1 | z_2), …, p(z_L) last.

    A latent is the row z = (z_1, …, z_L); see :meth:`split`. Layer l ≥ 1 is a decoder whose
    observables are z_l, so that its ``observed`` is the ``latent`` of the layer below. Only the
    last may have ``learnable_prior``.

    Parameters: those of layer 0 by their own names, those of p(z_l | z_{l+1}) as ``z1.<name>``,
    ``z2.<name>``, …, and ``prior_log_variance`` ``(H_L,)`` if the prior of z_L is learned.

    v is that of every layer, with that of the prior: −1 on its log-variances, or −½ of the weights
    that read z_L, and q's z_L rescaled at rate ½. Each factor has an identity of its own
    (:func:`companion.factor_identities`); the entropy sum is
    mean H[q] − H[p(z_L)] − Σ_l E_q̄ H[p(z_l|z_{l+1})] − E_q̄ H[p(x|z_1)].

    Source: Rezende, Mohamed & Wierstra (2014), Sønderby et al. (2016) for the models; this
    companion for v.

    >>> model = HierarchicalVAE((GaussianVAE(6, 3, (8,)), GaussianVAE(3, 2, (4,), "pixel")))
    >>> [factor.name for factor in model.factors], model.latent_size
    (['prior', 'z1', 'observable'], 5)
    """

    layers: tuple[Decoder, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.layers, tuple | list):
            raise ValueError(f"layers must be a tuple: got {type(self.layers).__name__}")
        if len(self.layers) < 2:
            raise ValueError(f"layers must be two decoders or more: got {len(self.layers)}")
        if not isinstance(self.layers[0], Decoder):
            raise ValueError(f"layers[0] must be a VAE: got {type(self.layers[0]).__name__}")
        for k, (below, layer) in enumerate(zip(self.layers, self.layers[1:], strict=False), 1):
            if not isinstance(layer, GaussianVAE | StudentTVAE):
                raise ValueError(
                    f"layers[{k}] must have real values, those of z_{k}: got {type(layer).__name__}"
                )
            if layer.observed != below.latent:
                raise ValueError(
                    f"layers[{k}] must have as many observables as layers[{k - 1}] has latents, "
                    f"{below.latent}: got {layer.observed}"
                )
            if below.learnable_prior:
                raise ValueError(
                    f"layers[{k - 1}] must not have a learnable prior: its prior is layers[{k}]"
                )

    def __repr__(self) -> str:
        sizes = self.observed, *self.latents
        return f"{type(self).__name__} of sizes {', '.join(map(str, sizes))}"

    @property
    def observed(self) -> int:  # type: ignore[override]
        """Number of observables D."""
        return self.layers[0].observed

    @property
    def latents(self) -> tuple[int, ...]:
        """Sizes H_1, …, H_L of the layers of latents."""
        return tuple(layer.latent for layer in self.layers)

    @property
    def latent_size(self) -> int:
        return sum(self.latents)

    @property
    def has_gap_direction(self) -> bool:
        return all(getattr(layer, "has_gap_direction", True) for layer in self.layers)

    @property
    def latent_rescaling(self) -> float | Tensor:
        """½ for each entry of z_L, 0 for the others; 0 for a learnable prior."""
        if self.layers[-1].learnable_prior:
            return 0.0
        rates = torch.zeros(self.latent_size, dtype=torch.float64)
        rates[-self.latents[-1] :] = self.layers[-1].fixed_rate
        return rates

    @property
    def log_scales(self) -> tuple[str, ...]:
        return tuple(
            name for k, layer in enumerate(self.layers) for name in _named(k, layer.log_scales)
        )

    @property
    def shapes(self) -> Shapes:
        return {
            name: layer.shapes[own]
            for k, layer in enumerate(self.layers)
            for own, name in zip(layer.shapes, _named(k, layer.shapes), strict=True)
        }

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Random weights of variance 1/inputs, all else zero."""
        drawn: dict[str, Tensor] = {}
        for k, layer in enumerate(self.layers):
            drawn |= _joined(k, layer.initial_parameters(generator))
        return drawn

    def check(self, parameters: Parameters, x: Any) -> Tensor:
        data = super().check(parameters, x)
        logs = [name for name in self.shapes if "log_" in name and ".weights" not in name]
        check_logs(parameters, logs)
        return data

    def split(self, z: Tensor) -> tuple[Tensor, ...]:
        """z_1, …, z_L of the rows z = (z_1, …, z_L): ``(..., H_l)`` each."""
        return z.split(self.latents, -1)

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        v = {name: torch.zeros_like(value) for name, value in parameters.items()}
        for k, layer in enumerate(self.layers):
            own, top = own_parameters(k, parameters), k == len(self.layers) - 1
            moved = layer.gap_direction if top else layer.observable_direction
            v |= _joined(k, moved(own))
        return v

    def absorption(self, parameters: Parameters, rate: Tensor) -> dict[str, Tensor]:
        """Of a rescaling of z_L: −rate times the weights that read it."""
        top, last = len(self.layers) - 1, self.layers[-1]
        rates = rate if rate.dim() == 0 else rate[-last.latent :]
        return _joined(top, last.absorption(own_parameters(top, parameters), rates))

    @property
    def factors(self) -> tuple[Factor, ...]:
        return tuple(self._factors())

    def _factors(self) -> Iterator[Factor]:
        top = len(self.layers)
        yield self._of(top - 1, self.layers[-1].prior, "prior", top)
        for k in range(top - 1, 0, -1):
            yield self._of(k, self.layers[k].factors[1], f"z{k}", k)
        yield self._of(0, self.layers[0].factors[1], "observable", None)

    def _of(self, k: int, factor: Factor, name: str, value: int | None) -> Factor:
        """A factor of layer k as one of the whole: it reads z_{k+1}, and is of z_value or of x."""
        located, natural = factor.located, factor.natural

        def given(function: Any) -> Any:
            return lambda p, z: function(own_parameters(k, p), self.split(z)[k])

        return replace(
            factor,
            name=name,
            natural=given(natural),
            located=None if located is None else given(located),
            value=None if value is None else (lambda z: self.split(z)[value - 1]),
        )

    def decode(self, parameters: Parameters, z: Tensor) -> Tensor:
        """E[x | z], which depends on z_1 alone, ``(..., Σ H_l)`` → ``(..., D)``."""
        return self.layers[0].decode(parameters, self.split(z)[0])

    def sample(
        self, parameters: Parameters, count: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """So many draws of z ``(count, Σ H_l)``, from the top down, and of x ``(count, D)``."""
        z = torch.zeros(positive_integer(count, "count"), self.latent_size, dtype=torch.float64)
        drawn = z
        for k, factor in zip(range(len(self.layers), -1, -1), self.factors, strict=True):
            natural = factor.natural(parameters, z)
            drawn = factor.family.sample(natural.expand(count, natural.shape[-1]), generator)
            if k:
                z = torch.cat([*self.split(z)[: k - 1], drawn, *self.split(z)[k:]], -1)
        return z, drawn


def _named(k: int, names: Any) -> list[str]:
    """The names of layer k's parameters within the whole."""
    return [name if k == 0 or name == _PRIOR else f"z{k}.{name}" for name in names]


def _joined(k: int, own: Parameters) -> dict[str, Tensor]:
    """Layer l's parameters, or a block of v on them, by their names within the whole."""
    return dict(zip(_named(k, own), own.values(), strict=True))


def own_parameters(k: int, parameters: Parameters) -> dict[str, Tensor]:
    """The inverse: layer k's parameters by their own names, the prior's with the top layer's."""
    prefix = f"z{k}." if k else ""
    kept = {
        name.removeprefix(prefix): value
        for name, value in parameters.items()
        if (name.startswith(prefix) if k else name[:1] != "z") and name != _PRIOR
    }
    return kept | ({_PRIOR: parameters[_PRIOR]} if k and _PRIOR in parameters else {})

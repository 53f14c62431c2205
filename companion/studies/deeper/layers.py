"""Layers of a hierarchical VAE: their entropies, and what stands in for a width not learned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Normal

from companion.models import HierarchicalVAE
from companion.models.vae.hierarchical import own_parameters
from companion.models.vae.layered import Layered, part
from companion.support import tree
from companion.theory.factors import factor_identities
from companion.theory.identity import full_direction
from companion.theory.model import Parameters

__all__ = [
    "LayerEntropies",
    "gaps_by_torch",
    "layer_entropies",
    "log_q_by_torch",
    "outliers",
    "seen_from",
    "stretched",
]


def stretched(
    model: HierarchicalVAE, parameters: Parameters, q: Layered, layer: int
) -> dict[str, Tensor]:
    """v without a step of log σ² of z_l: z_l itself is stretched at rate ½ in its place.

    The mean of p(z_l | z_{l+1}) and q follow, and the weights that read z_l absorb it. For
    ``verify``'s ``direction``.

    Parameters
    ----------
    model, parameters, q
        A model whose layer p(z_l | z_{l+1}) is a Gaussian VAE with noise "scalar" or "pixel".
    layer
        l, from 1 to L − 1.
    """
    v = full_direction(model, parameters, q)
    name, rates = f"z{layer}.", torch.zeros(model.latent_size, dtype=torch.float64)
    model.split(rates)[layer - 1].fill_(0.5)
    v[f"{name}log_variance"] = torch.zeros_like(v[f"{name}log_variance"])
    below = f"z{layer - 1}." if layer > 1 else ""
    absorbed = {f"{below}{each}": -0.5 for each in model.layers[layer - 1].reads_latents}
    for each, rate in absorbed.items() | {(f"{name}mean.weights", 0.5), (f"{name}mean.bias", 0.5)}:
        v[each] = v[each] + rate * parameters[each]
    moved = tree.merge({}, q.rescaling(rates))
    return v | {each: v[each] + step for each, step in moved.items()}


@dataclass(frozen=True)
class LayerEntropies:
    """Of each layer z_1, …, z_L: entropy of p, entropy of q, and the gap of its factor, in nats."""

    prior: list[float]
    posterior: list[float]
    gap: list[float]

    @property
    def paid(self) -> list[float]:
        """Entropy of p less that of q: what each layer takes from the entropy sum."""
        return [p - q for p, q in zip(self.prior, self.posterior, strict=True)]


def layer_entropies(model: HierarchicalVAE, parameters: Parameters, q: Layered) -> LayerEntropies:
    """Entropies and gaps of all layers of latents, for the data of ``q``."""
    lines = factor_identities(model, parameters, q, q.x)[-2::-1]
    return LayerEntropies(
        [line.entropy for line in lines],
        q.entropies().mean(1).tolist(),
        [line.gap for line in lines],
    )


def outliers(x: Tensor, share: float, size: float, generator: torch.Generator) -> Tensor:
    """``x`` with ``±size`` added to that share of its entries, chosen at random."""
    hit = torch.rand(x.shape, dtype=x.dtype, generator=generator) < share
    sign = torch.randint(2, x.shape, generator=generator).to(x.dtype) * 2 - 1
    return x + size * hit * sign


def gaps_by_torch(model: HierarchicalVAE, parameters: Parameters, q: Layered) -> list[float]:
    """E log p + E H of x, z_1, …, z_L given the layer above, by ``torch.distributions``.

    For layers with noise "scalar" or "pixel" and a learned prior.
    """
    z, weights = q.nodes()
    values = [q.x[:, None], *model.split(z)]
    found = []
    for k, value in enumerate(values):
        if k < len(model.layers):
            own = _layer(model, parameters, k)
            centre, log_variance = model.layers[k].decode(own, values[k + 1]), own["log_variance"]
        else:
            centre, log_variance = torch.zeros_like(value), parameters["prior_log_variance"]
        density = Normal(centre, (0.5 * log_variance).exp().expand_as(centre))
        sides = (density.log_prob(value) + density.entropy()).sum(-1)
        found.append(float((sides * weights).sum(-1).mean()))
    return found


def log_q_by_torch(q: Layered) -> float:
    """E log q of a bottom-up q at its nodes, by ``torch.distributions``: −H for cubature nodes."""
    z, weights = q.nodes()
    inputs, total = q.x[:, None].expand(*z.shape[:2], -1), torch.zeros(z.shape[:2]).to(z)
    for name, value in zip(q.encoder.names, z.split(q.encoder.latents, -1), strict=True):
        own = part(q.encoder_parameters, name)
        mean, std = q.encoder.networks[name](own, inputs.flatten(0, 1))
        density = Normal(mean.view(value.shape), std.view(value.shape))
        total, inputs = total + density.log_prob(value).sum(-1), value
    return float((total * weights).sum(-1).mean())


def seen_from(model: HierarchicalVAE, parameters: Parameters, q: Layered) -> list[Tensor]:
    """x as the means of the layers below make it of q's z_1, of z_2, …: ``(N, D)`` each.

    Of each z_l the average over q's nodes is taken.
    """
    z, weights = q.nodes()
    seen = []
    for k, value in enumerate(model.split((z * weights[:, None]).sum(1))):
        for j in range(k, -1, -1):
            value = model.layers[j].decode(_layer(model, parameters, j), value)
        seen.append(value)
    return seen


def _layer(model: HierarchicalVAE, parameters: Parameters, k: int) -> dict[str, Tensor]:
    """The parameters of one decoder of the stack."""
    own = own_parameters(k, parameters)
    return {name: own[name] for name in model.layers[k].shapes}

"""The KL divergence as people compute it: in closed form, from samples, with a floor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor
from torch import distributions as td

from companion.models.own.looks import Look, Sample
from companion.models.own.outputs import normal_parts, per_point
from companion.models.own.programs import leaves_of

__all__ = ["FLOORS", "closed", "registered", "sampled"]

#: Powers of ten that people add inside logarithms.
SHIFTS = range(2, 9)


#: Forms of "free bits": the KL divergence with a floor, from its entries (points, latents).
FLOORS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "of the whole batch": lambda kl, bits: per_point(kl, len(kl)).clamp(min=bits),
    "of each data point": lambda kl, bits: kl.reshape(len(kl), -1).sum(1).clamp(min=bits).mean(),
    "of each latent, averaged over the batch": lambda kl, bits: kl.mean(0).clamp(min=bits).sum(),
    "of each latent and data point": lambda kl, bits: per_point(kl.clamp(min=bits), len(kl)),
}


def closed(
    found: Look,
    mean: Tensor,
    std: Tensor,
    normal: tuple[Tensor, Tensor],
    points: int,
    wide: bool,
    floors: Sequence[tuple[str, float]],
) -> None:
    """The KL divergence of normals by its terms, and what people write in their place.

    Parameters
    ----------
    found
        Where atoms and values are added.
    mean, std
        Of q.
    normal
        Mean and standard deviation of the prior.
    points
        Number of data points.
    wide
        Whether to add wrong terms and penalties.
    floors
        Floors under the divergence, by form.
    """
    centre, width = normal
    pieces = {
        "mu2": 0.5 * ((mean - centre) / width).square(),
        "tau2": 0.5 * (std / width).square(),
        "log": -std.log(),
    }
    if width.requires_grad:
        pieces["ps"] = width.log()
    elif widths := float(per_point(width.log(), points).detach()):
        found.constants["H log of the prior's std"] = widths
    if wide:
        pieces |= {"tau1": 0.5 * std, "tau4": 0.5 * std**4, "m1": mean}
        rest = pieces["mu2"] + pieces["tau2"] + pieces.get("ps", 0.0)
        for power in SHIFTS:
            pieces[f"kl 1e-{power} beside τ²"] = rest - 0.5 * (std.square() + 10.0**-power).log()
            pieces[f"kl 1e-{power} beside τ"] = rest - (std + 10.0**-power).log()
    kl = pieces["mu2"] + pieces["tau2"] - std.log() + width.log() - 0.5
    found.kl, found.floors = kl.detach(), dict(floors)
    for name, piece in pieces.items():
        found.take(name, per_point(piece, points))
    for form, bits in floors:
        found.take(f"kl {form}", FLOORS[form](kl, bits))
    if wide:
        _decay(found, {id(leaf) for leaf in leaves_of(mean.sum() + std.sum())})
    found.closed["H/2 (the −1 of the KL)"] = -mean[0].numel() / 2


def _decay(found: Look, of_encoder: set[int]) -> None:
    """Penalties on the parameters, and on those of one network alone."""
    kinds = {
        "decay weight decay (½ Σ θ²)": lambda p: (0.5 * p.square().sum(), p),
        "decay weight decay (½ Σ θ², biases left out)": lambda p: (
            0.5 * p.square().sum() * (p.dim() > 1),
            p * (p.dim() > 1),
        ),
        "decay an L1 penalty (Σ |θ|)": lambda p: (p.abs().sum(), p.sign()),
    }
    inside = [id(leaf) in of_encoder for leaf in found.program.leaves]
    networks = {
        "": [True] * len(inside),
        " of the encoder alone": inside,
        " of the decoder alone": [not each for each in inside],
    }
    for name, kind in kinds.items():
        for whose, chosen in networks.items():
            pairs = zip(found.program.leaves, chosen, strict=True)
            parts = [kind(leaf.detach() * counts) for leaf, counts in pairs]
            found.add(name + whose, [gradient for _, gradient in parts])
            for value, _ in parts:
                found.gain(name + whose, value)


def registered(found: Look, q: td.Distribution, prior: td.Distribution) -> None:
    """The KL divergence as torch knows it, if it does."""
    try:
        kl = td.kl_divergence(q, prior)
    except NotImplementedError:
        return
    found.take("klc", per_point(kl, kl.shape[0]))


def sampled(found: Look, q: td.Distribution, prior: td.Distribution, sample: Sample) -> None:
    """log q(z) − log p(z) at one of the samples: by way of z, and directly.

    Parameters
    ----------
    found
        Where atoms and values are added.
    q, prior
        The two distributions, of single latents where that is possible.
    sample
        z, with how it follows mean and std.
    """
    mean, std, share = sample.mean, sample.std, sample.share
    z, points = sample.z.detach().requires_grad_(), mean.shape[0]
    normal = normal_parts(prior) if std is not None else None
    if normal is not None:
        minus_log_p = per_point(0.5 * ((z - normal[0]) / normal[1]).square(), points)
    else:
        minus_log_p = -per_point(prior.log_prob(z), points)
    found.follow("zz", minus_log_p, sample, z)
    if std is None:
        found.follow("lq", per_point(q.log_prob(z), points), sample, z)
        return
    t = ((z - mean) / std).detach()
    found.gain("lq", per_point(-0.5 * t.square(), points), share)
    if normal is None:
        if "log" not in found.values:
            found.take("log", per_point(-std.log(), points))
        found.constants["H/2 log 2π of q"] = -mean[0].numel() / 2 * math.log(2 * math.pi)
    found.through("ld.m", mean, t / std / points, share)
    found.through("ld.t", std, t.square() / std / points, share)
    found.paths("lq", -t / std / points, sample)

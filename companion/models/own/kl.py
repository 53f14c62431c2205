"""The KL divergence as people compute it: in closed form, from samples, with a floor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor
from torch import distributions as td

from companion.models.own.looks import Look, Sample, paths, through
from companion.models.own.outputs import normal_parts, per_point
from companion.models.own.programs import Program, leaves_of

__all__ = ["FLOORS", "closed", "floored", "registered", "sampled"]

#: Powers of ten that people add inside logarithms.
SHIFTS = range(2, 9)


#: Forms of "free bits": a floor under the KL divergence of what.
FLOORS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "of the whole batch": lambda kl, bits: per_point(kl, len(kl)).clamp(min=bits),
    "of each data point": lambda kl, bits: kl.reshape(len(kl), -1).sum(1).clamp(min=bits).mean(),
    "of each latent, averaged over the batch": lambda kl, bits: kl.mean(0).clamp(min=bits).sum(),
    "of each latent and data point": lambda kl, bits: per_point(kl.clamp(min=bits), len(kl)),
}


def floored(form: str, kl: Tensor, bits: float) -> Tensor:
    """The KL divergence with a floor; ``kl`` has an entry for each data point and latent."""
    return FLOORS[form](kl, bits)


def closed(
    found: Look,
    program: Program,
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
    program
        Whose parameters they are gradients in.
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
    elif float(per_point(width.log(), points).detach()):
        found.constants["H log of the prior's std"] = float(per_point(width.log(), points).detach())
    if wide:
        pieces |= {"tau1": 0.5 * std, "tau4": 0.5 * std**4, "m1": mean}
        rest = pieces["mu2"] + pieces["tau2"] + pieces.get("ps", 0.0)
        for power in SHIFTS:
            pieces[f"kl 1e-{power} beside τ²"] = rest - 0.5 * (std.square() + 10.0**-power).log()
            pieces[f"kl 1e-{power} beside τ"] = rest - (std + 10.0**-power).log()
    for name, piece in pieces.items():
        value = per_point(piece, points)
        found.add(name, program.gradient(value))
        found.gain(name, value)
    found.kl = (pieces["mu2"] + pieces["tau2"] - std.log() + width.log() - 0.5).detach()
    for form, bits in floors:
        value = floored(form, pieces["mu2"] + pieces["tau2"] - std.log() + width.log() - 0.5, bits)
        found.add(f"kl {form}", program.gradient(value))
        found.gain(f"kl {form}", value)
        found.floors[form] = bits
    if wide:
        _decay(found, program, {id(leaf) for leaf in leaves_of(mean.sum() + std.sum())})
    found.closed["H/2 (the −1 of the KL)"] = -mean[0].numel() / 2


def _decay(found: Look, program: Program, of_encoder: set[int]) -> None:
    """Penalties on the parameters, and on those of one network alone."""
    kinds = {
        "decay weight decay (½ Σ θ²)": lambda p: (0.5 * p.square().sum(), p),
        "decay weight decay (½ Σ θ², biases left out)": lambda p: (
            0.5 * p.square().sum() * (p.dim() > 1),
            p * (p.dim() > 1),
        ),
        "decay an L1 penalty (Σ |θ|)": lambda p: (p.abs().sum(), p.sign()),
    }
    inside = [id(leaf) in of_encoder for leaf in program.leaves]
    networks = {
        "": [True] * len(inside),
        " of the encoder alone": inside,
        " of the decoder alone": [not each for each in inside],
    }
    for name, kind in kinds.items():
        for whose, chosen in networks.items():
            pairs = zip(program.leaves, chosen, strict=True)
            parts = [kind(leaf.detach() * counts) for leaf, counts in pairs]
            found.add(name + whose, [gradient for _, gradient in parts])
            for value, _ in parts:
                found.gain(name + whose, value)


def registered(found: Look, program: Program, q: td.Distribution, prior: td.Distribution) -> None:
    try:
        kl = td.kl_divergence(q, prior)
    except NotImplementedError:
        return
    value = per_point(kl, kl.shape[0])
    found.add("klc", program.gradient(value))
    found.gain("klc", value)


def sampled(
    found: Look,
    program: Program,
    q: td.Distribution,
    prior: td.Distribution,
    mean: Tensor,
    std: Tensor | None,
    sample: Sample,
    draws: int,
) -> None:
    """log q(z) − log p(z) at one of the samples: by way of z, and directly.

    Parameters
    ----------
    found
        Where atoms and values are added.
    program
        Whose parameters they are gradients in.
    q, prior
        The two distributions, of single latents where that is possible.
    mean, std
        Of q; std is ``None`` where q is not normal.
    sample
        z, with how it follows mean and std.
    draws
        How many samples there are in all.
    """
    share, points = 1 / draws, mean.shape[0]
    z = sample.z.detach().requires_grad_()
    normal = normal_parts(prior)
    plain = std is not None and normal is not None
    if plain and normal is not None:
        minus_log_p = per_point(0.5 * ((z - normal[0]) / normal[1]).square(), points)
    else:
        minus_log_p = -per_point(prior.log_prob(z), points)
    *direct, by_z = program.gradient(minus_log_p, z)
    found.add("zz.d", direct, share)
    found.gain("zz", minus_log_p, share)
    paths(found, program, "zz", by_z, mean, std, sample, share)
    if std is not None:
        t = ((z - mean) / std).detach()
        found.values["lq"] = found.values.get("lq", 0.0) - share * float(
            per_point(0.5 * t.square(), points)
        )
        if not plain:
            entropy = per_point(-std.log(), points)
            if "log" not in found.values:
                found.add("log", program.gradient(entropy))
                found.gain("log", entropy)
            found.constants["H/2 log 2π of q"] = -mean[0].numel() / 2 * math.log(2 * math.pi)
        found.add("ld.m", through(program, mean, None, t / std / points, None), share)
        found.add("ld.t", through(program, mean, std, None, t.square() / std / points), share)
        paths(found, program, "lq", -t / std / points, mean, std, sample, share)
        return
    log_q = per_point(q.log_prob(z), points)
    *direct, by_z = program.gradient(log_q, z)
    found.add("lq.d", direct, share)
    found.gain("lq", log_q, share)
    paths(found, program, "lq", by_z, mean, None, sample, share)

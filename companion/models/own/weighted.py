"""Losses that are no ELBO of one layer: importance-weighted bounds, and more noise than q has."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch import distributions as td

from companion.models.own.doors import noises_of
from companion.models.own.looks import Noise
from companion.models.own.noise import Draw, set_state
from companion.models.own.outputs import normal_parts
from companion.models.own.programs import Program
from companion.models.own.regress import rows
from companion.models.own.temper import stripped
from companion.models.own.terms import shaped
from companion.models.own.verdict import Judgement

__all__ = ["other_bound", "unexplained"]


def other_bound(
    program: Program,
    target: Tensor,
    q: td.Distribution,
    prior: td.Distribution,
    decode: Callable[[Tensor], td.Distribution],
    x: Tensor,
    draws: list[Draw],
    tolerance: float,
) -> Judgement | None:
    """What a loss is that is none of one sample and one layer of latents, if that can be told.

    Parameters
    ----------
    program, target
        In whose parameters gradients are, and that of the loss in one row.
    q, prior
        Of single latents.
    decode
        z to p(x|z).
    x
        Data.
    draws
        What the loss drew.
    tolerance
        How far off gradients may be.
    """
    for noise in noises_of(draws, q):
        if (bound := _weighted_bound(q, prior, decode, x, noise)) is None:
            continue
        found = torch.cat(rows(program.gradient(-bound)))
        share = target @ found / (found @ found).clamp(min=1e-300)
        if bool((target - share * found).norm() <= tolerance * target.norm()):
            sentence = f"It is the importance-weighted bound of {len(noise.values)} samples"
            return Judgement(False, False, [f"{sentence}, not the ELBO: see iwae_bound."])
    size = q.mean.numel()
    other = [tuple(d.noise.shape) for d in draws if d.noise is not None and d.noise.numel() % size]
    if not other:
        return None
    sentence = (
        f"The loss draws noise of shape {other[0]}, which the encoder's q has no latents for: a "
        "hierarchy of latents must be given as one q over all of them, or as a program to "
        "verify_pyro."
    )
    return Judgement(False, False, [sentence])


def _weighted_bound(
    q: td.Distribution,
    prior: td.Distribution,
    decode: Callable[[Tensor], td.Distribution],
    x: Tensor,
    noise: Noise,
) -> Tensor | None:
    """(1/N) Σ_n log (1/K) Σ_k p(x_n, z_nk)/q_n(z_nk) for two samples or more of a normal q."""
    normal, logs = normal_parts(q), []
    if normal is None or len(noise.values) < 2:
        return None
    for each, after in zip(noise.values, noise.after, strict=True):
        z = normal[0] + normal[1] * each.reshape(normal[0].shape).to(normal[0])
        set_state(after)
        p = decode(z)
        densities = (stripped(p).log_prob(shaped(p, x)), prior.log_prob(z), -q.log_prob(z))
        logs.append(torch.stack([d.reshape(len(x), -1).sum(1) for d in densities]).sum(0))
    return torch.logsumexp(torch.stack(logs), 0).mean() - math.log(len(logs))


def unexplained(drawn: bool) -> Judgement:
    """Of a loss that nothing fits; without noise that was seen, nothing is said."""
    if drawn:
        return Judgement(False, False, ["Its gradient is no combination of the terms known here."])
    sentence = (
        "No noise was seen that q could be made of, so nothing is said: draw it with torch, one "
        "number for each latent."
    )
    return Judgement(None, None, [], [sentence])

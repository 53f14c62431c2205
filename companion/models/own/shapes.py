"""Forms of the KL divergence that weights and values tell together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from companion.models.own.looks import Look
from companion.models.own.outputs import per_point
from companion.models.own.words import sum_of

__all__ = ["known_shape"]


def known_shape(
    weights: Sequence[dict[str, float]],
    left: Sequence[tuple[float, float]],
    looks: Sequence[Look],
    tolerance: float,
) -> str | None:
    """A sentence if the KL divergence has a capacity, a floor or another prior; else ``None``.

    Parameters
    ----------
    weights
        Of the columns in each sight, relative to which the reconstruction's is one.
    left
        What they leave of the value in each sight, with the round-off allowed.
    looks
        At the pieces in each sight.
    tolerance
        On weights.
    """
    if not weights:
        return None
    shares = [{label: w[label] / w["recon"] for label in w} for w in weights]
    rests = [rest for rest, _ in left]
    near = max(10 * allowed for _, allowed in left) + tolerance
    if list(weights[0]) == ["recon", "kl"]:
        ratios = [share["kl"] for share in shares]
        return (
            _capacity(ratios, rests, near, looks[0], tolerance)
            or _floor(ratios, rests, near, tolerance)
            or _square(ratios, rests, near, looks, tolerance)
        )
    if {"mu2", "tau2", "log"} <= set(weights[0]):
        return _prior(shares[min(1, len(shares) - 1)], rests, near, looks[0], tolerance)
    return None


def _capacity(
    ratios: list[float], rests: list[float], near: float, look: Look, tolerance: float
) -> str | None:
    gamma = max(map(abs, ratios))
    if not gamma or any(abs(abs(r) / gamma - 1) > tolerance for r in ratios):
        return None
    capacities = [-rest / r for rest, r in zip(rests, ratios, strict=True)]
    if max(capacities) - min(capacities) > near or capacities[0] <= near:
        return None
    plain = abs(gamma - 1) <= tolerance or sum_of(-rests[0], look.constants | look.closed, near)
    if min(ratios) > 0 and plain:
        return None
    return (
        f"The KL divergence has a capacity: it enters as {gamma:.6g} · |KL − {capacities[0]:.6g}|."
    )


def _square(
    ratios: list[float], rests: list[float], near: float, looks: Sequence[Look], tolerance: float
) -> str | None:
    """γ (KL − C)²: its gradient is 2γ (KL − C) ∇KL."""
    kls = [float(per_point(look.kl, len(look.kl))) for look in looks if look.kl is not None]
    if len(kls) < max(2, len(ratios)) or max(kls) - min(kls) <= near:
        return None
    low, high = kls.index(min(kls)), kls.index(max(kls))
    gamma = (ratios[high] - ratios[low]) / (2 * (kls[high] - kls[low]))
    if abs(gamma) <= tolerance:
        return None
    capacity = kls[low] - ratios[low] / (2 * gamma)
    for kl, ratio, rest in zip(kls, ratios, rests, strict=True):
        wanted = gamma * (kl - capacity) ** 2
        size = tolerance * max(map(abs, ratios)) * (1 + abs(kl))
        if abs(2 * gamma * (kl - capacity) - ratio) > size:
            return None
        if abs(rest + ratio * kl - wanted) > near + size:
            return None
    return f"The KL divergence has a capacity: it enters as {gamma:.6g} · (KL − {capacity:.6g})²."


def _floor(ratios: list[float], rests: list[float], near: float, tolerance: float) -> str | None:
    below = [rest for rest, r in zip(rests, ratios, strict=True) if abs(r) <= tolerance]
    whole = all(abs(r) <= tolerance or abs(r - 1) <= tolerance for r in ratios)
    if not below or not whole or max(below) - min(below) > near or below[0] <= near:
        return None
    return (
        f"The KL divergence has free bits: the one of the whole batch is kept above {below[0]:.6g}."
    )


def _prior(
    share: dict[str, float], rests: list[float], near: float, look: Look, tolerance: float
) -> str | None:
    a = share["mu2"]
    usual = abs(a - share["tau2"]) <= tolerance and abs(share["log"] - 1) <= tolerance
    if not usual or a <= tolerance or abs(a - 1) <= tolerance:
        return None
    extra = look.latents / 2 * math.log(1 / a)
    ending = (
        "." if all(abs(rest - extra) <= near for rest in rests) else ", and a constant is lost."
    )
    return (
        f"The KL divergence is that from a prior of variance {1 / a:.6g}, not from the prior "
        f"given{ending}"
    )

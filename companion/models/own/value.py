"""The value of a loss against the values of the terms that its gradient is made of."""

from __future__ import annotations

import math

from companion.models.own.hypotheses import Fit, Sight, parts_of
from companion.models.own.looks import Look

__all__ = ["EXTRA", "left_over"]

#: Terms that a KL divergence should not have.
EXTRA = {"m1": "Σ μ", "tau1": "½ Σ τ", "tau4": "½ Σ τ⁴"}


def left_over(
    fit: Fit, sights: list[Sight], scale: str, tolerance: float
) -> list[tuple[float, float]]:
    """What the terms leave of the value in each sight, and the round-off allowed, per point.

    Parameters
    ----------
    fit
        What the gradient is made of.
    sights
        The loss at several settings.
    scale
        Label of the column whose weight is the unit.
    tolerance
        Round-off, relative to the sum of all terms.
    """
    left = []
    for sight, weights in zip(sights, fit.weights, strict=True):
        terms = _terms(fit, sight.looks[fit.key], weights, scale)
        unit = weights[scale]
        rest = (sight.value - math.fsum(terms)) / unit
        allowed = tolerance * math.fsum(map(abs, (*terms, sight.value)))
        left.append((rest, allowed / abs(unit)))
    return left


def _terms(fit: Fit, look: Look, weights: dict[str, float], scale: str) -> list[float]:
    guess, kind = fit.guess, fit.guess.kind
    whole = weights.get("all", weights[scale])
    found = []
    recon = weights.get("recon", weights.get("recon.d", whole))
    if guess.stand:
        recon = weights.get(guess.stand, recon)
        found.append(recon * look.values[guess.stand])
        found.append(recon * look.stands[guess.stand.removeprefix("other ")].constant)
    else:
        for part in parts_of(look):
            found.append(weights.get(part, weights.get(f"{part}.d", recon)) * look.values[part])
        found += [recon * constant for constant in look.constants.values()]
    kl = weights.get("kl", whole)
    names = ["mu2", "tau2", "log", "ps"] if kind == "closed" else ["zz", "lq", "log", "ps"]
    if kind == "closed" and "klc" in look.values:
        names = ["klc"]
    if kind.startswith("kl "):
        names = [kind]
    inner = any(name in weights for name in ("mu2", "log"))
    for name in names:
        if name in look.values:
            found.append(weights.get(name, kl) * look.values[name])
    if kind == "closed" or kind.startswith("kl 1e"):
        share = weights["log"] if inner else kl
        found += [share * constant for constant in look.closed.values()]
    for extra in weights:
        if extra.startswith("decay ") or extra in EXTRA:
            found.append(weights[extra] * look.values[extra])
    return found

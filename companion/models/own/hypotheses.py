"""What a loss's gradient may be made of: sets of columns, the simplest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from companion.models.own.kl import FLOORS
from companion.models.own.looks import Look
from companion.models.own.regress import combination, scales

__all__ = ["Column", "Fit", "Guess", "Key", "Sight", "first_fit", "free_bits", "narrow", "wide"]

#: An atom's share in a column.
Column = dict[str, float]
#: Reading of the encoder, number of the noise, how z is made.
Key = tuple[str, int, str]


@dataclass(frozen=True)
class Guess:
    """Columns by label; ``kind`` of KL; ``stand`` is what takes the reconstruction's place."""

    kind: str
    columns: dict[str, Column]
    stand: str = ""


@dataclass(frozen=True)
class Sight:
    """The loss at one setting: value, gradient (rows by parameter), and the looks at its pieces."""

    points: int
    value: float
    target: list[Tensor]
    looks: dict[Key, Look]


@dataclass(frozen=True)
class Fit:
    """A guess that fits in every sight, with the weights of its columns in each."""

    key: Key
    guess: Guess
    weights: list[dict[str, float]]
    distance: float

    def power(self, label: str, points: list[int], tolerance: float) -> int | None:
        """p if the weight grows as N to the p (0, 1 or −1) and else is one; ``None``: it varies."""
        seen = [weights[label] for weights in self.weights]
        sizes = [max(map(abs, weights.values())) for weights in self.weights]
        for p in (0, 1, -1):
            scaled = [w / n**p for w, n in zip(seen, points, strict=True)]
            size = max(size / n**p for size, n in zip(sizes, points, strict=True))
            if all(abs(a - b) <= tolerance * size for a, b in pairwise(scaled)):
                return p
        return None


def parts_of(look: Look) -> list[str]:
    """Names of the reconstruction's parts."""
    return [name for name in ("sq", "lv", "nll") if name in look.values]


def spread(look: Look, name: str) -> Column:
    """All paths of a part."""
    return {atom: 1.0 for atom in look.atoms if atom.rpartition(".")[0] == name}


def single(names: Iterable[str]) -> dict[str, Column]:
    """A column for each atom."""
    return {name: {name: 1.0} for name in names}


def kls(look: Look) -> dict[str, Column]:
    """The KL divergence, as people compute it."""
    atoms = look.atoms
    terms = ("mu2", "tau2", "log", "ps") if "mu2" in atoms else ("klc",)
    closed: Column = {name: 1.0 for name in terms if name in atoms}
    path = [*spread(look, "zz"), *("lq.m", "lq.t", "lq.z", "ps")]
    through: Column = {name: 1.0 for name in path if name in atoms}
    direct: Column = {name: 1.0 for name in ("lq.d", "ld.m", "ld.t", "log") if name in atoms}
    every = {"closed": closed, "sampled": through | direct, "path": through}
    return {kind: column for kind, column in every.items() if column}


def narrow(look: Look, recon: dict[str, Column] | None = None) -> Iterator[list[Guess]]:
    """Tiers of guesses, from the right program on."""
    stand = "" if recon is None else next(iter(recon))
    recon = {name: spread(look, name) for name in parts_of(look)} if recon is None else recon
    whole = {atom: 1.0 for column in recon.values() for atom in column}
    forms = kls(look)
    yield [Guess(kind, {"all": whole | kl}, stand) for kind, kl in forms.items()]
    yield [Guess(kind, {"recon": whole, "kl": kl}, stand) for kind, kl in forms.items()]
    if len(recon) > 1:
        yield [Guess(kind, recon | {"kl": kl}, stand) for kind, kl in forms.items()]
    inner = single(name for name in forms.get("closed", {}) if name != "klc")
    if inner:
        yield [Guess("closed", {"recon": whole} | inner, stand)]
    paths = {
        f"recon.{path}": {atom: 1.0 for atom in whole if atom.endswith(f".{path}")}
        for path in dict.fromkeys(atom.rpartition(".")[2] for atom in whole)
    }
    yield [Guess(kind, paths | {"kl": kl}, stand) for kind, kl in forms.items()]
    if inner:
        yield [Guess("closed", paths | inner, stand)]
        yield [Guess("closed", recon | inner, stand)]
    loose = single(name for name in forms.get("sampled", {}) if not name.startswith("ld."))
    if loose:
        yield [Guess("sampled", {"recon": whole} | loose, stand)]
        yield [Guess("sampled", paths | loose, stand)]
    if len(recon) > 1 and inner:
        yield [Guess("closed", single(whole) | inner, stand)]


def wide(look: Look) -> Iterator[list[Guess]]:
    """Tiers with what stands in the place of a term, or beside the terms."""
    forms = kls(look)
    whole = {atom: 1.0 for name in parts_of(look) for atom in spread(look, name)}
    extras = [name for name in look.atoms if name.startswith("decay ")]
    for apart in (False, True):
        for extra in extras:
            more: dict[str, Column] = {extra: {extra: 1.0}}
            yield [
                Guess(kind, ({"recon": whole, "kl": kl} if apart else {"all": whole | kl}) | more)
                for kind, kl in forms.items()
            ]
    for name in look.atoms:
        if name.startswith("kl "):
            yield [Guess(name, {"all": whole | {name: 1.0}})]
            yield [Guess(name, {"recon": whole, "kl": {name: 1.0}})]
    if "mu2" in look.atoms:
        inner = single(name for name in ("mu2", "tau2", "log", "ps") if name in look.atoms)
        for extra in ("m1", "tau1", "tau4"):
            yield [Guess("closed", {"recon": whole} | inner | single([extra]))]
    if len(parts_of(look)) > 1 and "other sq1.d" in look.atoms:
        for name in ("other sq1", "other sq4"):
            mixed = {name: spread(look, name), "lv": spread(look, "lv")}
            yield [Guess(kind, mixed | {"kl": kl}, name) for kind, kl in forms.items()]
    for stand in look.stands:
        yield from narrow(look, {f"other {stand}": spread(look, f"other {stand}")})


def first_fit(
    sights: list[Sight], keys: list[Key], guesses: list[list[Guess]], floor: float, tolerance: float
) -> tuple[Fit | None, Fit | None]:
    """The first guess, then the first key, that fits in every sight with weights of one law.

    Beside it, the first that fits with weights that vary in no such way; ``None`` without any.

    Parameters
    ----------
    sights
        The loss and the pieces of the reference, at several settings.
    keys
        Which looks are tried, in this order.
    guesses
        Tiers of guesses, the simplest first.
    floor
        Share of the largest block of the gradient below which a block counts for less.
    tolerance
        Distance, relative to the gradient, up to which a guess fits.
    """
    points = [sight.points for sight in sights]
    spare = None
    for tier in guesses:
        for key in keys:
            for guess in tier:
                fit = _fit(sights, key, guess, floor, tolerance)
                if fit is None:
                    continue
                if all(
                    fit.power(label, points, 1e2 * tolerance) is not None for label in guess.columns
                ):
                    return fit, spare
                spare = spare or fit
    return None, spare


def _fit(sights: list[Sight], key: Key, guess: Guess, floor: float, tolerance: float) -> Fit | None:
    weights, worst = [], 0.0
    if not all(key in sight.looks for sight in sights):
        return None
    for sight in sights:
        atoms = sight.looks[key].atoms
        names = [name for column in guess.columns.values() for name in column]
        if not all(name in atoms for name in names):
            return None
        row = scales(sight.target, floor)
        columns = torch.stack(
            [
                sum((share * atoms[name] for name, share in column.items()), torch.zeros_like(row))
                for column in guess.columns.values()
            ],
            dim=1,
        )
        found, distance = combination(torch.cat(sight.target) / row, columns / row[:, None])
        if not distance <= tolerance:
            return None
        worst = max(worst, distance)
        weights.append(dict(zip(guess.columns, found.tolist(), strict=True)))
    return Fit(key, guess, weights, worst)


def free_bits(sights: list[Sight], key: Key) -> list[tuple[str, float]]:
    """Forms of a floor under the KL divergence, with the floor that the loss's values ask for.

    Found from the value at one setting, for a loss per data point or one summed over the batch.
    """
    at = min(1, len(sights) - 1)
    sight, look = sights[at], sights[at].looks[key]
    if look.kl is None:
        return []
    rest = sum(look.values[name] for name in parts_of(look)) + sum(look.constants.values())
    found = []
    for scale in (1.0, float(sight.points)):
        wanted = sight.value / scale - rest
        for form in FLOORS:
            low, high = 0.0, max(wanted, 0.0) + 1.0
            if not _kl(form, look, low) < wanted < _kl(form, look, high):
                continue
            for _ in range(200):
                middle = (low + high) / 2
                low, high = (middle, high) if _kl(form, look, middle) < wanted else (low, middle)
            found.append((form, high))
    return found


def _kl(form: str, look: Look, bits: float) -> float:
    assert look.kl is not None
    return float(FLOORS[form](look.kl, bits))

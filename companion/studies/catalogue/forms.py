"""The direction v in words, read off its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from companion.families.numerics import softplus

__all__ = ["FORMS", "OTHER", "in_words", "matching_forms"]

Tensors = Mapping[str, Tensor]

#: What a block of v may be as a function of the parameter θ that it moves.
FORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "0": torch.zeros_like,
    "1": torch.ones_like,
    "−1": lambda t: -torch.ones_like(t),
    "½": lambda t: torch.full_like(t, 0.5),
    "−½": lambda t: torch.full_like(t, -0.5),
    "θ": lambda t: t,
    "−θ": lambda t: -t,
    "θ/2": lambda t: t / 2,
    "−θ/2": lambda t: -t / 2,
    "1 − 1/eᶿ": lambda t: -torch.expm1(-t),
    "1 + 1/eᶿ": lambda t: 1 + torch.exp(-t),
    "log(1+eᶿ)/σ(θ)": lambda t: softplus(t) / torch.sigmoid(t),
    "−log(1+1/eᶿ)/σ(−θ)": lambda t: -softplus(-t) / torch.sigmoid(-t),
}

#: The same as a function of another parameter, whose name takes the place of φ.
OTHER: dict[str, Callable[[Tensor], Tensor]] = {
    "−exp(φ)": lambda t: -t.exp(),
    "−½ − ½ exp(−φ)": lambda t: -0.5 * (1 + torch.exp(-t)),
}

_TOLERANCE = 1e-12


def matching_forms(points: Sequence[tuple[Tensors, Tensors]]) -> dict[str, str]:
    """For each block of v the form that it has at all ``points``, or ``"other"``.

    A point is a pair (parameters, v), both with the same names. Forms are compared entry by entry,
    to 1e-12 relative to the largest entry; of several that match, the first of ``FORMS`` is taken.

    >>> theta = {"a": torch.tensor([0.3, -2.0]).double(), "b": torch.tensor([1.0, 5.0]).double()}
    >>> v = {"a": -theta["a"] / 2, "b": torch.ones(2).double()}
    >>> matching_forms([(theta, v)])
    {'a': '−θ/2', 'b': '1'}
    """
    return {name: _form(name, points) for name in points[0][1]}


def _form(name: str, points: Sequence[tuple[Tensors, Tensors]]) -> str:
    for text, form in FORMS.items():
        if all(_equal(v[name], form(theta[name])) for theta, v in points):
            return text
    for other in points[0][0]:
        for text, form in OTHER.items():
            if all(_equal(v[name], form(theta[other])) for theta, v in points):
                return text.replace("φ", other)
    return "other"


def _equal(block: Tensor, form: Tensor) -> bool:
    if block.shape != form.shape:
        return False
    return float((block - form).abs().max()) <= _TOLERANCE * (1 + float(block.abs().max()))


def in_words(forms: Mapping[str, str]) -> str:
    """Blocks of v by form, for example ``"−θ/2: weights; −1: log_variance"``; zeros are left out.

    >>> in_words({"weights": "−θ/2", "mean": "0", "log_variance": "−1"})
    '−θ/2: weights; −1: log_variance'
    """
    names: dict[str, list[str]] = {}
    for name, form in forms.items():
        if form != "0":
            names.setdefault(form, []).append(name)
    return "; ".join(f"{form}: {', '.join(blocks)}" for form, blocks in names.items()) or "0"

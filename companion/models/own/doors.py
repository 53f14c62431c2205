"""What comes in by the doors of ``verify_vae``: data, losses, and the noise of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import distributions as td

from companion.models.own.looks import Noise
from companion.models.own.noise import Draw, state
from companion.models.own.temper import stripped
from companion.support.checks import as_numbers

__all__ = ["as_points", "noises_of", "scalar_of", "sum_of_tensors"]


def as_points(x: Any) -> Tensor:
    """Data as a finite tensor, points along the first dimension, in a dtype of their own.

    Raises
    ------
    ValueError
        If x holds no real numbers, is empty, masked, sparse or not finite.
    """
    checked = as_numbers(x, "x")
    if checked.dim() == 0 or checked.numel() == 0:
        raise ValueError(
            f"x must hold data points along its first dimension: got shape {tuple(checked.shape)}"
        )
    if isinstance(x, Tensor):
        return x.detach()
    single = getattr(x, "dtype", None) == np.float32
    return checked.float() if single else checked


def scalar_of(given: Any) -> Tensor:
    """The loss from what a loss function returned."""
    value = given["loss"] if isinstance(given, dict) and "loss" in given else given
    value = getattr(value, "loss", value)
    if not isinstance(value, Tensor) or value.numel() != 1:
        shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
        raise ValueError(
            "loss must return a scalar tensor, or something with an entry loss: got "
            f"{type(given).__name__}{shape}"
        )
    if not bool(torch.isfinite(value.detach()).all()):
        raise ValueError(f"loss must be finite: got {float(value.detach())}")
    if not value.requires_grad:
        raise ValueError("loss must depend on the parameters: it has no gradient")
    return value.reshape(())


def sum_of_tensors(p: td.Distribution) -> Tensor:
    """A number that hangs on all that a distribution was made of."""
    held, waiting = [], [stripped(p)]
    while waiting:
        for value in vars(waiting.pop()).values():
            if isinstance(value, td.Distribution):
                waiting.append(value)
            elif isinstance(value, Tensor):
                held.append(value)
    return torch.stack(
        [value.double().sum().cpu() for value in held if value.is_floating_point()]
    ).sum()


def noises_of(draws: list[Draw], q: td.Distribution) -> list[Noise]:
    """The noises that q's sample may have been made of, the likeliest first."""
    q = stripped(q)
    mean, normal = q.mean, isinstance(q, td.Normal)
    found = []
    for draw in draws:
        if not normal:
            found.append(Noise(torch.zeros(1), [draw.before], [draw.after]))
        elif draw.noise is not None and draw.noise.numel() % mean.numel() == 0:
            if draw.noise.numel():
                values = draw.noise.reshape(-1, *mean.shape)
                found.append(Noise(values, [draw.before] * len(values), [draw.after] * len(values)))
    if not found:
        now = state()
        return [Noise(torch.zeros(1, *mean.shape), [now], [now])]
    single = [noise for noise in found if len(noise.values) == 1]
    if normal and len(single) > 1:
        together = Noise(
            torch.cat([noise.values for noise in single]),
            [noise.before[0] for noise in single],
            [noise.after[0] for noise in single],
        )
        found.insert(0, together)
    return found[:4]

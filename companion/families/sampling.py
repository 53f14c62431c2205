"""Draws from NumPy's generators, seeded by torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["numpy_draw"]


def numpy_draw(method: str, *arguments: Tensor | int, generator: torch.Generator | None) -> Tensor:
    """float64 draws of ``numpy.random.Generator.<method>(*arguments)``, one per entry.

    The NumPy generator is seeded with one draw from ``generator`` (torch's global one for
    ``None``), so that one torch seed still decides everything.
    """
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    plain: list[Any] = [a.numpy() if isinstance(a, Tensor) else a for a in arguments]
    draws = getattr(np.random.default_rng(seed), method)(*plain)
    return torch.as_tensor(np.asarray(draws), dtype=torch.float64)

"""What the families need and torch lacks: an exact softplus, power series, NumPy's draws."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["log_gamma_ratio_series", "numpy_draw", "polynomial", "positive", "slopes", "softplus"]

Coefficients = tuple[float, ...]


def softplus(a: Tensor) -> Tensor:
    """log(1 + eᵃ) to full precision everywhere.

    ``torch.nn.functional.softplus`` switches to the identity at 20, an error of 2e-9 that the
    identity of this companion would show; this form has none, and its derivatives are right at 0
    too, where those of forms with the absolute value of a are not.

    >>> float(softplus(torch.tensor(21.0, dtype=torch.float64)) - 21) > 0
    True
    """
    return -torch.nn.functional.logsigmoid(-a)


def positive(value: Tensor) -> Tensor:
    """The value where it is positive, NaN elsewhere: what is no parameter then has no density."""
    return torch.where(value > 0, value, torch.nan)


def numpy_draw(method: str, *arguments: Tensor | int, generator: torch.Generator | None) -> Tensor:
    """float64 draws of ``numpy.random.Generator.<method>(*arguments)``, one per entry.

    The NumPy generator is seeded with one draw from ``generator`` (torch's global one for
    ``None``), so that one torch seed still decides everything.
    """
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    plain: list[Any] = [a.detach().numpy() if isinstance(a, Tensor) else a for a in arguments]
    try:
        draws = getattr(np.random.default_rng(seed), method)(*plain)
    except ValueError as error:
        raise ValueError(f"natural must be of moderate size to draw from ({error})") from error
    return torch.as_tensor(np.asarray(draws), dtype=torch.float64)


def polynomial(coefficients: Coefficients, x: Tensor) -> Tensor:
    """Σ_j c_j xʲ, elementwise, in a number of operations that grows with the log of the degree.

    >>> polynomial((1.0, 2.0, 3.0), torch.tensor([0.0, 10.0]))
    tensor([  1., 321.])
    """
    size = 1 << (len(coefficients) - 1).bit_length()
    padded = coefficients + (0.0,) * (size - len(coefficients))
    value = torch.tensor(padded, dtype=x.dtype, device=x.device)
    power = x[..., None]
    while value.shape[-1] > 1:
        value = value[..., 0::2] + value[..., 1::2] * power
        power = power * power
    return value[..., 0].expand_as(x)


def slopes(coefficients: Coefficients) -> Coefficients:
    """The coefficients of the polynomial's derivative."""
    return tuple(j * c for j, c in enumerate(coefficients))[1:]


@cache
def log_gamma_ratio_series() -> Coefficients:
    """c_k with log Γ(a + ½)/Γ(a) = ½ log a − Σ_k c_k a^{1−2k}, k = 1, 2, …, asymptotically.

    c_k = (1 − 4⁻ᵏ) B_{2k}/(k(2k − 1)) with Bernoulli's numbers; ten terms are exact to round-off
    from a = 10 on.

    >>> log_gamma_ratio_series()[0]
    0.125
    """
    bernoulli = [Fraction(1)]
    for n in range(1, 21):
        total, binomial = Fraction(0), 1
        for k in range(n):
            total += binomial * bernoulli[k]
            binomial = binomial * (n + 1 - k) // (k + 1)
        bernoulli.append(-total / (n + 1))
    terms = ((1 - Fraction(1, 4**k)) * bernoulli[2 * k] / (k * (2 * k - 1)) for k in range(1, 11))
    return tuple(map(float, terms))

"""Power series in tensors, for the special functions that torch lacks or gives too roughly."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

__all__ = ["log_gamma_ratio_series", "polynomial", "slopes"]

Coefficients = tuple[float, ...]


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

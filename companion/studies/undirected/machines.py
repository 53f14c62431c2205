"""Restricted Boltzmann machines learned on digits, and all their probabilities, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.fit import maximise
from companion.models import BoltzmannMachine
from companion.theory.model import Parameters

__all__ = ["EveryState", "coarse_digits", "every_state", "learned"]

#: Up to so many parameters learning ends with Newton's method, at round-off.
FEW = 200


def coarse_digits(digits: Tensor) -> Tensor:
    """Digits of 8 × 8 pixels from 0 to 16 as 4 × 4 binary ones, ``(N, 16)``.

    The four middle columns, two rows together: is their mean above 8?
    """
    blocks = digits.reshape(-1, 4, 2, 8)[..., 2:6].mean(2)
    return (blocks.flatten(1) > 8).to(digits.dtype)


def learned(
    model: BoltzmannMachine,
    x: Tensor,
    steps: int,
    generator: torch.Generator,
    decay: float = 0.0,
) -> dict[str, Tensor]:
    """Parameters that maximise the log-likelihood less (decay/2)‖W‖², from small weights.

    Parameters
    ----------
    model, x
        The machine and its data, ``(N, D)``.
    steps
        Of L-BFGS.
    generator
        Draws the start.
    decay
        The weight decay.
    """

    def objective(own: Parameters) -> Tensor:
        square = own["weights"].square().sum()
        return model.log_likelihood(own, x) - 0.5 * decay * square

    start = {k: 0.1 * each for k, each in model.initial_parameters(generator).items()}
    near = maximise.lbfgs(objective, start, steps=steps)
    few = sum(each.numel() for each in near.values()) <= FEW
    return maximise.newton(objective, near) if few else near


@dataclass(frozen=True)
class EveryState:
    """Entropies in nats of p(x, z), of p(x) and, averaged, of p(z|x), for data and for the model.

    ``log_likelihood`` is that of the data.
    """

    joint: float
    observed: float
    given_data: float
    given_model: float
    log_likelihood: float


def every_state(parameters: Parameters, x: Any) -> EveryState:
    """All of a small restricted machine by a sum over its 2^{D+H} states, in NumPy."""
    W, b, c = (parameters[name].numpy() for name in ("weights", "bias", "latent.bias"))
    X, Z = (np.array(list(product((0.0, 1.0), repeat=size))) for size in W.shape)
    energies = (X @ b)[:, None] + (Z @ c)[None] + X @ W @ Z.T
    largest = energies.max()
    log_p = energies - largest - np.log(np.exp(energies - largest).sum())
    p = np.exp(log_p)
    of_x = p.sum(1)
    joint, observed = -(p * log_p).sum(), -(of_x * np.log(of_x)).sum()
    conditional = p / of_x[:, None]
    uncertain = -(conditional * np.log(conditional)).sum(1)
    rows = np.asarray(x, dtype=int) @ (1 << np.arange(len(b))[::-1])
    return EveryState(
        joint=float(joint),
        observed=float(observed),
        given_data=float(uncertain[rows].mean()),
        given_model=float(of_x @ uncertain),
        log_likelihood=float(np.log(of_x[rows]).mean()),
    )

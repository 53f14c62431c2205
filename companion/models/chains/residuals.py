"""The three Gaussian conditionals of a linear dynamical system, by the residuals they are about."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from companion.models.chains.gaussian import GaussianChain
from companion.models.chains.kalman import LinearSystem
from companion.models.linear_decoder import LOG_2PI
from companion.theory.model import Factor, Parameters

__all__ = ["PARTS", "Homoscedastic", "Part", "expected_log_prob", "from_covariance", "product"]


def product(parameters: Parameters, name: str) -> Tensor:
    """L Lᵀ from the entries of L below the diagonal and the logarithms of those on it."""
    factor = _factor(parameters, name)
    return factor @ factor.mT


def _factor(parameters: Parameters, name: str) -> Tensor:
    diagonal = parameters[f"{name}_log_diagonal"].exp()
    return torch.tril(parameters[f"{name}_cholesky"], -1) + torch.diag_embed(diagonal)


def from_covariance(name: str, matrix: Tensor) -> dict[str, Tensor]:
    """The inverse of :func:`product`; a ``ValueError`` for a singular matrix."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    smallest = torch.linalg.eigvalsh(matrix)[0]
    if bool(failed) or not smallest > 1e-12 * matrix.diagonal().mean():
        raise ValueError(
            f"{name} covariance must be positive definite: its smallest eigenvalue is "
            f"{float(smallest):.3g}; use fewer latents, or more or longer sequences"
        )
    below = torch.tril(factor, -1)
    return {f"{name}_cholesky": below, f"{name}_log_diagonal": factor.diagonal().log()}


class Homoscedastic(Factor):
    """A Gaussian whose covariance does not depend on z, so that neither does its entropy."""

    take_any = ("log_base_measure",)

    def log_base_measure(self, x: Tensor, z: Tensor) -> Tensor:
        return torch.zeros(1, dtype=x.dtype)


class Part(NamedTuple):
    """A Gaussian conditional and its residual r_t: ``mean(system, z)``, ``(P, H)`` → ``(P, ·)``,
    and ``covariance(system)``; ``steps(q)``, ``(N, T)``, 1 where it occurs; and
    ``second(system, q, x)``, Σ_t E_q[r_t r_tᵀ] over these, ``(N, ·, ·)``.
    """

    mean: Callable[[LinearSystem, Tensor], Tensor]
    covariance: Callable[[LinearSystem], Tensor]
    steps: Callable[[GaussianChain], Tensor]
    second: Callable[[LinearSystem, GaussianChain, Tensor], Tensor]


def _first(system: LinearSystem, q: GaussianChain, x: Tensor) -> Tensor:
    """r = z_1 − m."""
    one = q.within[:, :1]
    return _outer(one, q.mean[:, :1] - system.initial_mean) + _sum(one, q.moments.steps[:, :1])


def _moved(system: LinearSystem, q: GaussianChain, x: Tensor) -> Tensor:
    """r = z_{t+1} − A z_t."""
    A, (S, X), now = system.transition, q.moments, q.within[:, 1:]
    mixed = A @ _sum(now, X)
    spread = _sum(now, S[:, 1:]) - mixed - mixed.mT + A @ _sum(now, S[:, :-1]) @ A.mT
    return _outer(now, q.mean[:, 1:] - q.mean[:, :-1] @ A.mT) + spread


def _seen(system: LinearSystem, q: GaussianChain, x: Tensor) -> Tensor:
    """r = x_t − C z_t − d, where x_t is observed."""
    C, seen = system.weights, _observed(q)
    error = torch.where(x.isnan(), 0.0, x - system.mean) - q.mean @ C.mT
    return _outer(seen, error) + C @ _sum(seen, q.moments.steps) @ C.mT


def _sum(steps: Tensor, matrices: Tensor) -> Tensor:
    """Σ_t of the ``matrices``, ``(N, T, H, H)``, at these ``steps``, ``(N, T)``."""
    return (steps[:, None] @ matrices.flatten(2)).unflatten(-1, matrices.shape[2:])[:, 0]


def _outer(steps: Tensor, r: Tensor) -> Tensor:
    """Σ_t r_t r_tᵀ, ``(N, ·, ·)``."""
    return (steps[..., None] * r).mT @ r


def _observed(q: GaussianChain) -> Tensor:
    assert q.observed is not None
    return q.observed.to(q.mean.dtype)


PARTS = {
    "prior": Part(
        lambda s, z: s.initial_mean.expand(len(z), -1),
        lambda s: s.initial_covariance,
        lambda q: q.within[:, :1],
        _first,
    ),
    "transition": Part(
        lambda s, z: z @ s.transition.mT,
        lambda s: s.transition_covariance,
        lambda q: q.within[:, 1:],
        _moved,
    ),
    "observable": Part(
        lambda s, z: z @ s.weights.mT + s.mean, lambda s: s.noise_covariance, _observed, _seen
    ),
}


def expected_log_prob(covariance: Tensor, second: Tensor, steps: Tensor) -> Tensor:
    """Σ_t E log N(r_t; 0, Σ) = −½ (n log det 2πΣ + tr Σ⁻¹ M), with M = Σ_t E[r_t r_tᵀ].

    ``second`` is M, ``(N, D, D)``, ``steps`` the number n of terms, ``(N,)``.
    """
    factor = torch.linalg.cholesky(covariance)
    log_det = 2 * factor.diagonal().log().sum() + len(factor) * LOG_2PI
    trace = torch.cholesky_solve(second, factor).diagonal(dim1=-2, dim2=-1).sum(-1)
    return -0.5 * (steps * log_det + trace)

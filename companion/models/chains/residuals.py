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

__all__ = ["PARTS", "Homoscedastic", "Part", "expected_log_prob", "factor"]
__all__ += ["from_covariance", "product"]


def product(parameters: Parameters, name: str) -> Tensor:
    """L Lᵀ for the :func:`factor` L."""
    L = factor(parameters, name)
    return L @ L.mT


def factor(parameters: Parameters, name: str) -> Tensor:
    """L from its entries below the diagonal and the logarithms of those on it."""
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
    ``steps(q)``, ``(N, T)``, 1 where it occurs; and ``second(system, q, x, W)``,
    W Σ_t E_q[r_t r_tᵀ] Wᵀ over these, ``(N, ·, ·)``; without W it is one.
    """

    mean: Callable[[LinearSystem, Tensor], Tensor]
    steps: Callable[[GaussianChain], Tensor]
    second: Callable[[LinearSystem, GaussianChain, Tensor, Tensor | None], Tensor]


def _first(system: LinearSystem, q: GaussianChain, x: Tensor, W: Tensor | None) -> Tensor:
    """r = z_1 − m."""
    r, S = q.mean[:, 0] - system.initial_mean, q.moments.steps[:, 0]
    moment = q.within[:, :1, None] * (S + r[:, :, None] * r[:, None])
    return moment if W is None else W @ moment @ W.mT


def _moved(system: LinearSystem, q: GaussianChain, x: Tensor, W: Tensor | None) -> Tensor:
    """r = z_{t+1} − A z_t, about its mean (I − A G_t)(z_{t+1} − m_{t+1}) − A L_t ε_t.

    No second moments are subtracted: beside them, what is left may be as small as Q.
    """
    A, now = system.transition, q.within[:, 1:, None, None]
    # Transposed, so that what is the same at all steps is one product of matrices.
    left = torch.eye(len(A), dtype=A.dtype) - q.gains.mT @ A.mT
    right = torch.tril(q.scale[:, :-1]).mT @ A.mT
    r = (q.mean[:, 1:] - q.mean[:, :-1] @ A.mT)[:, :, None]
    if W is not None:
        left, right, r = (each @ W.mT for each in (left, right, r))
    pairs = ((q.moments.steps[:, 1:] @ left, left), (right, right), (r, r))
    return torch.stack([(now * u).flatten(1, 2).mT @ v.flatten(1, 2) for u, v in pairs]).sum(0)


def _seen(system: LinearSystem, q: GaussianChain, x: Tensor, W: Tensor | None) -> Tensor:
    """r = x_t − C z_t − d, where x_t is observed."""
    C, seen = system.weights, _observed(q)
    r = torch.where(x.isnan(), 0.0, x - system.mean) - q.mean @ C.mT
    if W is not None:
        C, r = W @ C, r @ W.mT
    S = (seen[:, None] @ q.moments.steps.flatten(2)).unflatten(-1, (q.mean.shape[-1], -1))[:, 0]
    return (seen[..., None] * r).mT @ r + C @ S @ C.mT


def _observed(q: GaussianChain) -> Tensor:
    assert q.observed is not None
    return q.observed.to(q.mean.dtype)


PARTS = {
    "prior": Part(
        lambda s, z: s.initial_mean.expand(len(z), -1),
        lambda q: q.within[:, :1],
        _first,
    ),
    "transition": Part(
        lambda s, z: z @ s.transition.mT,
        lambda q: q.within[:, 1:],
        _moved,
    ),
    "observable": Part(lambda s, z: z @ s.weights.mT + s.mean, _observed, _seen),
}


def expected_log_prob(factor: Tensor, second: Callable[[Tensor], Tensor], steps: Tensor) -> Tensor:
    """Σ_t E log N(r_t; 0, LLᵀ) = −½ (n log det 2πLLᵀ + tr L⁻¹ M L⁻ᵀ), with M = Σ_t E[r_t r_tᵀ].

    ``factor`` is L, ``second`` gives W M Wᵀ, ``(N, D, D)``, from W, and ``steps`` are how many
    terms there are, n, ``(N,)``.
    """
    log_det = 2 * factor.diagonal().log().sum() + len(factor) * LOG_2PI
    identity = torch.eye(len(factor), dtype=factor.dtype)
    whitening = torch.linalg.solve_triangular(factor, identity, upper=False)
    trace = second(whitening).diagonal(dim1=-2, dim2=-1).sum(-1)
    return -0.5 * (steps * log_det + trace)

"""Expectations under a Gaussian q in closed form: moments, and square errors of linear maps."""

from __future__ import annotations

import torch
from torch import Tensor

from companion.theory.model import Parameters
from companion.theory.variational import Amortized, Gaussian, Variational

__all__ = ["exact_gaussian", "expected_square_error", "marginal_std", "summed_covariance"]


def exact_gaussian(q: Variational) -> Gaussian | None:
    """``q`` as a Gaussian, or ``None`` if it is none or asks for Monte-Carlo samples."""
    gaussian = q.gaussian() if isinstance(q, Amortized) else q
    if not isinstance(gaussian, Gaussian) or gaussian.rule is None or gaussian.rule.z.dim() == 3:
        return None
    return gaussian


def marginal_std(q: Gaussian) -> Tensor:
    """Standard deviation of every latent under q_n, ``(N, H)``."""
    return q.scale.abs() if q.diagonal else torch.tril(q.scale).norm(dim=-1)


def summed_covariance(q: Gaussian) -> Tensor:
    """Σ_n Cov_{q_n}[z], ``(H, H)``."""
    if q.diagonal:
        return (q.scale * q.scale).sum(0).diag()
    stacked = torch.tril(q.scale).transpose(1, 2).reshape(-1, q.scale.shape[-1])
    return stacked.T @ stacked


def expected_square_error(parameters: Parameters, q: Gaussian, x: Tensor) -> Tensor:
    """E_{q_n} ‖x_n − Wz − μ‖² = ‖x_n − Wm_n − μ‖² + tr(W S_n Wᵀ), ``(N,)``."""
    W = parameters["weights"]
    error = x - parameters["mean"] - q.mean @ W.T
    if q.diagonal:
        spread = (q.scale * q.scale) @ (W * W).sum(0)
    else:
        factor = torch.tril(q.scale)
        spread = ((W.T @ W @ factor) * factor).sum((-2, -1))
    return (error * error).sum(-1) + spread

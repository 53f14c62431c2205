"""Kalman's filter and the smoother after it, in parallel over sequences and over time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from companion.models.chains.gaussian import backwards
from companion.models.chains.scan import Elements, scan
from companion.models.chains.sequences import steps_of

__all__ = ["Innovations", "LinearSystem", "Smoothed", "innovations", "smoothed"]


class LinearSystem(NamedTuple):
    """z_1 ~ N(m, P), z_{t+1} ~ N(A z_t, Q), x_t ~ N(C z_t + d, R): six matrices and two vectors."""

    initial_mean: Tensor
    initial_covariance: Tensor
    transition: Tensor
    transition_covariance: Tensor
    weights: Tensor
    mean: Tensor
    noise_covariance: Tensor


class Innovations(NamedTuple):
    """What is new in each x_t, given all before it: ``errors`` x_t − E[x_t | x_1, …, x_{t−1}],
    ``(N, T, D)``, zero where nothing is observed, and their ``covariances``, ``(N, T, D, D)``.
    """

    errors: Tensor
    covariances: Tensor
    observed: Tensor

    @property
    def log_determinants(self) -> Tensor:
        """Σ_t log det 2πe V_t over the observed steps of every sequence, ``(N,)``."""
        size = self.errors.shape[-1]
        each = torch.logdet(self.covariances) + size * (1 + torch.log(2 * torch.pi * _one(self)))
        return torch.where(self.observed, each, 0.0).sum(1)

    @property
    def squares(self) -> Tensor:
        """Normalised squares e_tᵀ V_t⁻¹ e_t, ``(N, T)``, zero where nothing is observed."""
        return (self.errors * torch.linalg.solve(self.covariances, self.errors)).sum(-1)

    @property
    def log_likelihood(self) -> Tensor:
        """log p(x_n) = −½ (Σ_t log det 2πe V_t + Σ_t (e_tᵀ V_t⁻¹ e_t − D)), ``(N,)``."""
        size, steps = self.errors.shape[-1], self.observed.sum(1)
        return -0.5 * (self.log_determinants + self.squares.sum(1) - size * steps)


def _one(found: Innovations) -> Tensor:
    return torch.ones((), dtype=found.errors.dtype)


class Smoothed(NamedTuple):
    """The posterior as a chain from its end: ``mean``, ``gains``, ``covariance`` given z_{t+1}."""

    mean: Tensor
    gains: Tensor
    covariance: Tensor


def _filtered(system: LinearSystem, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Means and covariances of p(z_t | x_1, …, x_t), ``(N, T, H)`` and ``(N, T, H, H)``.

    An element of the scan is p(z_t | x_t, z_{t−1}) = N(A z + b, C) with the likelihood of z_{t−1},
    exp(η'z − ½ z'Jz) (Särkkä & García-Fernández, 2021).
    """
    A, C = system.transition, system.weights
    size, steps = A.shape[0], x.shape[1]
    identity = torch.eye(size, dtype=x.dtype)
    first, prior = torch.zeros(steps, 1, 1, dtype=x.dtype), system.transition_covariance
    first[0] = 1.0
    prior = first * system.initial_covariance + (1 - first) * prior  # (T, H, H)
    offset = first[:, 0] * system.initial_mean  # (T, H)
    seen = observed[..., None, None]
    spread = C @ prior @ C.mT + system.noise_covariance
    gain = torch.linalg.solve(spread, C @ prior).mT * seen  # (N, T, H, D)
    new = torch.where(observed[..., None], x - system.mean, 0.0) - offset @ C.T
    kept = identity - gain @ C
    after = (1 - first) * A
    b = offset + (gain @ new[..., None])[..., 0]
    noise = kept @ prior @ kept.mT + gain @ system.noise_covariance @ gain.mT
    heard = torch.linalg.solve(spread, C @ after).mT * seen
    eta = (heard @ new[..., None])[..., 0]
    elements = (kept @ after, b, noise, eta, heard @ C @ after)

    def combine(earlier: Elements, later: Elements) -> Elements:
        (A1, b1, C1, e1, J1), (A2, b2, C2, e2, J2) = earlier, later
        M = torch.linalg.solve(identity + C1 @ J2, torch.cat([A1, C1], -1))
        through, spread = A2 @ M[..., :size], M[..., size:]
        back = M[..., :size].mT  # A1ᵀ (I + J2 C1)⁻¹
        shift = (spread @ (e2 - (J2 @ b1[..., None])[..., 0])[..., None])[..., 0]
        b = (A2 @ (b1 + shift)[..., None])[..., 0] + b2
        e = (back @ (e2 - (J2 @ b1[..., None])[..., 0])[..., None])[..., 0] + e1
        return through, b, A2 @ spread @ A2.mT + C2, e, back @ J2 @ A1 + J1

    _, means, covariances, _, _ = scan(combine, elements)
    return means, (covariances + covariances.mT) / 2


def _predicted(system: LinearSystem, means: Tensor, covariances: Tensor) -> tuple[Tensor, Tensor]:
    """Means and covariances of p(z_t | x_1, …, x_{t−1}) from those of p(z_t | x_1, …, x_t)."""
    A, points = system.transition, len(means)
    mean = torch.cat([system.initial_mean.expand(points, 1, -1), means[:, :-1] @ A.T], 1)
    later = A @ covariances[:, :-1] @ A.T + system.transition_covariance
    first = system.initial_covariance.expand(points, 1, *A.shape)
    return mean, torch.cat([first, later], 1)


def innovations(system: LinearSystem, x: Tensor) -> Innovations:
    """Kalman's filter: what is new in every observation, and how much was to be expected."""
    observed = ~x.isnan().any(-1)
    mean, covariance = _predicted(system, *_filtered(system, x, observed))
    C = system.weights
    errors = torch.where(observed[..., None], x - system.mean - mean @ C.T, 0.0)
    return Innovations(errors, C @ covariance @ C.T + system.noise_covariance, observed)


def smoothed(system: LinearSystem, x: Tensor) -> Smoothed:
    """The smoother of Rauch, Tung and Striebel: p(z_1, …, z_T | x) as a chain from its end."""
    observed = ~x.isnan().any(-1)
    means, covariances = _filtered(system, x, observed)
    ahead, spread = (part[:, 1:] for part in _predicted(system, means, covariances))
    gains = torch.linalg.solve(spread, system.transition @ covariances[:, :-1]).mT
    gains = gains * steps_of(observed)[:, 1:, None, None]
    last = torch.zeros_like(covariances[:, :1])
    every = torch.cat([gains, last], 1)
    kept = torch.eye(means.shape[-1], dtype=x.dtype) - every @ system.transition
    given = kept @ covariances @ kept.mT + every @ system.transition_covariance @ every.mT
    back = (gains @ ahead[..., None])[..., 0]
    constants = means - torch.cat([back, torch.zeros_like(means[:, :1])], 1)
    return Smoothed(backwards(gains, constants, given)[0], gains, given)

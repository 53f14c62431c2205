"""Kalman's filter and the smoother after it, in parallel over sequences and over time.

Covariances depend on where there is an observation, not on what it is: they are computed once for
sequences with the same missing steps, and up to where they have settled.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from companion.models.chains.scan import Elements, recursion, scan
from companion.models.chains.sequences import steps_of
from companion.models.linear_decoder import LOG_2PI
from companion.support.checks import readable

#: Covariances have settled if half of their steps changed them by no more than this, in units of
#: the standard deviations: as they tend to their limit geometrically, the other half has left
#: nothing.
_SETTLED = 1e-13
#: Widths of a state given the next one, in units of those without it, of which digits are left.
_NARROWEST = 1e-13
#: How many steps are tried first.
_FIRST = 32

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
    ``(N, T, D)``, zero where nothing is observed, and their covariances V: those that differ are
    ``kinds``, ``(M, D, D)``, and ``place``, ``(N, T)``, says which is whose.
    """

    errors: Tensor
    kinds: Tensor
    place: Tensor
    observed: Tensor

    @property
    def covariances(self) -> Tensor:
        """V_t at every step, ``(N, T, D, D)``."""
        return self.kinds[self.place]

    @property
    def log_determinants(self) -> Tensor:
        """Σ_t log det 2πe V_t over the observed steps of every sequence, ``(N,)``."""
        each = torch.logdet(self.kinds) + self.errors.shape[-1] * (1 + LOG_2PI)
        return torch.where(self.observed, each[self.place], 0.0).sum(1)

    @property
    def squares(self) -> Tensor:
        """Normalised squares e_tᵀ V_t⁻¹ e_t, ``(N, T)``, zero where nothing is observed."""
        factor, identity = torch.linalg.cholesky(self.kinds), _identity(self.kinds)
        white = torch.linalg.solve_triangular(factor, identity, upper=False)[self.place]
        return (white @ self.errors[..., None]).square().sum((-1, -2))

    @property
    def log_likelihood(self) -> Tensor:
        """log p(x_n) = −½ (Σ_t log det 2πe V_t + Σ_t (e_tᵀ V_t⁻¹ e_t − D)), ``(N,)``."""
        size, steps = self.errors.shape[-1], self.observed.sum(1)
        return -0.5 * (self.log_determinants + self.squares.sum(1) - size * steps)


class Smoothed(NamedTuple):
    """The posterior as a chain from its end: ``mean``, ``gains``, and L of Cov = L Lᵀ given
    z_{t+1}, ``scale``; with the ``innovations`` met on the way.
    """

    mean: Tensor
    gains: Tensor
    scale: Tensor
    innovations: Innovations


class Filtered(NamedTuple):
    """Means of z_t ``before`` x_t is seen and ``after``, ``(N, T, H)``; covariances likewise, those
    that differ, ``predicted`` and ``updated``, ``(M, H, H)``, and ``place``, ``(N, T)``.
    """

    before: Tensor
    after: Tensor
    predicted: Tensor
    updated: Tensor
    place: Tensor
    observed: Tensor


def _identity(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], dtype=like.dtype)


def _updated(system: LinearSystem, seen: Tensor) -> Tensor:
    """Covariances of p(z_t | x_1, …, x_t), ``(U, L, H, H)``, for steps ``seen``, ``(U, L)``.

    An element of the scan is the covariance C of p(z_t | x_t, z_{t−1}), whose mean has the slope A,
    with the precision J of the likelihood of z_{t−1} (Särkkä & García-Fernández, 2021).
    """
    A, C = system.transition, system.weights
    identity, size = _identity(A), A.shape[0]
    first = torch.zeros(seen.shape[1], 1, 1, dtype=A.dtype)
    first[0] = 1.0
    prior = first * system.initial_covariance + (1 - first) * system.transition_covariance
    after = (1 - first) * A
    spread = C @ prior @ C.mT + system.noise_covariance
    gain = torch.linalg.solve(spread, C @ prior).mT * seen[..., None, None]  # (U, L, H, D)
    heard = torch.linalg.solve(spread, C @ after).mT * seen[..., None, None]
    kept = identity - gain @ C
    noise = kept @ prior @ kept.mT + gain @ system.noise_covariance @ gain.mT
    elements = (kept @ after, noise, heard @ C @ after)

    def combine(earlier: Elements, later: Elements) -> Elements:
        (A1, C1, J1), (A2, C2, J2) = earlier, later
        M = torch.linalg.solve(identity + C1 @ J2, torch.cat([A1, C1], -1))
        through, spread = M[..., :size], M[..., size:]
        return A2 @ through, A2 @ spread @ A2.mT + C2, through.mT @ J2 @ A1 + J1

    _, covariances, _ = scan(combine, elements)
    return (covariances + covariances.mT) / 2


def _expected(system: LinearSystem, observed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Covariances predicted and updated, ``(M, H, H)``, and which are whose, ``(N, T)``.

    What comes after the end of a sequence counts as observed: it is of no meaning.
    """
    steps = observed.shape[1]
    patterns, which = torch.unique(observed | ~steps_of(observed), dim=0, return_inverse=True)
    missing = torch.nonzero(~patterns.all(0))
    begin = int(missing.max()) + 1 if len(missing) else 0
    count = min(steps, begin + _FIRST) if readable(system.transition) else steps
    updated = _updated(system, patterns[:, :count])
    while count < steps and not _settled(updated[:, begin:]):
        count = min(steps, begin + 2 * (count - begin))
        updated = _updated(system, patterns[:, :count])
    first = system.initial_covariance.expand(len(patterns), 1, -1, -1)
    predicted = torch.cat([first, _ahead(system, updated[:, :-1])], 1)
    place = which[:, None] * count + torch.arange(steps).clamp(max=count - 1)
    return predicted.flatten(0, 1), updated.flatten(0, 1), place


def _settled(covariances: Tensor) -> bool:
    found = covariances.detach()
    middle, end = found[:, found.shape[1] // 2], found[:, -1]
    variance = end.diagonal(dim1=-2, dim2=-1)
    size = (variance[..., :, None] * variance[..., None, :]).sqrt()
    return bool(((middle - end).abs() <= _SETTLED * size).all())


def _ahead(system: LinearSystem, covariances: Tensor) -> Tensor:
    """Covariances of z_{t+1} where those of z_t are these."""
    A = system.transition
    return A @ covariances @ A.mT + system.transition_covariance


def _filtered(system: LinearSystem, x: Tensor) -> Filtered:
    observed = ~x.isnan().any(-1)
    A, C = system.transition, system.weights
    predicted, updated, place = _expected(system, observed)
    spread = C @ predicted @ C.mT + system.noise_covariance
    gain = torch.linalg.solve(spread, C @ predicted).mT[place] * observed[..., None, None]
    start = torch.zeros_like(x[:, :, :1]) @ A.new_zeros(1, len(A))
    start[:, 0] = system.initial_mean
    new = torch.where(observed[..., None], x - system.mean, 0.0) - start @ C.mT
    inputs = start + (gain @ new[..., None])[..., 0]
    after = recursion(A - gain @ (C @ A), inputs)
    before = torch.cat([start[:, :1], after[:, :-1] @ A.mT], 1)
    return Filtered(before, after, predicted, updated, place, observed)


def _backward(A: Tensor, whole: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """G, and L of Cov = L Lᵀ, of z_t given z_{t+1} = A z_t + ε_t, from roots of Cov z_t and Cov ε.

    A root of the joint covariance, made triangular by reflections, has twice the digits that
    differences of covariances leave of what is narrow.
    """
    size = len(A)
    ahead = torch.cat([A @ whole, noise.expand_as(whole)], -1)
    joint = torch.cat([ahead, torch.cat([whole, torch.zeros_like(whole)], -1)], -2)
    root = torch.linalg.qr(joint.mT)[1].mT
    root = root * root.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]
    ahead, mixed, given = root[..., :size, :size], root[..., size:, :size], root[..., size:, size:]
    left = given.diagonal(dim1=-2, dim2=-1) / root[..., size:, :].norm(dim=-1)
    if readable(left) and not bool((left > _NARROWEST).all()):
        raise ValueError(
            "parameters must leave each state a spread, given the next one, that can be told from "
            f"round-off: found {float(left.nan_to_num(0).min()):.0e} times the spread without it; "
            "raise transition_log_diagonal, or use fewer latents"
        )
    return torch.linalg.solve_triangular(ahead, mixed, upper=False, left=False), given


def _innovations(system: LinearSystem, x: Tensor, found: Filtered) -> Innovations:
    C, seen = system.weights, found.observed
    errors = torch.where(seen[..., None], x - system.mean - found.before @ C.mT, 0.0)
    kinds = C @ found.predicted @ C.mT + system.noise_covariance
    return Innovations(errors, kinds, found.place, seen)


def innovations(system: LinearSystem, x: Tensor) -> Innovations:
    """Kalman's filter: what is new in every observation, and how much was to be expected."""
    return _innovations(system, x, _filtered(system, x))


def smoothed(system: LinearSystem, noise: Tensor, x: Tensor) -> Smoothed:
    """The smoother of Rauch, Tung and Striebel: p(z_1, …, z_T | x) as a chain from its end.

    ``noise`` is the Cholesky factor of Q.
    """
    found, A = _filtered(system, x), system.transition
    P, place = found.updated, found.place
    whole = torch.linalg.cholesky_ex(P)[0]
    gain, given = _backward(A, whole, noise)
    goes_on = torch.cat([steps_of(found.observed)[:, 1:], torch.zeros_like(place[:, :1]) > 0], 1)
    maps = gain[place] * goes_on[..., None, None]
    ahead = torch.cat([found.before[:, 1:], torch.zeros_like(found.before[:, :1])], 1)
    mean = recursion(maps, found.after - (maps @ ahead[..., None])[..., 0], reverse=True)
    scale = torch.cat([given, whole])[torch.where(goes_on, place, place + len(P))]
    return Smoothed(mean, maps[:, :-1], scale, _innovations(system, x, found))

"""Choosing among competing models while a stream runs: BIC, choices, delays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from companion.studies.streaming.linear_vae import LOG_2PI
from companion.studies.streaming.sources import Array, Stream, moments
from companion.support.checks import one_of, positive_integer

__all__ = [
    "bic",
    "certified",
    "choose",
    "delays",
    "free_parameters",
    "settled_share",
    "window_bic",
]

Convention = Literal["free", "published", "none"]


def free_parameters(observed: int, latent: int, convention: Convention = "free") -> int:
    """Number of free parameters of x ~ N(μ, WWᵀ + σ²I) with W ``(D, H)``.

    * ``"free"``: D + DH − H(H−1)/2 + 1, that is μ, W up to a rotation of its columns, and σ²
    * ``"published"``: DH + 1, as in the code of Damm et al. (arXiv:2010.14860), which counts
      neither μ nor the rotations
    * ``"none"``: 0, no penalty at all, for comparison

    >>> free_parameters(10, 2), free_parameters(10, 2, "published")
    (30, 21)
    """
    positive_integer(observed, "observed")
    positive_integer(latent, "latent")
    one_of(convention, "convention", Convention)
    if convention == "none":
        return 0
    if convention == "published":
        return observed * latent + 1
    return observed + observed * latent - latent * (latent - 1) // 2 + 1


def bic(
    score: Any,
    latent: Sequence[int],
    stream: Stream,
    *,
    window: int = 1,
    convention: Convention = "free",
) -> Array:
    """BIC = p log N − 2 N·L: lower is better; ``(..., K, T)`` as ``score``.

    L is the average of ``score`` over the last ``window`` batches, this one included, and N the
    number of data points in them; p counts :func:`free_parameters`. The first ``window`` − 1
    entries use the batches that there are.

    Parameters
    ----------
    score
        In nats per data point, ``(..., K, T)``: one row for each of ``latent``, one column for each
        batch.
    latent
        Numbers of latents of the K models.
    stream
        Where the batches are from.
    window
        How many batches are scored together.
    convention
        How parameters are counted.

    Raises
    ------
    ValueError
        If ``score`` has another shape, or for an invalid window.
    """
    values = np.asarray(score, dtype=np.float64)
    positive_integer(window, "window")
    shape = (len(latent), stream.length)
    if values.shape[-2:] != shape:
        raise ValueError(f"score must have shape (..., K, T), K, T = {shape}: got {values.shape}")
    penalty, _ = _penalty(stream, latent, window, convention)
    return penalty - 2 * moving_sum(values, window) * stream.batch_size


def _penalty(
    stream: Stream, latent: Sequence[int], window: int, convention: Convention
) -> tuple[Array, Array]:
    """p log N of every size and batch, ``(K, T)``, and the numbers N of points seen, ``(T,)``."""
    points = np.minimum(np.arange(stream.length) + 1, window) * stream.batch_size
    counts = [free_parameters(stream.observed, size, convention) for size in latent]
    return np.array(counts)[:, None] * np.log(points), points


def moving_sum(values: Array, window: int) -> Array:
    """Sum over the last ``window`` entries along the last axis, fewer at the beginning."""
    # Shifted partial sums, doubled: no difference of large totals, as a running sum would be.
    total = np.zeros_like(values)
    power, width, offset = values, 1, 0
    while True:
        if window & width:
            total += _shifted(power, offset)
            offset += width
        width *= 2
        if width > window:
            return total
        power = power + _shifted(power, width // 2)


def _shifted(values: Array, offset: int) -> Array:
    moved = np.zeros_like(values)
    moved[..., offset:] = values[..., : max(values.shape[-1] - offset, 0)]
    return moved


def choose(scores: Any, latent: Sequence[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The number of latents with the lowest BIC at each batch: ``(..., K, T)`` to ``(..., T)``.

    0 where a BIC is NaN: no choice.
    """
    values = np.asarray(scores)
    known = ~np.isnan(values).any(-2)
    return np.where(known, np.array(latent)[np.argmin(values, -2)], 0)


def settled_share(chosen: Any, stream: Stream, burn_in: float = 0.5) -> Array:
    """How often the choice is right after a burn-in, for each segment: ``(..., segments)``.

    ``burn_in`` is the share of each segment that is left out after its switch.
    """
    if not 0 <= burn_in < 1:
        raise ValueError(f"burn_in must lie in [0, 1): got {burn_in}")
    right = _right(chosen, stream)
    return right[..., math.floor(burn_in * stream.batches) :].mean(-1)


def delays(chosen: Any, stream: Stream, hold: int = 100) -> Array:
    """Batches from each switch until the choice is right for ``hold`` batches in a row.

    ``(..., segments)``; infinity where that does not happen within the segment.
    """
    positive_integer(hold, "hold")
    if hold > stream.batches:
        raise ValueError(f"hold must be at most {stream.batches}, a segment's length: got {hold}")
    right = _right(chosen, stream).astype(np.float64)
    runs = moving_sum(right, hold)[..., hold - 1 :] == hold
    first = runs.argmax(-1).astype(np.float64)
    return np.where(runs.any(-1), first, np.inf)


def certified(scores: Any, others: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where two BICs must choose alike: ``(..., K, T)`` twice to ``(..., T)``.

    True where the best of ``scores`` leads the second by more than the largest minus the smallest
    of the differences between the two. Between BIC from the entropies and BIC from the ELBO the
    differences are 2N times the gaps.

    Source: this companion.

    >>> certified([[1.0], [5.0]], [[2.0], [4.5]]), certified([[1.0], [2.0]], [[2.0], [1.5]])
    (array([ True]), array([False]))
    """
    first = np.asarray(scores, dtype=np.float64)
    difference = np.asarray(others, dtype=np.float64) - first
    ordered = np.sort(first, -2)
    margin = ordered[..., 1, :] - ordered[..., 0, :]
    sure: np.ndarray[Any, np.dtype[np.bool_]] = margin > np.ptp(difference, -2)
    return sure


def _right(chosen: Any, stream: Stream) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return _by_segment(np.asarray(chosen), stream) == np.array(stream.truth)[:, None]


def _by_segment(values: Array, stream: Stream) -> Array:
    if values.shape[-1:] != (stream.length,):
        raise ValueError(
            f"chosen must have one entry for each of the {stream.length} batches: "
            f"got shape {values.shape}"
        )
    return values.reshape(*values.shape[:-1], len(stream.truth), stream.batches)


def window_bic(
    stream: Stream,
    latent: Sequence[int],
    seeds: Sequence[int],
    *,
    window: int,
    convention: Convention = "free",
) -> Array:
    """BIC of the best model of each size for the last ``window`` batches, ``(S, K, T)``.

    Nothing is learned: the largest log-likelihood of probabilistic PCA on the window is

        L = −½ [Σ_{k≤H} log λ_k + (D − H) log σ² + D log 2πe] nats per data point,

    with the eigenvalues λ of the window's covariance and σ² the mean of the D − H smallest. ELBO,
    entropy sum and log-likelihood are all this number. The first entries use the batches that
    there are, and are NaN while these are not more than D points.

    Parameters
    ----------
    stream, seeds
        S streams.
    latent, window, convention
        As for :func:`bic`.

    Raises
    ------
    ValueError
        If the window does not hold more points than dimensions, or for invalid latent sizes.

    Source: Tipping & Bishop (1999).
    """
    positive_integer(window, "window")
    D, B = stream.observed, stream.batch_size
    if window * B <= D:
        raise ValueError(f"window must hold more than {D} points: got {window} batches of {B}")
    for size in latent:
        if positive_integer(size, "every entry of latent") >= D:
            raise ValueError(f"latent must stay below observed={D}: got {list(latent)}")
    penalty, points = _penalty(stream, latent, window, convention)
    best = np.stack([_maxima(stream, latent, seed, points) for seed in seeds])
    return np.where(points > D, penalty - 2 * points * best, np.nan)


def _maxima(stream: Stream, latent: Sequence[int], seed: int, points: Array) -> Array:
    """Largest log-likelihoods ``(K, T)`` on the last ``points`` of one stream."""
    D, B = stream.observed, stream.batch_size
    everything = np.concatenate([moments(block) for block in stream.blocks(seed)])
    total = moving_sum(everything.transpose(1, 2, 0), int(points.max()) // B)
    average = total.transpose(2, 0, 1) * (B / points)[:, None, None]
    mean = average[:, :D, D]
    values = np.linalg.eigvalsh(average[:, :D, :D] - mean[:, :, None] * mean[:, None, :])
    values = np.maximum(values, np.finfo(np.float64).tiny)  # of windows with too few points
    rows = [
        np.log(values[:, D - size :]).sum(-1) + (D - size) * np.log(values[:, : D - size].mean(-1))
        for size in latent
    ]
    return -0.5 * (np.stack(rows) + D * (1 + LOG_2PI))

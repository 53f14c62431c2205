"""Competing linear VAEs follow a stream: a batch is scored, then learned from, then forgotten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from companion.models import Encoder, GaussianVAE
from companion.studies.streaming.linear_vae import (
    LOG_2PI,
    Gradient,
    Layout,
    elbo_of,
    entropy_sum_of,
)
from companion.studies.streaming.sources import Array, Stream, moments
from companion.support.checks import one_of, positive_integer

__all__ = ["Followed", "follow"]

DECAYS, EPSILON = (0.9, 0.999), 1e-8  # of Adam


@dataclass(frozen=True, repr=False)
class Followed:
    """What competing linear VAEs said about every batch *before* they learned from it.

    Every array is ``(S, K, T)``: streams, numbers of latents in the order of ``latent``, batches;
    in nats per data point. Of the three entropies, ``posterior`` = Σ_h log τ_h + (H/2) log 2πe and
    ``observable`` = (D/2) log 2πeσ² are read off the parameters; :attr:`prior` is a constant.
    ``projected`` is the ELBO after σ² and the latents' scales are set to their best values for this
    batch in closed form, where it *is* the entropy sum: Σ_h log(τ_h/√e_h) − (D/2) log(2πe r/D).
    ``log_likelihood`` is exact, or NaN where it was not asked for.
    """

    stream: Stream
    latent: tuple[int, ...]
    seeds: tuple[int, ...]
    elbo: Array
    posterior: Array
    observable: Array
    projected: Array
    log_likelihood: Array
    _layout: Layout = field(repr=False)
    _theta: Array = field(repr=False)

    @property
    def prior(self) -> Array:
        """Entropy of the prior, (H/2) log 2πe: ``(K, 1)``, which broadcasts over the batches."""
        return 0.5 * np.array(self.latent, dtype=np.float64)[:, None] * (1 + LOG_2PI)

    @property
    def entropy_sum(self) -> Array:
        """posterior − prior − observable, ``(S, K, T)``: no data point enters."""
        return self.posterior - self.prior - self.observable

    @property
    def gap(self) -> Array:
        """ELBO − entropy sum, ``(S, K, T)``."""
        return self.elbo - self.entropy_sum

    def final(self, seed: int, latent: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Parameters of the decoder and of the encoder after the last batch.

        Named as by ``GaussianVAE(D, H)`` and ``Encoder(D, H)``.

        Raises
        ------
        ValueError
            For a seed or a number of latents that was not followed.
        """
        one_of(seed, "seed", self.seeds)
        one_of(latent, "latent", self.latent)
        row = self._theta[self.seeds.index(seed), self.latent.index(latent)]
        return self._layout.unpack(row, latent)


class Adam:
    """Adam, upwards and in place, on all parameters at once."""

    def __init__(self, theta: Array, learning_rate: float) -> None:
        self._theta, self._rate, self._step = theta, learning_rate, 0
        self._first, self._second = np.zeros_like(theta), np.zeros_like(theta)

    def __call__(self, gradient: Array) -> None:
        (a, b), self._step = DECAYS, self._step + 1
        self._first = a * self._first + (1 - a) * gradient
        self._second = b * self._second + (1 - b) * (gradient * gradient)
        scale = np.sqrt(self._second) / math.sqrt(1 - b**self._step) + EPSILON
        self._theta += self._rate / (1 - a**self._step) * (self._first / scale)


def follow(
    stream: Stream,
    latent: Sequence[int] = (2, 4, 6),
    seeds: Sequence[int] = (0,),
    *,
    learning_rate: float = 2e-3,
    likelihood: bool = True,
) -> Followed:
    """Train linear VAEs with each of the ``latent`` sizes on each of the streams ``seeds``.

    One Adam step per batch, along the exact gradient of the batch's ELBO: nothing is sampled, since
    the ELBO is quadratic in z. The decoder's variance σ² and the encoder's standard deviations τ
    are single numbers, the prior is N(0, I). All machines move in one array; each moves as it would
    alone.

    Parameters
    ----------
    stream, seeds
        Each seed draws one stream, and the weights that the machines on it start from.
    latent
        Numbers of latents of the K machines that compete.
    learning_rate
        Adam's.
    likelihood
        Whether the exact log-likelihoods are computed too.

    Raises
    ------
    ValueError
        For an empty or repeated choice of ``latent`` or ``seeds``, more latents than observables,
        or a learning rate that is not positive.
    RuntimeError
        If the parameters stop being finite.

    Source: the streaming experiment of Damm et al. (arXiv:2010.14860), with its learning rate.

    >>> from companion.studies.streaming import SwitchingStream
    >>> runs = follow(SwitchingStream(batches=20), seeds=(0, 1))
    >>> runs.elbo.shape, bool((runs.elbo < runs.log_likelihood).all())
    ((2, 3, 60), True)
    """
    sizes, seeds = tuple(latent), tuple(seeds)
    _check(stream, sizes, seeds, learning_rate)
    layout = Layout(stream.observed, max(sizes))
    theta = layout.zeros(len(seeds) * len(sizes))
    for start, seed in enumerate(seeds):
        _initialise(layout, theta[start * len(sizes) :], sizes, seed)
    gradient, adam = Gradient(layout, theta), Adam(theta, learning_rate)
    pieces = [
        _scores(layout, *_learn(theta, gradient, adam, blocks, len(sizes)), likelihood)
        for blocks in zip(*(stream.blocks(seed) for seed in seeds), strict=True)
    ]
    shape = (len(seeds), len(sizes), stream.length)
    columns = (np.concatenate(parts).T.reshape(shape) for parts in zip(*pieces, strict=True))
    final = theta.reshape(*shape[:2], -1)
    elbo, spread, observable, projected, likelihoods = columns
    posterior = spread + 0.5 * np.array(sizes)[:, None] * (1 + LOG_2PI)
    return Followed(
        *(stream, sizes, seeds, elbo, posterior, observable, projected, likelihoods),
        _layout=layout,
        _theta=final,
    )


def _check(
    stream: Stream, latent: tuple[int, ...], seeds: tuple[int, ...], learning_rate: float
) -> None:
    for values, name in ((latent, "latent"), (seeds, "seeds")):
        if not values or len(set(values)) != len(values):
            raise ValueError(f"{name} must be different numbers, at least one: got {list(values)}")
    for size in latent:
        positive_integer(size, "every entry of latent")
    if max(latent) >= stream.observed:
        raise ValueError(
            f"latent must stay below the stream's {stream.observed} observables: got {list(latent)}"
        )
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be positive: got {learning_rate}")


def _initialise(layout: Layout, rows: Array, latent: tuple[int, ...], seed: int) -> None:
    """Random weights of variance 1/inputs; zero biases, log τ and log σ²."""
    generator = torch.Generator().manual_seed(seed)
    for row, size in zip(rows, latent, strict=False):
        own = GaussianVAE(layout.observed, size).initial_parameters(generator)
        phi = Encoder(layout.observed, size).initial_parameters(generator)
        layout.pack(row, own, phi)


def _learn(
    theta: Array, gradient: Gradient, adam: Adam, blocks: Sequence[Array], repeats: int
) -> tuple[Array, Array, Array, Array]:
    """One step for each batch of a block of every stream, ``(t, B, D)`` each.

    Parameters, residuals and moments before each step, and the moments of the data.
    """
    M = np.repeat(np.stack([moments(block) for block in blocks], 1), repeats, axis=1)
    count = len(M)
    path = np.empty((count, *theta.shape))
    residual = np.empty((count, len(theta)))
    second: list[Array] = []
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for t in range(count):
            path[t] = theta
            residual[t], e = gradient(M[t])
            second.append(e)
            adam(gradient.value)
    if not np.isfinite(theta).all():
        raise RuntimeError("the parameters are no longer finite: choose a smaller learning_rate")
    return path, residual, np.stack(second), M


def _scores(
    layout: Layout, path: Array, r: Array, e: Array, M: Array, likelihood: bool
) -> tuple[Array, Array, Array, Array, Array]:
    """ELBO, Σ log τ, H[p(x|z)], projected ELBO, log-likelihood, each ``(t, R)``."""
    D, at = layout.observed, layout.views(path)
    elbo = elbo_of(at.log_std, at.log_variance, r, e, D)
    observable = 0.5 * D * (1 + LOG_2PI + at.log_variance)
    rescaled = at.log_std - 0.5 * np.log(e)
    projected = entropy_sum_of(rescaled, np.log(r / D), D)
    exact = log_likelihood_of(at.decoder, at.log_variance, M) if likelihood else elbo * np.nan
    return elbo, at.log_std.sum(-1), observable, projected, exact


def log_likelihood_of(decoder: Array, log_variance: Array, M: Array) -> Array:
    """(1/B) Σ_n log N(x_n; μ, WWᵀ + σ²I) from the moments of the batch.

    With K = σ²I + WᵀW and the scatter S about μ: log det C = log det K + (D − H) log σ² and
    tr C⁻¹S = (tr S − tr K⁻¹WᵀSW) / σ², so that only H × H matrices are factorised.
    """
    D, H = decoder.shape[-2], decoder.shape[-1] - 1
    W, mean = decoder[..., :H], decoder[..., H]
    transposed = np.swapaxes(W, -1, -2)
    variance = np.exp(log_variance)
    shift = np.concatenate([transposed, -(transposed @ mean[..., None])], -1)  # x̃ to Wᵀ(x − μ)
    inner = torch.from_numpy(shift @ M @ np.swapaxes(shift, -1, -2))
    factor = torch.linalg.cholesky(
        torch.from_numpy(transposed @ W + variance[..., None, None] * np.eye(H))
    )
    explained = _trace(torch.cholesky_solve(inner, factor)).numpy()
    scatter = np.trace(M[..., :D, :D], axis1=-2, axis2=-1)
    scatter = scatter + (mean * (mean - 2 * M[..., :D, D])).sum(-1)
    log_det = 2 * _trace(factor.log()).numpy() + (D - H) * log_variance
    return -0.5 * ((scatter - explained) / variance + log_det + D * LOG_2PI)


def _trace(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=-2, dim2=-1).sum(-1)

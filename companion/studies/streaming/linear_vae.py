"""The linear VAE in closed form: ELBO, entropies and gradient from the moments of a batch.

NumPy and not torch: a step costs some forty calls on matrices of ten rows, and a call of torch
takes several times as long as one of NumPy. Many VAEs are held in one array and move together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from companion.models import GaussianVAE
from companion.studies.streaming.sources import Array, moments

__all__ = ["ClosedForm", "Gradient", "Layout", "closed_form", "elbo_of", "entropy_sum_of"]

LOG_2PI = math.log(2 * math.pi)


class Views(NamedTuple):
    """The parameters of R linear VAEs as views into one array ``(R, P)``.

    ``decoder`` ``(R, D, H+1)`` is [W μ]; ``encoder`` ``(R, H+1, D+1)`` is [A a; 0 1], so that
    (m, 1) = encoder (x, 1); ``log_std`` ``(R, H)`` is log τ; ``log_variance`` ``(R,)`` is log σ².
    """

    decoder: Array
    encoder: Array
    log_std: Array
    log_variance: Array


@dataclass(frozen=True)
class Layout:
    """Where the parameters lie. VAEs with fewer latents are padded to ``latent``.

    A padded latent has W = 0, A = 0, τ = 1: it copies the prior, adds nothing to the ELBO and has
    an exactly vanishing gradient, so that it never wakes up. It is a saddle point.
    """

    observed: int
    latent: int

    @property
    def _sizes(self) -> tuple[int, ...]:
        D, H = self.observed, self.latent
        return D * (H + 1), (H + 1) * (D + 1), H, 1

    def zeros(self, count: int) -> Array:
        return np.zeros((count, sum(self._sizes)))

    def views(self, theta: Array) -> Views:
        """Views of ``theta`` ``(..., P)``, without a copy where it is contiguous."""
        D, H, lead = self.observed, self.latent, theta.shape[:-1]
        a, b, c, _ = accumulate(self._sizes)
        return Views(
            theta[..., :a].reshape(*lead, D, H + 1),
            theta[..., a:b].reshape(*lead, H + 1, D + 1),
            theta[..., b:c],
            theta[..., c],
        )

    def pack(self, theta: Array, own: Mapping[str, Any], phi: Mapping[str, Any]) -> None:
        """Write one VAE, named as by GaussianVAE and Encoder, into the zero row ``theta``."""
        view, used = self.views(theta), own["mean.weights"].shape[1]
        view.decoder[:, :used] = own["mean.weights"]
        view.decoder[:, -1] = own["mean.bias"]
        view.encoder[:used, :-1] = phi["mean.weights"]
        view.encoder[:used, -1] = phi["mean.bias"]
        view.encoder[-1, -1] = 1
        view.log_std[:used] = phi["log_std.bias"]
        theta[-1] = float(own["log_variance"])

    def unpack(self, theta: Array, used: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The first ``used`` latents of one row, under the names of GaussianVAE and Encoder."""
        view = self.views(theta)
        own = {
            "mean.weights": view.decoder[:, :used],
            "mean.bias": view.decoder[:, -1],
            "log_variance": view.log_variance,
        }
        phi = {
            "mean.weights": view.encoder[:used, :-1],
            "mean.bias": view.encoder[:used, -1],
            "log_std.weights": np.zeros((used, self.observed)),
            "log_std.bias": view.log_std[:used],
        }
        return _tensors(own), _tensors(phi)


def _tensors(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}


class Gradient:
    """The exact gradient of R ELBOs, written into one array by every call.

    With x̃ = (x, 1), M = (1/B) Σ x̃x̃ᵀ, encoder Ã, decoder [W μ] and R = [I 0] − [W μ] Ã,

        r   = tr(R M Rᵀ) + Σ_h τ_h² ‖w_h‖²             mean squared residual
        e_h = (Ã M Ãᵀ)_hh + τ_h²                        second moment of latent h
        ∂W  = (R M Ãᵀ − W diag τ²) / σ²,                ∂μ in the last column
        ∂Ã  = [W μ]ᵀ R M / σ² − Ã M,
        ∂log τ_h = 1 − τ_h² (1 + ‖w_h‖²/σ²),            ∂log σ² = (r/σ² − D) / 2.
    """

    def __init__(self, layout: Layout, theta: Array) -> None:
        count = len(theta)
        D, H = layout.observed, layout.latent
        self._D = D
        self.value = np.zeros_like(theta)
        self._at, self._into = layout.views(theta), layout.views(self.value)
        self._W, self._dW = self._at.decoder[:, :, :H], self._into.decoder[:, :, :H]
        self._means = self._at.encoder[:, :H]
        self._decoder_t = self._at.decoder.transpose(0, 2, 1)
        self._encoder_t = self._at.encoder.transpose(0, 2, 1)
        self._identity = np.eye(D, D + 1)
        self._map = np.empty((count, D, D + 1))
        self._weighted = np.empty((count, D, D + 1))
        self._encoded = np.empty((count, H + 1, D + 1))

    def __call__(self, M: Array) -> tuple[Array, Array]:
        """Gradient at the present parameters for moments ``(R, D+1, D+1)``; returns r and e."""
        at, into, rest, weighted = self._at, self._into, self._map, self._weighted
        np.matmul(at.decoder, at.encoder, out=rest)
        np.subtract(self._identity, rest, out=rest)
        np.matmul(rest, M, out=weighted)
        np.matmul(at.encoder, M, out=self._encoded)
        precision = np.exp(-at.log_variance)
        tau = np.exp(2 * at.log_std)
        lengths = np.einsum("rdh,rdh->rh", self._W, self._W)
        residual = np.einsum("rij,rij->r", rest, weighted)
        residual += np.einsum("rh,rh->r", tau, lengths)
        second = np.einsum("rhi,rhi->rh", self._encoded[:, :-1], self._means)
        second += tau

        weighted *= precision[:, None, None]
        scaled = tau * precision[:, None]
        np.matmul(weighted, self._encoder_t, out=into.decoder)
        self._dW -= self._W * scaled[:, None, :]
        np.matmul(self._decoder_t, weighted, out=into.encoder)
        np.subtract(into.encoder, self._encoded, out=into.encoder)
        into.encoder[:, -1] = 0
        into.log_std[:] = 1 - tau - scaled * lengths
        into.log_variance[:] = 0.5 * (residual * precision - self._D)
        return residual, second


def elbo_of(log_std: Array, log_variance: Array, r: Array, e: Array, D: int) -> Array:
    """−½ [D log 2πσ² + r/σ² + Σ_h (e_h − 1)] + Σ_h log τ_h, in nats per data point."""
    noise = D * (LOG_2PI + log_variance) + r * np.exp(-log_variance)
    return log_std.sum(-1) - 0.5 * (noise + (e - 1).sum(-1))


def entropy_sum_of(log_std: Array, log_variance: Array, D: int) -> Array:
    """Σ_h log τ_h − (D/2) log 2πeσ²: no data point enters; in nats per data point."""
    return log_std.sum(-1) - 0.5 * D * (1 + LOG_2PI + log_variance)


@dataclass(frozen=True)
class ClosedForm:
    """ELBO, entropy sum and gradient of one linear VAE on one batch, all by hand.

    ``slope`` = ⟨∇ELBO, v⟩ from the closed-form gradient, with v: W ← −W/2, log σ² ← −1, and q
    rescaled at the rate 1/2; the identity says that it equals ``gap``.
    """

    elbo: float
    entropy_sum: float
    slope: float
    gradient: Mapping[str, Tensor] = field(repr=False)

    @property
    def gap(self) -> float:
        """ELBO − entropy sum."""
        return self.elbo - self.entropy_sum

    @property
    def relative_residual(self) -> float:
        """|gap − slope| / (1 + |ELBO|)."""
        return abs(self.gap - self.slope) / (1 + abs(self.elbo))


def closed_form(
    parameters: Mapping[str, Tensor], encoder_parameters: Mapping[str, Tensor], x: Any
) -> ClosedForm:
    """The linear VAE z ~ N(0, I), x | z ~ N(Wz + μ, σ²I), q = N(Ax + a, diag τ²) on a batch ``x``.

    Parameters as of ``GaussianVAE(D, H)`` and ``Encoder(D, H)``, where τ does not depend on x: the
    encoder's ``log_std.weights`` must be zero, and has no entry in the gradient. Names in the
    gradient that begin with ``q.`` are the encoder's.

    Raises
    ------
    ValueError
        For invalid data, or an encoder whose standard deviation depends on x.

    Source: the model and its three entropies, Damm et al. (arXiv:2010.14860).

    >>> from companion.models import Encoder
    >>> generator = torch.Generator().manual_seed(0)
    >>> own = GaussianVAE(4, 2).initial_parameters(generator)
    >>> phi = Encoder(4, 2).initial_parameters(generator)
    >>> phi["log_std.weights"] = torch.zeros(2, 4)
    >>> report = closed_form(own, phi, torch.randn(9, 4, generator=generator))
    >>> report.relative_residual < 1e-12, abs(report.gap) > 0.1
    (True, True)
    """
    if bool(encoder_parameters["log_std.weights"].any()):
        raise ValueError(
            "encoder_parameters must have log_std.weights = 0, a standard deviation that does not "
            "depend on x: got weights that are not zero"
        )
    D, H = parameters["mean.weights"].shape
    data = GaussianVAE(D, H).check(parameters, x)
    layout = Layout(D, H)
    theta = layout.zeros(1)
    layout.pack(theta[0], parameters, encoder_parameters)
    gradient = Gradient(layout, theta)
    r, e = gradient(moments(data.numpy())[None])
    at, slopes = layout.views(theta), layout.views(gradient.value)
    along = 0.5 * (slopes.encoder[0, :-1] * at.encoder[0, :-1]).sum() + 0.5 * slopes.log_std.sum()
    along -= 0.5 * (slopes.decoder[0, :, :-1] * at.decoder[0, :, :-1]).sum()
    along -= slopes.log_variance[0]
    own, phi = layout.unpack(gradient.value[0], H)
    del phi["log_std.weights"]
    return ClosedForm(
        elbo=float(elbo_of(at.log_std, at.log_variance, r, e, D)[0]),
        entropy_sum=float(entropy_sum_of(at.log_std, at.log_variance, D)[0]),
        slope=float(along),
        gradient=own | {f"q.{name}": value for name, value in phi.items()},
    )

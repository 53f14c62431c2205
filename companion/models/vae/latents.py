"""What each latent contributes to the entropy sum: posterior collapse, read from entropies.

The first two entropies separate over latents, (1/N) Σ_n H[q_n] − H[p(z)] = −Σ_h Δ_h. Latent h
contributes Δ_h = H[p(z_h)] − (1/N) Σ_n H[q_n(z_h)], and its mean KL divergence is Δ_h less its own
gap, at any parameters. A collapsed latent, q_n(z_h) = p(z_h) for all n, contributes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from companion.families import DiagonalGaussian
from companion.support.doors import door
from companion.support.tables import Cell, Record
from companion.theory.model import Model, Parameters
from companion.theory.variational import Amortized, Gaussian, Variational

__all__ = ["LatentEntropies", "diagonal_moments", "latent_entropies", "prior_variance"]

LOG_2_PI_E = 1 + math.log(2 * math.pi)


@dataclass(frozen=True, repr=False)
class LatentEntropies(Record):
    """Entropies of every latent, each ``(H,)``, in nats.

    ``posterior`` is (1/N) Σ_n H[q_n(z_h)], ``prior`` H[p(z_h)], ``second_moment`` E_q̄[z_h²] and
    ``kl`` the mean divergence (1/N) Σ_n KL[q_n(z_h) ‖ p(z_h)]. A latent is active if its ``kl``
    exceeds ``threshold`` nats.
    """

    posterior: Tensor
    prior: Tensor
    second_moment: Tensor
    kl: Tensor
    threshold: float

    columns = ("latent", "entropy of q", "entropy of prior", "difference", "KL", "own gap", "state")

    @property
    def difference(self) -> Tensor:
        """Δ_h = H[p(z_h)] − (1/N) Σ_n H[q_n(z_h)]: what latent h takes from the entropy sum.

        Equal to ``kl``, and so at least 0, where the latent's own gap is zero. Anywhere else it
        may have either sign.
        """
        return self.prior - self.posterior

    @property
    def gap(self) -> Tensor:
        """The latent's own gap Δ_h − KL_h = ½ (1 − E_q̄[z_h²] / α_h), α_h the prior variance."""
        return self.difference - self.kl

    @property
    def prior_variance(self) -> Tensor:
        """Variance α_h of the prior."""
        return (2 * self.prior - LOG_2_PI_E).exp()

    @property
    def posterior_variance(self) -> Tensor:
        """Geometric mean over n of the variances of q_n(z_h): α_h exp(−2 Δ_h)."""
        return (2 * self.posterior - LOG_2_PI_E).exp()

    @property
    def active(self) -> Tensor:
        """Which latents are in use, as booleans; the others are collapsed."""
        return self.kl > self.threshold

    @property
    def order(self) -> Tensor:
        """Indices of the latents, the largest KL first."""
        return self.kl.argsort(descending=True, stable=True)

    def rows(self) -> list[tuple[Cell, ...]]:
        """One row for each latent, the largest KL first."""
        parts = torch.stack((self.posterior, self.prior, self.difference, self.kl, self.gap), 1)
        return [
            (str(h), *parts[h].tolist(), "active" if self.active[h] else "collapsed")
            for h in self.order.tolist()
        ]


@door
def latent_entropies(
    model: Model, parameters: Parameters, q: Variational, threshold: float = 0.01
) -> LatentEntropies:
    """Entropies and KL divergence of each latent, for a Gaussian prior and a diagonal Gaussian q.

    With q_n(z_h) = N(ν_nh, τ_nh²) and prior variance α_h (1 for a fixed prior),

        Δ_h  = ½ log α_h − (1/N) Σ_n log τ_nh
        KL_h = Δ_h − ½ (1 − (1/N) Σ_n (ν_nh² + τ_nh²) / α_h),

    in closed form, whatever nodes q is integrated with: no decoder and no samples are needed.
    Σ_h KL_h is the KL term of the ELBO, Σ_h Δ_h that of the entropy sum.

    Parameters
    ----------
    model, parameters
        A model with a Gaussian prior of independent latents, and the point at which to look.
    q
        Gaussians with diagonal covariances, free or from an encoder.
    threshold
        A latent whose KL divergence is not larger than that, in nats, is called collapsed.

    Raises
    ------
    ValueError
        If the prior is not a Gaussian with independent latents, if q is not Gaussian with a
        diagonal covariance over as many latents, or if ``threshold`` is negative.

    Source: this companion; the entropies of VAE-1 and VAE-2 are those of Damm et al.
    (arXiv:2010.14860).

    >>> from companion import models, variational
    >>> model = models.GaussianVAE(observed=3, latent=2, learnable_prior=True)
    >>> parameters = model.initial_parameters(torch.Generator().manual_seed(0))
    >>> zero, one = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    >>> latent_entropies(model, parameters, variational.Gaussian(zero, one)).active
    tensor([False, False])
    """
    if not threshold >= 0:
        raise ValueError(f"threshold must be at least 0 nats: got {threshold}")
    mean, std = diagonal_moments(q)
    variance = prior_variance(model, parameters, mean)
    difference = 0.5 * variance.log() - std.log().mean(0)
    moment = (mean * mean + std * std).mean(0)
    prior = 0.5 * (LOG_2_PI_E + variance.log())
    kl = difference - 0.5 * (1 - moment / variance)
    return LatentEntropies(prior - difference, prior, moment, kl, threshold)


@door
def diagonal_moments(q: Variational) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of all q_n, ``(N, H)`` each.

    Raises
    ------
    ValueError
        If q is not Gaussian with a diagonal covariance.
    """
    gaussian = q.gaussian() if isinstance(q, Amortized) else q
    if not isinstance(gaussian, Gaussian) or not gaussian.diagonal:
        kind = "a full covariance" if isinstance(gaussian, Gaussian) else type(q).__name__
        raise ValueError(f"q must be Gaussian with a diagonal covariance: got {kind}")
    return gaussian.mean.detach(), gaussian.scale.detach().abs()


@door
def prior_variance(model: Model, parameters: Parameters, mean: Tensor) -> Tensor:
    """Variances α of the model's Gaussian prior, ``(H,)``, for a q with the given means.

    Raises
    ------
    ValueError
        If the prior is not a Gaussian with independent latents, as many as q has.
    """
    prior = model.factors[0]
    if not isinstance(prior.family, DiagonalGaussian):
        raise ValueError(
            "model must have a Gaussian prior with independent latents: got "
            f"{type(prior.family).__name__}"
        )
    center, variance = prior.family.moments(prior.natural(parameters, mean))
    assert not bool(center.any()), "Gaussian priors here have mean zero"
    if variance.shape != mean.shape[1:]:
        raise ValueError(
            f"q must be over the model's {variance.shape[-1]} latents: got {mean.shape[1]}"
        )
    return variance.detach()

"""What each latent contributes to the entropy sum: posterior collapse, read from entropies.

The first two entropies separate over latents, (1/N) Σ_n H[q_n] − H[p(z)] = −Σ_h Δ_h. Latent h
contributes Δ_h = H[p(z_h)] − (1/N) Σ_n H[q_n(z_h)], and its mean KL divergence is Δ_h less its own
gap, at any parameters. A collapsed latent, q_n(z_h) = p(z_h) for all n, contributes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.models.vae.diagonal import diagonal_moments, prior_variance
from companion.support import tree
from companion.support.tables import Table
from companion.theory.model import Model, Parameters
from companion.theory.objective import Problem
from companion.theory.variational import Variational

__all__ = ["LatentEntropies", "latent_entropies", "latent_information", "latent_slopes"]

LOG_2_PI_E = 1 + math.log(2 * math.pi)
#: No more points than this for one aggregate posterior.
_LARGEST_GRID = 20_000


@dataclass(frozen=True, repr=False)
class LatentEntropies:
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

    def table(self) -> Table:
        """One row for each latent, the largest KL first."""
        columns = ("latent", "entropy of q", "entropy of prior", "difference", "KL", "own gap")
        parts = (self.posterior, self.prior, self.difference, self.kl, self.gap)
        numbers = torch.stack(parts, 1)[self.order].tolist()
        states = ["active" if on else "collapsed" for on in self.active[self.order]]
        rows = [
            (str(h), *row, state)
            for h, row, state in zip(self.order.tolist(), numbers, states, strict=True)
        ]
        return Table((*columns, "state"), rows)

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def latent_entropies(
    model: Model, parameters: Parameters, q: Variational, threshold: float = 0.01
) -> LatentEntropies:
    """Entropies and KL divergence of each latent, for a Gaussian prior and a diagonal Gaussian q.

    With q_n(z_h) = N(ν_nh, τ_nh²) and prior variance α_h (1 for a fixed prior),

        Δ_h  = ½ log α_h − (1/N) Σ_n log τ_nh
        KL_h = Δ_h − ½ (1 − (1/N) Σ_n (ν_nh² + τ_nh²) / α_h),

    in closed form, whatever nodes q is integrated with: no decoder and no samples are needed.
    Σ_h KL_h is the KL term of the ELBO, Σ_h Δ_h that of the entropy sum.

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


def latent_slopes(model: Model, parameters: Parameters, q: Variational, x: Any) -> Tensor:
    """⟨∇ELBO, v_h⟩ for the part v_h of the direction v that belongs to latent h, ``(H,)``.

    v_h is −1 on the latent's log-variance for a learnable prior; for a fixed one it stretches the
    latent in q and shrinks the weights that read it, at rate ½. The slope is taken from the
    gradient of the whole ELBO, by the nodes of q, and equals :attr:`LatentEntropies.gap` for nodes
    that integrate squares exactly.

    Raises
    ------
    ValueError
        For invalid data or parameters, or a model in which no parameter belongs to one latent.

    Source: this companion.
    """
    problem = Problem.of(model, parameters, q, x)
    gradient = torch.func.grad(problem.value)(problem.start)
    if "prior_log_variance" in parameters:
        return -gradient["prior_log_variance"]
    size = q.nodes().z.shape[-1]
    rates = model.latent_rescaling * torch.eye(size, dtype=torch.float64)
    slopes = []
    for rate in rates:
        absorbed = model.absorption(parameters, rate)
        if not model.latent_rescaling or absorbed is None:
            raise ValueError(
                f"model must have a Gaussian prior, fixed or learnable, to have a slope for each "
                f"latent: got {model!r}"
            )
        moved = tree.merge(absorbed, q.rescaling(rate))
        slopes.append(tree.inner(moved, gradient))
    return torch.stack(slopes)


def latent_information(q: Variational) -> Tensor:
    """I_h = H[q̄(z_h)] − (1/N) Σ_n H[q_n(z_h)]: mutual information of latent and index n, ``(H,)``.

    q̄ is the aggregate posterior; its entropy is integrated numerically on a grid of three points
    per smallest standard deviation. Between 0 and log N nats, and KL_h = I_h + KL[q̄(z_h) ‖ p(z_h)]
    whatever the prior.

    Raises
    ------
    ValueError
        If q is not Gaussian with a diagonal covariance, or so narrow somewhere that the grid would
        need more than 20 000 points.
    """
    mean, std = diagonal_moments(q)
    entropies = torch.stack([_mixture_entropy(mean[:, h], std[:, h]) for h in range(mean.shape[1])])
    return entropies - (std.log().mean(0) + 0.5 * LOG_2_PI_E)


def _mixture_entropy(mean: Tensor, std: Tensor) -> Tensor:
    """Entropy of (1/N) Σ_n N(m_n, s_n²) in one dimension, by the trapezoidal rule."""
    low, high = float((mean - 9 * std).min()), float((mean + 9 * std).max())
    points = math.ceil(3 * (high - low) / float(std.min())) + 1
    if points > _LARGEST_GRID:
        raise ValueError(
            f"q must not be narrower than 1/{_LARGEST_GRID // 3} of the range of its means: "
            f"found a standard deviation of {float(std.min()):.3g} on a range of {high - low:.3g}"
        )
    grid = torch.linspace(low, high, points, dtype=mean.dtype)
    density = torch.zeros_like(grid)
    for start in range(0, len(mean), 500):
        m, s = mean[start : start + 500, None], std[start : start + 500, None]
        density += torch.exp(-0.5 * ((grid - m) / s) ** 2 - s.log()).sum(0)
    density = density / (len(mean) * math.sqrt(2 * math.pi))
    return torch.trapezoid(-torch.special.xlogy(density, density), grid)

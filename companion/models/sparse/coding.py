"""Probabilistic sparse coding: Laplace latents, a linear dictionary, Gaussian noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from companion.families import ZeroLaplace
from companion.families.laplace import folded_normal_mean
from companion.models.linear_decoder import LOG_2PI, LinearDecoder
from companion.models.sparse.expectations import (
    exact_gaussian,
    expected_square_error,
    marginal_std,
    summed_covariance,
)
from companion.models.sparse.inference import EntropyWeights, WeightedELBO
from companion.support.checks import positive_integer
from companion.theory.model import Factor, Parameters, normal_draws
from companion.theory.variational import Gaussian, Variational

__all__ = ["SparseCoding"]


@dataclass(frozen=True)
class SparseCoding(LinearDecoder):
    """z_h ~ Laplace(0, λ_h), x | z ~ N(Wz + μ, σ²I).

    Parameters: ``weights`` W ``(D, H)``, ``mean`` μ ``(D,)``, ``log_variance`` log σ² ``()``; with
    ``learnable_prior`` also ``prior_log_scale`` log λ ``(H,)``, otherwise λ = 1.

    Direction v: −1 on log σ² and, if λ is learnable, −1 on log λ. For λ = 1, −W on the dictionary
    instead, with q rescaled at rate 1. The entropy sum is
    mean H[q] − Σ_h log(2eλ_h) − (D/2) log(2πeσ²).

    With a Gaussian q the ELBO is taken in closed form, E|z| included, unless q's rule is
    ``variational.samples``. There may be more latents than observables.

    Source: Olshausen & Field (1996) for sparse coding; Velychko et al. (arXiv:2311.01888) for its
    entropy sum.

    >>> model = SparseCoding(observed=4, latent=6)
    >>> sorted(model.initial_parameters(torch.Generator().manual_seed(0)))
    ['log_variance', 'mean', 'prior_log_scale', 'weights']
    """

    observed: int
    latent: int
    learnable_prior: bool = True

    prior_parameter: ClassVar[str] = "prior_log_scale"
    fixed_rate: ClassVar[float] = 1.0

    @property
    def prior(self) -> Factor:
        laplace = ZeroLaplace()

        def natural(parameters: Parameters, z: Tensor) -> Tensor:
            return laplace.natural_parameters(self.prior_widths(parameters))

        return Factor("prior", laplace, natural, lambda z: z, self._expected_prior)

    @property
    def factors(self) -> tuple[Factor, ...]:
        prior, observable = super().factors
        return prior, replace(observable, closed_form=self._expected_observable)

    def _expected_prior(self, parameters: Parameters, q: Variational, x: Tensor) -> Tensor | None:
        gaussian = exact_gaussian(q)
        if gaussian is None:
            return None
        scale = self.prior_widths(parameters)
        size = folded_normal_mean(gaussian.mean, marginal_std(gaussian))
        return -(size / scale).sum(-1) - (2 * scale).log().sum()

    def _expected_observable(
        self, parameters: Parameters, q: Variational, x: Tensor
    ) -> Tensor | None:
        gaussian = exact_gaussian(q)
        if gaussian is None:
            return None
        log_variance = parameters["log_variance"]
        error = expected_square_error(parameters, gaussian, x)
        normalisation = self.observed * (LOG_2PI + log_variance)
        return -0.5 * (error * (-log_variance).exp() + normalisation)

    def prior_entropy(self, parameters: Parameters) -> Tensor:
        return (1 + math.log(2) + self.prior_widths(parameters).log()).sum()

    def random_start(self, x: Any, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Parameters to start learning from: random dictionary, the data's mean, half its variance.

        Columns of W are random directions, λ = 1, with D/(4H) times the data's variance as their
        squared length: the model explains half of it.
        """
        data = x.detach()
        centered = data - data.mean(0)
        variance = (centered * centered).mean()
        W = normal_draws(self.observed, self.latent, generator=generator)
        length = (self.observed * variance / (4 * self.latent)).sqrt()
        parameters = {
            "weights": length * W / W.norm(dim=0),
            "mean": data.mean(0),
            "log_variance": (variance / 2).log(),
        }
        return parameters | self.unit_prior()

    def prior_q(self, points: int, full: bool = False) -> Gaussian:
        """q_n = N(0, I) for all n, diagonal or with a full covariance: where learning may start."""
        mean = torch.zeros(positive_integer(points, "points"), self.latent, dtype=torch.float64)
        std = torch.ones_like(mean)
        return Gaussian(mean, torch.diag_embed(std) if full else std)

    def normalized(self, parameters: Parameters, q: Gaussian) -> tuple[dict[str, Tensor], Gaussian]:
        """The same ELBO with columns of W of length one: λ_h and z_h take over their lengths.

        Only a learnable λ leaves this freedom; without it, nothing is changed.

        Raises
        ------
        ValueError
            If a latent has died: its column of W or its scale λ_h has all but vanished.
        """
        if not self.learnable_prior:
            return dict(parameters), q
        length = parameters["weights"].norm(dim=0)
        reach = length * self.prior_widths(parameters)
        noise = (0.5 * parameters["log_variance"]).exp()
        if not bool((reach > 1e-8 * noise).all()):
            raise ValueError(
                f"latent {int(reach.argmin())} died: its part of Wz is {float(reach.min()):.1e} "
                f"against {float(noise):.1e} of noise; use fewer latents, or entropy weights "
                "closer to 1"
            )
        scaled = {
            "weights": parameters["weights"] / length,
            "prior_log_scale": parameters["prior_log_scale"] + length.log(),
        }
        stretch = length if q.diagonal else length[:, None]
        moved = q.with_parameters({"mean": length * q.mean, "scale": stretch * q.scale})
        return dict(parameters) | scaled, moved

    def e_step(
        self,
        parameters: Parameters,
        q: Variational,
        x: Tensor,
        weights: EntropyWeights | None = None,
        steps: int = 1,
    ) -> Gaussian:
        """``steps`` damped Newton steps of q at fixed parameters, for all data points at once.

        The ELBO never falls for any data point, and as it is concave in the mean and the scale of
        q_n, enough steps find its maximum.

        Parameters
        ----------
        parameters
            The point at which the model is held.
        q
            Free Gaussians, diagonal or full, to start from.
        x
            Data, ``(N, D)``, not checked here.
        weights
            Weights on the terms whose entropies they name: H[q], E log p(z) and E log p(x|z).
        steps
            How many steps are taken.

        Raises
        ------
        ValueError
            For a q that is not a free Gaussian or is integrated by samples.
        """
        if not isinstance(q, Gaussian) or exact_gaussian(q) is None:
            raise ValueError(
                "q must be a free Gaussian that is not integrated by samples for e_step: "
                f"got {type(q).__name__}"
            )
        weights = EntropyWeights() if weights is None else weights
        objective = WeightedELBO(parameters, self.prior_widths(parameters), x, weights)
        return objective.raised(q, positive_integer(steps, "steps"))

    def m_step(
        self, parameters: Parameters, q: Variational | None, x: Tensor, *, stretch: float = 1.0
    ) -> dict[str, Tensor]:
        """The parameters that maximise the ELBO for this q, in closed form.

        (W, μ) by least squares with the moments of q, σ² = E‖x − Wz − μ‖²/D, λ_h = E|z_h|, each
        averaged over the data. With a learnable λ the ELBO then equals the entropy sum: the slope
        along v, −∂/∂log λ − ∂/∂log σ², is zero.

        Parameters
        ----------
        parameters
            Where a stretched step starts; the best parameters do not depend on them.
        q
            Gaussians, free or from an encoder.
        x
            Data, ``(N, D)``.
        stretch
            (W, μ) go so many times the way to their best values, and σ² is the best for where they
            end.

        Raises
        ------
        ValueError
            For a q that is not Gaussian or is integrated by samples, or a fit without any error.
        """
        q = self.resolved(parameters, q, x)
        gaussian = exact_gaussian(q)
        if gaussian is None:
            raise ValueError(
                "q must be a Gaussian that is not integrated by samples for m_step: got "
                f"{type(q).__name__}"
            )
        mean = gaussian.mean
        centered, center = mean - mean.mean(0), x.mean(0)
        second = centered.T @ centered + summed_covariance(gaussian)
        W = torch.linalg.solve(second, centered.T @ (x - center)).T
        best = {"weights": W, "mean": center - W @ mean.mean(0)}
        updated = dict(parameters) | {
            name: parameters[name] + stretch * (value - parameters[name])
            for name, value in best.items()
        }
        variance = expected_square_error(updated, gaussian, x).mean() / self.observed
        if not variance > 0:
            raise ValueError("x is fitted without any error: use fewer latents or more data")
        updated["log_variance"] = variance.log()
        if self.learnable_prior:
            updated["prior_log_scale"] = (
                folded_normal_mean(mean, marginal_std(gaussian)).mean(0).log()
            )
        return updated

"""Probabilistic PCA and factor analysis: z ~ N(0, I), x | z ~ N(Wz + μ, noise)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.families import DiagonalGaussian
from companion.families.gaussian import positive_definite_inverse
from companion.models.factor_em import FactorEM, principal_axes
from companion.models.linear_decoder import LOG_2PI, LinearDecoder
from companion.theory.identity import Evaluation
from companion.theory.model import Parameters
from companion.theory.objective import summarized
from companion.theory.variational import Gaussian, Nodes, Variational

__all__ = ["PPCA", "FactorAnalysis"]


def check_noise(variance: Tensor, largest: Tensor, directions: int, name: str) -> None:
    """A ``ValueError`` if the noise is round-off next to the ``largest`` variance."""
    if not variance > 1e-12 * largest:
        raise ValueError(
            f"{name} must have variance outside the {directions} chosen directions: the noise "
            f"variance would be {float(variance):.3g}, which is round-off next to the largest, "
            f"{float(largest):.3g}; use fewer latents, or bring columns to one scale"
        )


@dataclass(frozen=True)
class LinearGaussian(LinearDecoder):
    """z ~ N(0, I_H) (or N(0, diag e^λ)), x | z ~ N(Wz + μ, noise), in D observed dimensions.

    With the fixed prior the gap direction is v: W ← −W/2, log-variance ← −1, and q is rescaled at
    rate 1/2; with ``learnable_prior=True`` it is −1 on all log-variances and nothing else.
    """

    observed: int
    latent: int
    learnable_prior: bool = False

    read_in_blocks = ("em_map", "maximum_likelihood", "stationary_point")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.latent >= self.observed:
            raise ValueError(
                f"latent must be smaller than observed for {type(self).__name__}: "
                f"got latent={self.latent}, observed={self.observed}"
            )

    def covariance(self, parameters: Parameters) -> Tensor:
        """Covariance of the marginal p(x): C = W diag(λ) Wᵀ + noise, ``(D, D)``."""
        W = parameters["weights"]
        return (W * self.prior_widths(parameters)) @ W.T + self.noise_variance(parameters).diag()

    def log_likelihood(self, parameters: Parameters, x: Tensor) -> Tensor:
        """(1/N) Σ_n log p(x_n) with p(x) = N(μ, C), in nats per data point."""
        factor = torch.linalg.cholesky(self.covariance(parameters))
        centered = x - parameters["mean"]
        whitened = torch.linalg.solve_triangular(factor, centered.T, upper=False)
        log_det = 2 * factor.diagonal().log().sum()
        return -0.5 * ((whitened**2).sum() / len(x) + log_det + self.observed * LOG_2PI)

    def posterior(self, parameters: Parameters, x: Tensor) -> Gaussian:
        """The exact posterior N(m_n, S).

        S = (diag(1/λ) + Wᵀ Ψ⁻¹ W)⁻¹, shared by all n, and m_n = S Wᵀ Ψ⁻¹ (x_n − μ), with Ψ the
        covariance of the noise. Its nodes are the cubature points, which are exact for this model.
        """
        W = parameters["weights"]
        weighted = W / self.noise_variance(parameters)[:, None]
        precision = W.T @ weighted + (1 / self.prior_widths(parameters)).diag()
        covariance = positive_definite_inverse(precision)
        mean = (x - parameters["mean"]) @ weighted @ covariance
        scale = torch.linalg.cholesky(covariance).repeat(len(x), 1, 1)
        return Gaussian(mean, scale)

    def prior_entropy(self, parameters: Parameters) -> Tensor:
        return 0.5 * (1 + LOG_2PI + self.prior_widths(parameters).log()).sum()

    def closed_form_entropy_sum(
        self, parameters: Parameters, q: Variational | None = None
    ) -> Tensor:
        """The entropy sum at any parameters; for the exact posterior, ``None``, −½ log det(2πe C).

        That is −H[p(x)], since x and z are jointly Gaussian: H[p(z|x)] − H[p(z)] − H[p(x|z)]. For
        another ``q`` it is mean H[q] − H[p(z)] − ½ Σ_d log(2πeσ_d²). No nodes, no data.
        """
        if q is not None:
            return super().closed_form_entropy_sum(parameters, q)
        factor = torch.linalg.cholesky(self.covariance(parameters))
        return -factor.diagonal().log().sum() - 0.5 * self.observed * (1 + LOG_2PI)


class PPCA(LinearGaussian):
    """Probabilistic PCA: x | z ~ N(Wz + μ, σ²I).

    Parameters: ``weights`` W ``(D, H)``, ``mean`` μ ``(D,)``, ``log_variance`` log σ² ``()``; with
    ``learnable_prior=True`` also ``prior_log_variance`` ``(H,)``.

    Source: Tipping & Bishop (1999); Warnken et al. (arXiv:2501.09022) for the theorem.

    >>> model = PPCA(observed=3, latent=1)
    >>> parameters = model.initial_parameters(torch.Generator().manual_seed(0))
    >>> sorted(parameters)
    ['log_variance', 'mean', 'weights']
    """

    def maximum_likelihood(self, x: Any) -> dict[str, Tensor]:
        """The global maximum: the H leading eigenvectors of the data covariance (Tipping & Bishop).

        W = U (Λ − σ²I)^½, σ² the mean of the D − H other eigenvalues, μ the data mean; with
        ``learnable_prior=True`` the prior variances are 1 (W absorbs them).

        Raises
        ------
        ValueError
            For invalid data, or data with no variance left outside the H leading directions.
        """
        return self.stationary_point(x, range(self.latent))

    def stationary_point(
        self, x: Any, eigenvectors: Sequence[int], noise_variance: float | None = None
    ) -> dict[str, Tensor]:
        """A stationary point of the likelihood: W built from the chosen ``eigenvectors``.

        Eigenvectors of the data covariance are counted from 0, by falling eigenvalue. Fewer than H
        leave columns of W zero. All but the leading H are saddle points (or minima in W). A given
        ``noise_variance`` is kept instead of the optimal one: W and μ are stationary, σ² is not.

        Raises
        ------
        ValueError
            For invalid data; for indices that repeat or are out of range; if an eigenvalue does not
            exceed the noise variance σ², the mean of the eigenvalues left out.
        """
        chosen = list(eigenvectors)
        valid = set(chosen) & set(range(self.observed))
        if len(valid) < len(chosen) or len(chosen) > self.latent:
            raise ValueError(
                f"eigenvectors must be at most {self.latent} different indices between 0 and "
                f"{self.observed - 1}: got {chosen}"
            )
        mean, values, vectors = principal_axes(x)
        left_out = [index for index in range(self.observed) if index not in chosen]
        variance = values[left_out].mean()
        if noise_variance is not None:
            variance = torch.as_tensor(noise_variance, dtype=mean.dtype)
        check_noise(variance, values[0], len(chosen), "x")
        excess = values[chosen] - variance
        if bool((excess < 0).any()):
            raise ValueError(
                f"eigenvectors {chosen} give no stationary point: each eigenvalue must exceed the "
                f"noise variance {float(variance):.4g}, found {values[chosen].tolist()}"
            )
        W = torch.zeros(self.observed, self.latent, dtype=mean.dtype)
        W[:, : len(chosen)] = vectors[:, chosen] * excess.sqrt()
        parameters = {"weights": W, "mean": mean, "log_variance": variance.log()}
        return parameters | self.unit_prior()


class FactorAnalysis(LinearGaussian):
    """Factor analysis: x | z ~ N(Wz + μ, diag ψ), one noise variance for each observable.

    Parameters: ``weights`` W ``(D, H)``, ``mean`` μ ``(D,)``, ``log_variance`` log ψ ``(D,)``; with
    ``learnable_prior=True`` also ``prior_log_variance`` ``(H,)``.

    Source: Lücke & Warnken (arXiv:2209.03077) for the theorem.

    >>> model = FactorAnalysis(observed=3, latent=1)
    >>> model.shapes
    {'weights': (3, 1), 'mean': (3,), 'log_variance': (3,)}
    """

    noise_family = DiagonalGaussian()

    def em_map(self, x: Any) -> FactorStep:
        """A step of EM with these data: parameters ↦ (log-likelihood before it, parameters after).

        The best W for the noise and the best mean, then EM's step of the noise, then the best W
        again: all from the covariance of the data, whatever N (``companion.models.factor_em``). Of
        the parameters only the noise matters for those after the step; with
        ``learnable_prior=True`` W absorbs the prior's variances. ``x`` is ``(N, D)`` or in blocks;
        it is not checked here (the functions of :mod:`companion.fit` check it).
        """
        return FactorStep(self, FactorEM.of(x, self.latent))


class FactorStep:
    """A step of EM of a ``model`` with ``data``, and the identity before it, whatever N."""

    def __init__(self, model: FactorAnalysis, data: FactorEM):
        self.model, self.data = model, data
        #: Where the last step ended, and the log-likelihood there.
        self._end: dict[str, Tensor] = {}
        self._value = torch.zeros(())

    def __call__(self, parameters: Parameters) -> tuple[Tensor, dict[str, Tensor]]:
        value, log_variance = self._log_likelihood(parameters), parameters["log_variance"]
        # The best W at the end of a step is where the next begins.
        kept = self._end.get("log_variance") is log_variance
        W = self._end["weights"] if kept else self.data.best(log_variance.exp())[0]
        log_variance = self.data.next_noise(W).log()
        W, self._value = self.data.best(log_variance.exp())
        self._end = {"weights": W, "mean": self.data.mean, "log_variance": log_variance}
        self._end |= self.model.unit_prior()
        return value, dict(self._end)

    def evaluation(self, parameters: Parameters) -> Evaluation:
        """All that the identity is about at the exact posterior, whose covariance all n share."""
        entropy = self.model.posterior(parameters, self.data.mean[None]).entropy()[0]
        one = torch.ones_like(entropy)[None]
        anywhere = Nodes(torch.zeros_like(parameters["weights"][:1]), one)
        return summarized(self.model, parameters, self._log_likelihood, entropy, anywhere)

    def _log_likelihood(self, parameters: Parameters) -> Tensor:
        if self._end and all(parameters[name] is known for name, known in self._end.items()):
            return self._value
        return self.data.log_likelihood(parameters["mean"], self.model.covariance(parameters))

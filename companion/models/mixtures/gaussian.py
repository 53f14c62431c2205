"""Mixtures of Gaussians with spherical, diagonal, full and tied covariances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from companion.families import DiagonalGaussian, FullGaussian, SphericalGaussian
from companion.models.mixtures import em
from companion.models.mixtures.base import Mixture
from companion.models.mixtures.steps import GaussianEM, from_moments
from companion.support.checks import one_of, positive_integer
from companion.theory.model import Factor, Parameters, normal_draws
from companion.theory.variational import Variational

__all__ = ["GaussianMixture"]

CovarianceType = Literal["spherical", "diagonal", "full", "tied"]


@dataclass(frozen=True)
class GaussianMixture(Mixture):
    """Mixture of C Gaussians in D dimensions with one of four covariance types.

    Parameters: ``prior_logits`` ``(C,)``, ``means`` ``(C, D)``, and

    * ``"spherical"``: ``log_variance`` ``(C,)``;   v: −1
    * ``"diagonal"``: ``log_variance`` ``(C, D)``;   v: −1
    * ``"full"``: Cholesky factors of the covariances, ``cholesky`` ``(C, D, D)`` (entries below the
      diagonal) and ``log_diagonal`` ``(C, D)``;   v: −cholesky/2 and −1/2
    * ``"tied"``: the same for one shared covariance, ``(D, D)`` and ``(D,)``.

    v is zero on the means.

    >>> model = GaussianMixture(observed=2, components=3, covariance_type="tied")
    >>> model.initial_parameters(torch.Generator().manual_seed(0))["cholesky"].shape
    torch.Size([2, 2])
    """

    observed: int
    components: int
    covariance_type: CovarianceType = "full"

    read_in_blocks = ("em_map",)

    def __post_init__(self) -> None:
        positive_integer(self.observed, "observed")
        positive_integer(self.components, "components")
        one_of(self.covariance_type, "covariance_type", CovarianceType)

    @property
    def log_scales(self) -> tuple[str, ...]:
        return ("log_variance",)

    @property
    def family(self) -> SphericalGaussian | DiagonalGaussian | FullGaussian:
        if self.covariance_type == "spherical":
            return SphericalGaussian()
        return DiagonalGaussian() if self.covariance_type == "diagonal" else FullGaussian()

    @property
    def _cholesky_shape(self) -> tuple[int, ...]:
        size = (self.observed, self.observed)
        return size if self.covariance_type == "tied" else (self.components, *size)

    @property
    def _triangular(self) -> bool:
        return self.covariance_type in ("full", "tied")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        each = (self.components, self.observed)
        shapes = {"prior_logits": (self.components,), "means": each}
        if self._triangular:
            size = self._cholesky_shape
            return shapes | {"cholesky": size, "log_diagonal": size[:-1]}
        return shapes | {"log_variance": each[:1] if self.covariance_type == "spherical" else each}

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        drawn = {k: normal_draws(*s, generator=generator) for k, s in self.shapes.items()}
        covariances = {k: 0.3 * v for k, v in drawn.items() if k not in ("prior_logits", "means")}
        if self._triangular:
            covariances["cholesky"] = torch.tril(covariances["cholesky"], -1)
        return drawn | covariances

    def component_width(self, parameters: Parameters) -> Tensor:
        """Variances ``(C,)`` or ``(C, D)``, or Cholesky factors ``(C, D, D)``, of components."""
        if not self._triangular:
            return parameters["log_variance"].exp()
        below = torch.tril(parameters["cholesky"], -1)
        factor = below + torch.diag_embed(parameters["log_diagonal"].exp())
        return factor.expand(self.components, -1, -1)

    def component_covariance(self, parameters: Parameters) -> Tensor:
        """Variances ``(C,)`` or ``(C, D)``, or covariances ``(C, D, D)``, of all components."""
        return self.family.variance_of(self.component_width(parameters))

    def _located(self, parameters: Parameters, z: Tensor) -> tuple[Tensor, Tensor]:
        return z @ parameters["means"], torch.tensordot(z, self.component_width(parameters), 1)

    @property
    def factors(self) -> tuple[Factor, ...]:
        return super().factors[0], Factor.gaussian("observable", self.family, self._located)

    def covariance_matrices(self, parameters: Parameters) -> Tensor:
        """The covariance matrices Σ_c of all components, ``(C, D, D)``, whatever the type."""
        values = self.component_covariance(parameters)
        if self.covariance_type == "spherical":
            values = values[:, None].expand(-1, self.observed)
        return values if self._triangular else torch.diag_embed(values)

    def component_natural(self, parameters: Parameters) -> Tensor:
        return self.family.natural_parameters(
            parameters["means"], self.component_covariance(parameters)
        )

    def component_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        direction = {"means": torch.zeros_like(parameters["means"])}
        if self._triangular:
            return direction | {
                "cholesky": -0.5 * torch.tril(parameters["cholesky"], -1),
                "log_diagonal": torch.full_like(parameters["log_diagonal"], -0.5),
            }
        return direction | {"log_variance": -torch.ones_like(parameters["log_variance"])}

    def from_covariances(
        self, weights: Tensor, means: Tensor, covariances: Tensor
    ) -> dict[str, Tensor]:
        """Parameters from mixture weights, means and variances or covariance matrices.

        ``covariances`` has shape ``(C,)``, ``(C, D)``, ``(C, D, D)`` or (tied) ``(D, D)``.

        Raises
        ------
        ValueError
            If a weight or a variance is not positive, or a covariance not positive definite.
        """
        if not bool((weights > 0).all()):
            raise ValueError(f"weights must be positive: got {weights.tolist()}")
        parameters = {"prior_logits": weights.log(), "means": means}
        if not self._triangular:
            if not bool((covariances > 0).all()):
                raise ValueError(
                    f"covariances must be positive: smallest is {float(covariances.min()):.3g}"
                )
            return parameters | {"log_variance": covariances.log()}
        factor, failed = torch.linalg.cholesky_ex(covariances)
        if bool(failed.any()):
            raise ValueError("covariances must be positive definite: a Cholesky factor fails")
        diagonal = factor.diagonal(dim1=-2, dim2=-1)
        return parameters | {
            "cholesky": torch.tril(factor, -1),
            "log_diagonal": diagonal.log(),
        }

    def random_start(self, x: Any, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """A start for EM: equal weights, the covariance of all data, means at C random data points.

        Raises
        ------
        ValueError
            If there are fewer data points than components.
        """
        data = x.detach()
        self._check_points(len(data))
        uniform = torch.full((len(data), self.components), 1 / self.components, dtype=data.dtype)
        chosen = torch.randperm(len(data), generator=generator)[: self.components]
        return self._fitted(uniform, data) | {"means": data[chosen]}

    def m_step(
        self, parameters: Parameters, q: Variational | None, x: Tensor, *, floor: float = 0.0
    ) -> dict[str, Tensor]:
        """As for every model, with a floor under variances.

        Parameters
        ----------
        parameters, q, x
            As for every model; q is a :class:`Tabulated` of responsibilities, and of ``parameters``
            nothing is taken but the exact posterior for ``q=None``.
        floor
            Added to all variances, as scikit-learn's ``reg_covar`` is: unless it is zero, the ELBO
            does not equal the entropy sum.
        """
        return self._fitted(self._responsibilities(parameters, q, x), x, floor)

    def _fitted(self, responsibilities: Tensor, x: Tensor, floor: float = 0.0) -> dict[str, Tensor]:
        count = responsibilities.sum(0)
        centre = x.mean(0)
        means = centre + responsibilities.T @ (x - centre) / count[:, None]
        covariances = em.weighted_covariances(self.family, responsibilities / count, means, x)
        variances = x.var(0, correction=0)
        return from_moments(self, count, means, covariances, variances, floor)

    def em_map(self, x: Any, floor: float = 0.0) -> GaussianEM:
        """A step of EM with these data: parameters ↦ (log-likelihood before it, parameters after).

        The same as :meth:`m_step` at the exact posterior, from one pass over the data in blocks
        (:class:`companion.models.mixtures.steps.GaussianEM`).
        ``x`` is ``(N, D)`` or in blocks, not checked here (the functions of :mod:`companion.fit`
        check it).
        """
        return GaussianEM(self, x, floor)

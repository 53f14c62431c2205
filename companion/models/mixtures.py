"""Mixture models: a categorical latent picks the component of a family."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from companion.checks import as_data, positive_integer
from companion.families import (
    Categorical,
    DiagonalGaussian,
    Family,
    FullGaussian,
    SphericalGaussian,
)
from companion.model import Factor, Model, Parameters, normal_draws
from companion.variational import Tabulated

__all__ = ["GaussianMixture", "Mixture"]

Covariance = Literal["spherical", "diagonal", "full", "tied"]


class Mixture(Model):
    """c ~ Cat(softmax a), x | c ~ p(x | η_c): the latent z is the one-hot vector of c.

    A subclass gives the component family, its natural parameters ``(C, L)`` and its block of v. The
    block of the prior is v = a on the parameter ``logits`` a, ``(C,)``.
    """

    components: int

    @property
    @abstractmethod
    def family(self) -> Family:
        """The family of the components."""

    @abstractmethod
    def component_natural(self, parameters: Parameters) -> Tensor:
        """Natural parameters η_c of all components, ``(C, L)``."""

    @abstractmethod
    def component_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        """Block of v for the parameters of the components."""

    @property
    def factors(self) -> tuple[Factor, ...]:
        return (
            Factor("prior", Categorical(), lambda p, z: p["logits"], lambda z: z),
            Factor("observable", self.family, lambda p, z: z @ self.component_natural(p)),
        )

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        return {"logits": parameters["logits"]} | self.component_direction(parameters)

    @property
    def states(self) -> Tensor:
        """The C one-hot states of the latent."""
        return torch.eye(self.components, dtype=torch.float64)

    def posterior(self, parameters: Parameters, x: Tensor) -> Tabulated:
        """The responsibilities p(c | x_n), as a tabulated q."""
        log_joint = self.log_joint(parameters, x, self.states)
        return Tabulated(self.states, torch.log_softmax(log_joint, -1))

    def log_likelihood(self, parameters: Parameters, x: Tensor) -> Tensor:
        """(1/N) Σ_n log Σ_c π_c p(x_n | c), in nats per data point."""
        return torch.logsumexp(self.log_joint(parameters, x, self.states), -1).mean()


@dataclass(frozen=True)
class GaussianMixture(Mixture):
    """Mixture of C Gaussians in D dimensions with one of four covariance types.

    Parameters: ``logits`` ``(C,)``, ``means`` ``(C, D)``, and

    * ``"spherical"``: ``log_variance`` ``(C,)``;   v: −1
    * ``"diagonal"``: ``log_variance`` ``(C, D)``;   v: −1
    * ``"full"``: Cholesky factors of the covariances, ``cholesky`` ``(C, D, D)`` (entries below the
      diagonal) and ``log_diagonal`` ``(C, D)``;   v: −cholesky/2 and −1/2
    * ``"tied"``: the same for one shared covariance, ``(D, D)`` and ``(D,)``.

    v is zero on the means.

    >>> model = GaussianMixture(observed=2, components=3, covariance="tied")
    >>> model.initial_parameters(torch.Generator().manual_seed(0))["cholesky"].shape
    torch.Size([2, 2])
    """

    observed: int
    components: int
    covariance: Covariance = "full"

    def __post_init__(self) -> None:
        positive_integer(self.observed, "observed")
        positive_integer(self.components, "components")
        if self.covariance not in get_args(Covariance):
            raise ValueError(
                f"covariance must be one of {list(get_args(Covariance))}: got {self.covariance!r}"
            )

    @property
    def log_scales(self) -> tuple[str, ...]:
        return ("log_variance",)

    @property
    def family(self) -> SphericalGaussian | DiagonalGaussian | FullGaussian:
        if self.covariance == "spherical":
            return SphericalGaussian()
        return DiagonalGaussian() if self.covariance == "diagonal" else FullGaussian()

    @property
    def _cholesky_shape(self) -> tuple[int, ...]:
        size = (self.observed, self.observed)
        return size if self.covariance == "tied" else (self.components, *size)

    @property
    def _triangular(self) -> bool:
        return self.covariance in ("full", "tied")

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        draw = partial(normal_draws, generator=generator)
        parameters = {
            "logits": draw(self.components),
            "means": draw(self.components, self.observed),
        }
        if self._triangular:
            shape = self._cholesky_shape
            return parameters | {
                "cholesky": torch.tril(0.3 * draw(*shape), -1),
                "log_diagonal": 0.3 * draw(*shape[:-1]),
            }
        spherical = self.covariance == "spherical"
        shape = (self.components,) if spherical else (self.components, self.observed)
        return parameters | {"log_variance": 0.3 * draw(*shape)}

    def component_covariance(self, parameters: Parameters) -> Tensor:
        """Variances ``(C,)`` or ``(C, D)``, or covariances ``(C, D, D)``, of all components."""
        if not self._triangular:
            return parameters["log_variance"].exp()
        below = torch.tril(parameters["cholesky"], -1)
        factor = below + torch.diag_embed(parameters["log_diagonal"].exp())
        return (factor @ factor.mT).expand(self.components, -1, -1)

    def covariance_matrices(self, parameters: Parameters) -> Tensor:
        """The covariance matrices Σ_c of all components, ``(C, D, D)``, whatever the type."""
        values = self.component_covariance(parameters)
        if self.covariance == "spherical":
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
        parameters = {"logits": weights.log(), "means": means}
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
        data = as_data(x, columns=self.observed)
        if len(data) < self.components:
            raise ValueError(
                f"x must have at least as many points as components: got {len(data)} points for "
                f"{self.components} components"
            )
        uniform = torch.full((len(data), self.components), 1 / self.components, dtype=data.dtype)
        chosen = torch.randperm(len(data), generator=generator)[: self.components]
        return self.m_step(uniform, data) | {"means": data[chosen]}

    def m_step(self, responsibilities: Tensor, x: Any, floor: float = 0.0) -> dict[str, Tensor]:
        """Maximise the ELBO over all parameters for given ``responsibilities`` ``(N, C)``.

        After it the ELBO for these *same* responsibilities equals the entropy sum exactly, if
        ``floor``, which is added to all variances (scikit-learn's ``reg_covar``), is zero.

        Raises
        ------
        ValueError
            If a component dies: no responsibility left, or a covariance that is singular.
        """
        data = as_data(x, columns=self.observed)
        shape = (len(data), self.components)
        if responsibilities.shape != shape or not torch.allclose(
            responsibilities.sum(-1), torch.ones(len(data), dtype=data.dtype), rtol=0, atol=1e-6
        ):
            raise ValueError(
                f"responsibilities must have shape {shape} and rows that sum to one: got shape "
                f"{tuple(responsibilities.shape)}"
            )
        count = responsibilities.sum(0)
        if not bool((count > 1e-10).all()):
            dead = torch.nonzero(count <= 1e-10)[:, 0].tolist()
            raise ValueError(
                f"components {dead} died: no data point is assigned to them; use fewer components, "
                "another seed, or floor > 0"
            )
        means = responsibilities.T @ data / count[:, None]
        covariances = self._weighted_covariances(responsibilities / count, means, data)
        if self.covariance == "tied":
            covariances = torch.tensordot(count / len(data), covariances, 1)
        if self._triangular:
            covariances = covariances + floor * torch.eye(self.observed, dtype=data.dtype)
            smallest = torch.linalg.eigvalsh(covariances)[..., 0]
        else:
            covariances = covariances + floor
            smallest = covariances.reshape(self.components, -1).min(-1).values
        scale = data.var(0, correction=0).mean()
        if not bool((smallest > 1e-12 * scale).all()):
            raise ValueError(
                f"a component collapsed in EM: its smallest variance is {float(smallest.min()):.3g}"
                f" against {float(scale):.3g} in the data; use fewer components, another seed, a "
                "simpler covariance, or floor > 0"
            )
        return self.from_covariances(count / len(data), means, covariances)

    def _weighted_covariances(self, weights: Tensor, means: Tensor, x: Tensor) -> Tensor:
        # One component at a time: no array of size N x C x D.
        full = []
        for weight, mean in zip(weights.T, means, strict=True):
            centered = x - mean
            if self._triangular:
                full.append((centered * weight[:, None]).T @ centered)
            else:
                variance = weight @ (centered * centered)
                full.append(variance.mean() if self.covariance == "spherical" else variance)
        return torch.stack(full)

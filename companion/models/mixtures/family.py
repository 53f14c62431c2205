"""Mixtures over any family of the package: Poisson, gamma, von Mises, Student t, …"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.families import (
    Categorical,
    CategoricalProduct,
    ExponentialFamily,
    Family,
    Multinomial,
)
from companion.families.coordinates import COMPONENTS, Component
from companion.models.mixtures.base import Mixture
from companion.support.checks import as_data, positive_integer
from companion.theory.model import Parameters, normal_draws

__all__ = ["FamilyMixture"]


@dataclass(frozen=True)
class FamilyMixture(Mixture):
    """c ~ Cat(softmax a), x | c ~ p(x | η_c) with components ``of`` any family, in D dimensions.

    Parameters: ``logits`` a, ``(C,)``, and those of the components in unconstrained coordinates,
    each ``(C, D)``; below with their block of v.

    * Poisson: ``log_rates`` t; v: t
    * Bernoulli, Categorical, CategoricalProduct, Multinomial: ``component_logits`` l; v: l
    * Geometric: ``success_logits`` t = log p/(1−p); v: log(1 + eᵗ)/σ(t)
    * NegativeBinomial: ``failure_logits`` t = log (1−p)/p; v: −log(1 + e⁻ᵗ)/σ(−t)
    * Exponential, GammaFixedShape: ``log_rates``; v: 1
    * Gamma: ``log_shapes`` log k, ``log_rates``; v: (k−1)/k, 1
    * InverseGaussian: ``log_means``, ``log_shapes``; v: 0, 1
    * LogNormal: ``locations``, ``log_variances`` log σ²; v: −σ², −1
    * Beta: ``log_alphas`` log α, ``log_betas`` log β; v: (α−1)/α, (β−1)/β
    * VonMises: ``mean_angles``, ``log_concentrations``; v: 0, 1
    * ZeroLaplace: ``log_scales``; v: −1
    * Laplace: ``locations``, ``log_scales``; v: 0, −1
    * StudentT: ``locations``, ``log_scales``, ``log_dofs`` log ν; v: 0, −(ν+1)/(2ν), (ν+1)/ν

    For Gaussian components take :class:`companion.models.GaussianMixture`.

    Raises
    ------
    ValueError
        For a family of which mixtures are not known, or sizes that are not positive integers.

    >>> from companion.families import Poisson
    >>> model = FamilyMixture(Poisson(), observed=5, components=3)
    >>> model.initial_parameters(torch.Generator().manual_seed(0))["log_rates"].shape
    torch.Size([3, 5])
    """

    of: Family
    observed: int
    components: int

    def __post_init__(self) -> None:
        if type(self.of) not in COMPONENTS:
            known = ", ".join(sorted(kind.__name__ for kind in COMPONENTS))
            raise ValueError(
                f"of must be an instance of one of the families {known}: got {self.of!r}; "
                "for Gaussian components use GaussianMixture"
            )
        positive_integer(self.observed, "observed")
        positive_integer(self.components, "components")
        groups = self.of.groups if isinstance(self.of, CategoricalProduct) else 1
        if self.observed % groups:
            raise ValueError(
                f"observed must be a multiple of the family's {groups} groups: got {self.observed}"
            )

    @property
    def family(self) -> Family:
        return self.of

    @property
    def component(self) -> Component:
        """How the family is parameterized."""
        return COMPONENTS[type(self.family)]

    def _values(self, parameters: Parameters) -> list[Tensor]:
        return [parameters[name] for name in self.component.names]

    def component_natural(self, parameters: Parameters) -> Tensor:
        return self.component.natural(self.family, *self._values(parameters))

    def component_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        block = self.component.direction(self.family, *self._values(parameters))
        return dict(zip(self.component.names, block, strict=True))

    def column_densities(self, parameters: Parameters, grid: Tensor, column: int = 0) -> Tensor:
        """π_c p(x_d | c) for the values ``grid`` ``(G,)`` of one ``column`` d: ``(G, C)``.

        The sum over c is the mixture's density of that column alone, in whatever dimension.

        Raises
        ------
        ValueError
            For a family whose columns are not independent, or a column that does not exist.
        """
        if isinstance(self.family, (Categorical, CategoricalProduct, Multinomial)):
            raise ValueError(
                f"column_densities needs independent columns: those of {type(self.family).__name__}"
                " are not"
            )
        if not 0 <= column < self.observed:
            raise ValueError(f"column must be from 0 to {self.observed - 1}: got {column}")
        one = {name: parameters[name][:, column : column + 1] for name in self.component.names}
        single = FamilyMixture(self.family, 1, self.components)
        points = single._data(grid[:, None])
        return single.log_joint({"logits": parameters["logits"], **one}, points, self.states).exp()

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """All parameters at random, standard deviation ½."""
        shapes: dict[str, tuple[int, ...]] = {"logits": (self.components,)}
        shapes |= {name: (self.components, self.observed) for name in self.component.names}
        return {k: 0.5 * normal_draws(*s, generator=generator) for k, s in shapes.items()}

    def random_start(self, x: Any, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """A start for learning: every point goes to the nearest of C random data points.

        Distances are those of the standardized sufficient statistics (of x itself for Laplace and
        Student t); each point is assigned with weight 0.9, the rest is spread evenly, and the
        components are estimated from these weights.

        Raises
        ------
        ValueError
            For invalid data, fewer data points than components, or a column that does not vary.
        """
        data = self._data(x)
        if len(data) < self.components:
            raise ValueError(
                f"x must have at least as many points as components: got {len(data)} points for "
                f"{self.components} components"
            )
        constant = torch.nonzero((data == data[0]).all(0))[:, 0].tolist()
        if constant:
            raise ValueError(f"x must vary in every column: columns {constant} are constant")
        family = self.family
        features = family.statistics(data) if isinstance(family, ExponentialFamily) else data
        features = (features - features.mean(0)) / features.std(0).clamp(min=1e-12)
        chosen = torch.randperm(len(data), generator=generator)[: self.components]
        nearest = torch.cdist(features, features[chosen]).argmin(1)
        hard = torch.nn.functional.one_hot(nearest, self.components).to(data.dtype)
        return self._estimate(0.9 * hard + 0.1 / self.components, data)

    def m_step(self, responsibilities: Tensor, x: Any) -> dict[str, Tensor]:
        """Maximise the ELBO over all parameters for given ``responsibilities`` ``(N, C)``.

        After it the ELBO for these *same* responsibilities equals the entropy sum.

        Raises
        ------
        ValueError
            For a family without a closed-form M-step (beta, von Mises, Laplace, Student t),
            responsibilities of another shape, or a component that dies or collapses.
        """
        if not self.component.exact:
            raise ValueError(
                f"{type(self.family).__name__} has no closed-form M-step: learn with fit.lbfgs and "
                "fit.newton"
            )
        data = self._data(x)
        self._check_responsibilities(responsibilities, len(data))
        return self._estimate(responsibilities, data)

    def em_step(self, parameters: Parameters, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        log_joint = self.log_joint(parameters, x, self.states)
        updated = self._estimate(torch.softmax(log_joint, -1), x)  # of data that em has checked
        return torch.logsumexp(log_joint, -1).mean(), updated

    def _data(self, x: Any) -> Tensor:
        data = as_data(x, columns=self.observed)
        reason = self.family.invalid(data)
        if reason is not None:
            raise ValueError(f"x {reason}")
        return data

    def _estimate(self, responsibilities: Tensor, data: Tensor) -> dict[str, Tensor]:
        count = responsibilities.sum(0)
        weights = (responsibilities / count).T
        values = self.component.estimate(self.family, data, lambda f: weights @ f)
        parameters = {"logits": (count / len(data)).log()}
        parameters |= dict(zip(self.component.names, values, strict=True))
        bad = [name for name, value in parameters.items() if not bool(value.isfinite().all())]
        if bad:
            raise ValueError(
                f"a component died or collapsed: {bad} became infinite; use fewer components, "
                "another seed, or leave out columns that are the same for many points"
            )
        return parameters


def pointwise_residual(model: FamilyMixture, parameters: Parameters, x: Tensor) -> float:
    """Relative error of log(p(x_n|c)/h) + H̃[p(·|c)] = ⟨∇ log p(x_n|c), v⟩ over all n and c.

    This is the criterion in a form that knows the density, its entropy and v only; it holds also
    for families that are not exponential but closed under tempering.
    """
    v = model.component_direction(parameters)
    own = {name: parameters[name] for name in v}
    family = model.family

    def log_density(chosen: Parameters) -> Tensor:
        return family.pairwise_log_prob(x, model.component_natural({**parameters, **chosen}))

    pair = torch.func.jvp(log_density, (own,), (v,))
    density, slope = pair[0], pair[1]
    entropy = family.pseudo_entropy(model.component_natural(parameters))
    target = density - family.log_base_measure(x)[:, None] + entropy
    return float((target - slope).abs().max() / (1 + target.abs().max()))

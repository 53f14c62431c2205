"""Mixtures over any family: Poisson, gamma, von Mises, Student t, a reader's own, …"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.families import ExponentialFamily, Family
from companion.families.base import Average, Blocks
from companion.models.mixtures.base import Mixture
from companion.support.checks import positive_integer
from companion.theory.model import Parameters, normal_draws

__all__ = ["FamilyMixture"]


@dataclass(frozen=True)
class FamilyMixture(Mixture):
    """c ~ Cat(softmax a), x | c ~ p(x | η_c) with components ``of`` any family, in D dimensions.

    Parameters: ``prior_logits`` a, ``(C,)``, and the family's own ``coordinates``, with one row for
    each component: ``log_rates`` ``(C, D)`` for Poisson, ``log_shapes`` and ``log_rates`` for gamma
    components. Each family says what they are and what v is on them
    (``companion.families.Gamma().in_words``); :data:`companion.families.EVERY_FAMILY` is a list.

    A reader's own family is taken too: an instance of :class:`companion.families.Custom`, whose
    only parameter is ``natural``, or of a class derived from a family or from
    :class:`companion.families.ExponentialFamily`.

    For Gaussian components take :class:`companion.models.GaussianMixture`.

    Raises
    ------
    ValueError
        For what is no family, for a family without coordinates, or sizes that are not positive
        integers or do not fit the family.

    >>> from companion.families import Poisson
    >>> model = FamilyMixture(Poisson(), observed=5, components=3)
    >>> model.initial_parameters(torch.Generator().manual_seed(0))["log_rates"].shape
    torch.Size([3, 5])
    """

    of: Family
    observed: int
    components: int

    def __post_init__(self) -> None:
        if not isinstance(self.of, Family) or not self.of.coordinates:
            raise ValueError(
                f"of must be a family with unconstrained coordinates: got {self.of!r}; "
                "for Gaussian components use GaussianMixture"
            )
        positive_integer(self.observed, "observed")
        positive_integer(self.components, "components")
        self.of.coordinate_size(self.observed)  # refuses sizes that do not fit

    @property
    def family(self) -> Family:
        return self.of

    def _coordinates(self, parameters: Parameters) -> list[Tensor]:
        return [parameters[name] for name in self.of.coordinates]

    def component_natural(self, parameters: Parameters) -> Tensor:
        return self.of.from_coordinates(*self._coordinates(parameters))

    def component_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        return self._named(self.of.direction(*self._coordinates(parameters)))

    def _named(self, blocks: Blocks) -> dict[str, Tensor]:
        return dict(zip(self.of.coordinates, blocks, strict=True))

    def check_parameters(self, parameters: Parameters) -> None:
        super().check_parameters(parameters)
        if isinstance(self.of, ExponentialFamily):
            if not bool(self.of.log_partition(self.component_natural(parameters)).isfinite().all()):
                raise ValueError(
                    f"parameters must be inside the domain of {self.of!r}: "
                    f"its log-partition is not finite at these {list(self.of.coordinates)}"
                )

    def column_densities(self, parameters: Parameters, grid: Tensor, column: int = 0) -> Tensor:
        """π_c p(x_d | c) for the values ``grid`` ``(G,)`` of one ``column`` d: ``(G, C)``.

        The sum over c is the mixture's density of that column alone, in whatever dimension.

        Raises
        ------
        ValueError
            For a family whose columns are not independent, or a column that does not exist.
        """
        if not self.of.independent_columns:
            raise ValueError(
                f"column_densities needs independent columns: those of {type(self.of).__name__} "
                "are not"
            )
        if not 0 <= column < self.observed:
            raise ValueError(f"column must be from 0 to {self.observed - 1}: got {column}")
        single = FamilyMixture(self.of, 1, self.components)
        own = self._named(tuple(b[:, column, None] for b in self._coordinates(parameters)))
        one = {"prior_logits": parameters["prior_logits"], **own}
        return single.log_joint(one, single.check_data(grid[:, None]), self.states).exp()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        size = (self.components, self.of.coordinate_size(self.observed))
        return {"prior_logits": size[:1]} | dict.fromkeys(self.of.coordinates, size)

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """All parameters at random, standard deviation ½."""
        return {k: 0.5 * normal_draws(*s, generator=generator) for k, s in self.shapes.items()}

    def random_start(self, x: Any, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """A start for learning: every point goes to the nearest of C random data points.

        Distances are those of the standardized sufficient statistics (of x itself where there are
        none); each point is assigned with weight 0.9, the rest is spread evenly, and the components
        are estimated from these weights.

        Raises
        ------
        ValueError
            For invalid data, fewer data points than components, a column that does not vary, or a
            family that gives no estimate.
        """
        data = x
        self._check_points(len(data))
        constant = torch.nonzero((data == data[0]).all(0))[:, 0].tolist()
        if constant:
            raise ValueError(f"x must vary in every column: columns {constant} are constant")
        family = self.of
        features = family.statistics(data) if isinstance(family, ExponentialFamily) else data
        features = (features - features.mean(0)) / features.std(0).clamp(min=1e-12)
        chosen = torch.randperm(len(data), generator=generator)[: self.components]
        nearest = torch.cdist(features, features[chosen]).argmin(1)
        hard = torch.nn.functional.one_hot(nearest, self.components).to(data.dtype)
        return self._estimated(0.9 * hard + 0.1 / self.components, data, self.of.estimate)

    def _fitted(self, responsibilities: Tensor, x: Tensor) -> dict[str, Tensor]:
        return self._estimated(responsibilities, x, self.of.maximum_likelihood)

    def _estimated(
        self, responsibilities: Tensor, data: Tensor, estimate: Callable[[Tensor, Average], Blocks]
    ) -> dict[str, Tensor]:
        count = responsibilities.sum(0)
        weights = (responsibilities / count).T
        parameters = {"prior_logits": (count / len(data)).log()}
        parameters |= self._named(estimate(data, lambda f: weights @ f))
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

"""A step of EM for a Gaussian mixture, and the identity before it, from one pass over the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from companion.families import FullGaussian
from companion.models.mixtures import em
from companion.models.mixtures.whitening import WhitenedStatistics
from companion.support.blocks import Blocks
from companion.support.checks import all_finite
from companion.theory.identity import Evaluation
from companion.theory.model import Parameters
from companion.theory.nodes import Nodes
from companion.theory.objective import summarized

if TYPE_CHECKING:
    from companion.models.mixtures.gaussian import GaussianMixture

__all__ = ["GaussianEM", "from_moments"]

#: A component is narrow that has less variance than this, the data's variances being 1.
NARROW = 1e-4
#: Data are whitened where there are so many columns for each component, or fewer points for each
#: column and component than so many.
_COLUMNS, _POINTS = 12, 8


class GaussianEM:
    """Parameters ↦ (log-likelihood before a step of EM, parameters after it) for given data.

    A pass over the data gives their moments under the responsibilities, and of the data the M-step
    and the identity at the exact posterior need nothing else. Products of all pairs of columns
    serve all components at once. Whitening, for each component, is faster where there are few
    components for the columns, and loses no digits where one is narrow, as it will be where there
    are few points for each.
    """

    def __init__(self, model: GaussianMixture, x: Tensor | Blocks, floor: float = 0.0):
        self.model, self.floor = model, floor
        self.whitened = WhitenedStatistics(x, model.family)
        self.quadratic = em.QuadraticStatistics(x, model.family)
        self._seen: tuple[Parameters, em.Moments] | None = None

    def __call__(self, parameters: Parameters) -> tuple[Tensor, dict[str, Tensor]]:
        seen, self._seen = self._seen, None
        found = seen[1] if seen and seen[0] is parameters else self._moments(parameters)
        moments = (found.counts, found.means, found.covariances)
        variances = self.quadratic.variances
        return found.log_likelihood, from_moments(self.model, *moments, variances, self.floor)

    def evaluation(self, parameters: Parameters) -> Evaluation | None:
        """All that the identity is about at the exact posterior; ``None`` for narrow components.

        The step from the same parameters, if it comes next, does not pass over the data again.
        """
        model = self.model
        if not self._wide(model.component_covariance(parameters)):
            return None  # a mean's round-off is no longer small beside a width
        found = self._moments(parameters, entropy=True)
        self._seen = parameters, found
        shares = found.counts / found.counts.sum()

        def bound(at: Parameters) -> Tensor:
            each = found.expected_log_prob(model.family, at["means"], model.component_width(at))
            log_weights = torch.log_softmax(at["prior_logits"], -1)
            return shares @ (log_weights + each) + found.entropy

        return summarized(model, parameters, bound, found.entropy, Nodes(model.states, shares))

    def _moments(self, parameters: Parameters, entropy: bool = False) -> em.Moments:
        """By the faster way; about the means that it finds, if others would lose digits."""
        means, covariances = parameters["means"], self.model.component_covariance(parameters)
        given = (torch.log_softmax(parameters["prior_logits"], -1), means, covariances, entropy)
        if self._products_serve(covariances):
            found = self.quadratic.moments(*given)
            if self._wide(regular(self.model, found.counts, found.covariances, self.floor)):
                return found
        else:
            found = self.whitened.moments(*given)
            spread = regular(self.model, found.counts, found.covariances, self.floor)
            lost = em.squared(self.model.family, found.means - means) * NARROW > spread
            if not bool((lost.diagonal(dim1=-2, dim2=-1) if lost.dim() > 2 else lost).any()):
                return found
        return self.whitened.moments(*given, about=found.means)

    def _products_serve(self, covariances: Tensor) -> bool:
        size, components = self.model.observed, self.model.components
        if isinstance(self.model.family, FullGaussian):
            few_points = self.quadratic.points < _POINTS * size * components
            if size >= _COLUMNS * components or few_points:
                return False
        return self._wide(covariances)

    def _wide(self, covariances: Tensor) -> bool:
        return em.wider(self.model.family, covariances, self.quadratic.variances, NARROW)


def regular(model: GaussianMixture, count: Tensor, covariances: Tensor, floor: float) -> Tensor:
    """One covariance for all components if they are tied, and ``floor`` added to variances."""
    if model.covariance_type == "tied":
        covariances = torch.tensordot(count / count.sum(), covariances, 1)
    if isinstance(model.family, FullGaussian):
        return covariances + floor * torch.eye(model.observed, dtype=count.dtype)
    return covariances + floor


def from_moments(
    model: GaussianMixture,
    count: Tensor,
    means: Tensor,
    covariances: Tensor,
    variances: Tensor,
    floor: float,
) -> dict[str, Tensor]:
    """The parameters with these moments; a ``ValueError`` if a component died or collapsed.

    Parameters
    ----------
    model
        Whose parameters.
    count, means, covariances
        Of every component, as :class:`companion.models.mixtures.em.Moments` has them.
    variances
        Of the columns of the data, ``(D,)``.
    floor
        Added to all variances.
    """
    if not all_finite(variances):
        raise ValueError("x must have finite variances: its squares overflow")
    if not bool((count > 1e-10).all()):
        dead = torch.nonzero(count <= 1e-10)[:, 0].tolist()
        raise ValueError(
            f"components {dead} died: no data point is assigned to them; use fewer components, "
            "another seed, or floor > 0"
        )
    covariances = regular(model, count, covariances, floor)
    if not em.wider(model.family, covariances, variances, 1e-12):
        smallest = em.relative_variances(model.family, covariances, variances)
        raise ValueError(
            f"a component collapsed in EM: its smallest variance is {float(smallest.min()):.3g}"
            " of the data's; use fewer components, another seed, a simpler covariance, or "
            "floor > 0"
        )
    return model.from_covariances(count / count.sum(), means, covariances)

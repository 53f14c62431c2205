"""A step of EM for a Gaussian mixture, and the identity before it, from one pass over the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from companion.families import FullGaussian
from companion.models.mixtures import em
from companion.support.blocks import Blocks
from companion.support.checks import all_finite
from companion.theory.identity import Evaluation
from companion.theory.model import Parameters
from companion.theory.nodes import Nodes
from companion.theory.objective import summarized

if TYPE_CHECKING:
    from companion.models.mixtures.gaussian import GaussianMixture

__all__ = ["GaussianEM", "from_moments"]

#: EM takes the plain M-step where a component is narrower than this, the data's variances being 1.
NARROW = 1e-4


class GaussianEM:
    """Parameters ↦ (log-likelihood before a step of EM, parameters after it) for given data.

    A pass over the data gives their moments under the responsibilities, and of the data the M-step
    and the identity at the exact posterior need nothing else. Moments about the data's centre lose
    digits for very narrow components: then the covariances are those of the plain M-step, and the
    identity is left to :func:`companion.verify`.
    """

    def __init__(self, model: GaussianMixture, x: Tensor | Blocks, floor: float = 0.0):
        self.model, self.floor = model, floor
        self.statistics = em.QuadraticStatistics(x, model.family)
        self.blocks = (x,) if isinstance(x, Tensor) else x
        self._seen: tuple[Parameters, em.Moments] | None = None

    def __call__(self, parameters: Parameters) -> tuple[Tensor, dict[str, Tensor]]:
        seen, self._seen = self._seen, None
        found = seen[1] if seen and seen[0] is parameters else self._moments(parameters)
        narrow = self.statistics.narrowest(
            regular(self.model, found.counts, found.covariances, self.floor)
        )
        moments = (found.counts, found.means, found.covariances)
        if narrow <= NARROW:
            located = ((self.model.posterior(parameters, b).probabilities, b) for b in self.blocks)
            moments = em.moments_about(self.model.family, found.means, located)
        variances = self.statistics.variances
        return found.log_likelihood, from_moments(self.model, *moments, variances, self.floor)

    def evaluation(self, parameters: Parameters) -> Evaluation | None:
        """All that the identity is about at the exact posterior; ``None`` for narrow components.

        The step from the same parameters, if it comes next, does not pass over the data again.
        """
        model = self.model
        if self.statistics.narrowest(model.component_covariance(parameters)) <= NARROW:
            return None
        found = self._moments(parameters, entropy=True)
        self._seen = parameters, found
        shares = found.counts / found.counts.sum()

        def bound(at: Parameters) -> Tensor:
            each = found.expected_log_prob(model.family, at["means"], model.component_width(at))
            log_weights = torch.log_softmax(at["prior_logits"], -1)
            return shares @ (log_weights + each) + found.entropy

        return summarized(model, parameters, bound, found.entropy, Nodes(model.states, shares))

    def _moments(self, parameters: Parameters, entropy: bool = False) -> em.Moments:
        log_weights = torch.log_softmax(parameters["prior_logits"], -1)
        covariances = self.model.component_covariance(parameters)
        return self.statistics.moments(log_weights, parameters["means"], covariances, entropy)


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
    smallest = em.relative_variances(model.family, covariances, variances)
    if not bool((smallest > 1e-12).all()):
        raise ValueError(
            f"a component collapsed in EM: its smallest variance is {float(smallest.min()):.3g}"
            " of the data's; use fewer components, another seed, a simpler covariance, or "
            "floor > 0"
        )
    return model.from_covariances(count / count.sum(), means, covariances)

"""One conditional distribution of a model: the models are products of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from companion.families import Family, GaussianMean
from companion.families.gaussian import Gaussian
from companion.support.doors import Guarded
from companion.theory.variational import Nodes, Variational

__all__ = ["Factor", "Located", "Parameters"]

Parameters = Mapping[str, Tensor]
Located = Callable[[Parameters, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Factor(Guarded):
    """One conditional distribution of the model, p(value | natural parameters).

    ``natural(parameters, z)`` gives η with shape ``(L,)`` (no dependence on z), ``(P, L)`` or
    ``(N, P, L)``. ``value(z)`` picks the latent variables that the factor is a distribution of;
    ``None`` stands for the observed x.

    ``closed_form(parameters, q, x)`` gives E_{q_n}[log p], ``(N,)``, without nodes, or ``None`` for
    a q for which there is no such formula; then, and without it, the nodes of q are used.
    ``located`` is what :meth:`gaussian` makes a factor of.

    >>> import torch
    >>> from companion import models
    >>> prior = models.SigmoidBeliefNet(observed=4, latent=2).factors[0]
    >>> prior.name, prior.natural({"prior_logits": torch.ones(2)}, torch.zeros(3, 2))
    ('prior', tensor([1., 1.]))
    """

    name: str
    family: Family
    natural: Callable[[Parameters, Tensor], Tensor]
    value: Callable[[Tensor], Tensor] | None = None
    closed_form: Callable[[Parameters, Variational, Tensor], Tensor | None] | None = None
    marginal: Callable[[Variational], Nodes] | None = None
    located: Located | None = None

    def nodes(self, q: Variational, shared: Nodes | None = None) -> Nodes:
        """Where this factor is evaluated; ``shared`` are the nodes of q, if they are at hand.

        Those of ``marginal(q)`` for a factor evaluated elsewhere, as at every step of a chain.
        """
        return self.marginal(q) if self.marginal is not None else shared or q.nodes()

    @classmethod
    def gaussian(cls, name: str, family: Gaussian, located: Located) -> Factor:
        """From ``(parameters, z)`` → mean and width: η loses digits that they have."""

        def natural(parameters: Parameters, z: Tensor) -> Tensor:
            mean, width = located(parameters, z)
            return family.natural_parameters(mean, family.variance_of(width))

        return cls(name, family, natural, located=located)

    def log_prob(self, parameters: Parameters, x: Tensor, z: Tensor) -> Tensor:
        """log p of this factor at every pair (x_n, z_p): broadcastable to ``(N, P)``."""
        if self.located is not None and isinstance(self.family, Gaussian):
            if self.value is not None:
                return self.family.located_log_prob(self.value(z), *self.located(parameters, z))
            return self.family.located_pairwise(x, *self.located(parameters, z))
        natural = self.natural(parameters, z)
        if self.value is not None:
            return self.family.log_prob(self.value(z), natural)
        return self.family.pairwise_log_prob(x, natural)

    def entropy(self, parameters: Parameters, z: Tensor, pseudo: bool = False) -> Tensor:
        """Entropies at all z, or those relative to the base measure; as :meth:`log_prob`."""
        if self.located is not None and isinstance(self.family, Gaussian):
            return self.family.located_entropy(*self.located(parameters, z))
        natural = self.natural(parameters, z)
        return self.family.pseudo_entropy(natural) if pseudo else self.family.entropy(natural)

    def excess(self, parameters: Parameters, x: Tensor, z: Tensor) -> Tensor | None:
        """Pseudo-entropy less log of the base measure, ``(N, P)``, where both grow with the data.

        ``None`` elsewhere: there their difference loses no digits.
        """
        if self.value is not None or not isinstance(self.family, GaussianMean):
            return None
        return self.family.excess(x, self.natural(parameters, z))

    def log_base_measure(self, x: Tensor, z: Tensor) -> Tensor:
        """log of the base measure, broadcastable to ``(N, P)``."""
        if self.value is not None:
            return self.family.log_base_measure(self.value(z))
        return self.family.log_base_measure(x)[:, None]

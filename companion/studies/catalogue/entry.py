"""One row of the catalogue: a model, a q and the data that both are shown with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from companion import models, variational
from companion.studies.catalogue.distributions import Build
from companion.theory.model import Model, normal_draws
from companion.theory.variational import Variational

__all__ = ["Entry", "perturbed"]


@dataclass(frozen=True)
class Entry:
    """A model with one q and real data ``x``; ``q=None`` stands for the exact posterior.

    ``q`` draws a random distribution of its kind. ``contains_posterior`` says that the exact
    posterior is among them: then both share their stationary points. ``start`` gives the shapes of
    the parameters of a model that does not know them. ``fixed`` names parameters that learning
    leaves alone, ``seed`` chooses its start; ``chapter`` is the name of the model's chapter.
    """

    name: str
    chapter: str
    model: Model
    x: Tensor
    q: Build | None = None
    contains_posterior: bool = False
    start: Mapping[str, Tensor] | None = None
    fixed: tuple[str, ...] = ()
    seed: int = 0

    def initial(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters to start learning from."""
        if self.start is not None:
            return dict(self.start)
        if isinstance(self.model, models.Mixture | models.HiddenMarkov):
            return self.model.random_start(self.x, generator)
        return self.model.initial_parameters(generator)

    def random(self, generator: torch.Generator) -> tuple[dict[str, Tensor], Variational]:
        """Parameters and q at random, away from zeros and symmetries where mistakes might hide."""
        start = self.start or self.model.initial_parameters(generator)
        parameters = perturbed(start, generator)
        for name, value in parameters.items():
            if name.endswith("cholesky"):  # only what lies below the diagonal is a parameter
                parameters[name] = torch.tril(value, -1)
        if self.q is None:
            return parameters, self.model.posterior(parameters, self.x)
        q = self.q(generator)
        if isinstance(q, variational.Amortized | models.Switched):  # biases start from zero
            q = q.with_parameters(perturbed(q.parameters, generator))
        return parameters, q


def perturbed(values: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Parameters away from zeros and symmetries, where a mistake might not show."""
    return {
        name: value + 0.4 * normal_draws(*value.shape, generator=generator)
        for name, value in values.items()
    }

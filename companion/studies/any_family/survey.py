"""One row for each family: the identity at random, the direction v, and a converged mixture."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from companion import fit
from companion.families import ExponentialFamily, Family
from companion.models import FamilyMixture
from companion.models.mixtures.family import pointwise_residual
from companion.support.tables import Cell, Record
from companion.theory.identity import Verification, verify
from companion.theory.variational import Tabulated

__all__ = ["Survey", "Surveyed", "survey"]


@dataclass(frozen=True, repr=False)
class Surveyed(Record):
    """A mixture of one family, verified at random parameters and at a converged point.

    ``pointwise`` is the relative error of log(p/h) + H̃ = ⟨∇ log p, v⟩ over data and components;
    ``random`` and ``converged`` are the two verifications. The ``family`` says its v in words
    (``in_words``), and which parameters were kept fixed in learning (``kinks``).
    """

    family: Family
    pointwise: float
    random: Verification
    converged: Verification

    def rows(self) -> list[tuple[str, Cell]]:
        """Family, base measure, v in words, and four numbers."""
        return [
            ("family", repr(self.family).removesuffix("()")),
            ("base measure", _base_measure(self.family)),
            ("parameters; v", self.family.in_words),
            ("pointwise", self.pointwise),
            ("residual", self.random.relative_residual),
            ("|gap|", abs(self.converged.gap)),
            ("‖∇F‖", self.converged.gradient_norm),
        ]


class Survey(Record, tuple[Surveyed, ...]):
    """One line for each family: a tuple, and a table."""

    @property
    def columns(self) -> list[str]:  # type: ignore[override]
        """Labels of what a line says."""
        return [label for label, _ in self[0].rows()]

    def rows(self) -> list[list[Cell]]:
        """One row for each family."""
        return [[value for _, value in line.rows()] for line in self]


def survey(
    families: Iterable[Family],
    *,
    observed: int = 4,
    components: int = 2,
    points: int = 300,
    seed: int = 0,
) -> Survey:
    """Verify a mixture of every family, at random parameters and at a stationary point.

    The data are draws, in turn from the components of a mixture at random parameters.
    The identity is checked on them at other random parameters with a random q. Then the mixture is
    learned with L-BFGS and Newton's method down to round-off, from the parameters that made the
    data; the row says how small the gradient has become. Coordinates in which the density has kinks
    (locations of :class:`companion.families.Laplace`) stay there: the ELBO has no gradient at them.

    Parameters
    ----------
    families
        Instances, the package's (:data:`companion.families.EVERY_FAMILY`) or a reader's own.
    observed, components
        D and C of the mixtures.
    points
        Draws from each mixture.
    seed
        Of all draws; the same for each family.

    Raises
    ------
    ValueError
        For a family without coordinates, one that can't be sampled, or that does not fit
        ``observed``.

    >>> from companion.families import Poisson
    >>> (line,) = survey([Poisson()], points=100)
    >>> line.family.in_words, line.random.relative_residual < 1e-12, abs(line.converged.gap) < 1e-9
    ('log_rates t; t', True, True)
    """
    return Survey(_one(FamilyMixture(f, observed, components), points, seed) for f in families)


def _one(model: FamilyMixture, points: int, seed: int) -> Surveyed:
    generator = torch.Generator().manual_seed(seed)
    truth, guess = (model.initial_parameters(generator) for _ in range(2))
    # Twice as far apart, and equally many of each component: a maximum that is well determined.
    truth = {name: 2 * value for name, value in truth.items()} | {
        "prior_logits": 0 * truth["prior_logits"]
    }
    component = torch.arange(points) % model.components
    family, kinks = model.family, model.family.kinks
    x = family.sample(model.component_natural(truth)[component], generator)
    logits = torch.randn(points, model.components, dtype=x.dtype, generator=generator)
    with warnings.catch_warnings():  # more than can be reached is asked for: to round-off
        warnings.simplefilter("ignore", fit.ConvergenceWarning)
        climb = fit.lbfgs(model, truth, None, x, steps=500, tolerance=1e-4, fixed=kinks)
        learned = fit.newton(model, climb.parameters, None, x, tolerance=1e-15, fixed=kinks)
    return Surveyed(
        family=family,
        pointwise=pointwise_residual(model, guess, x),
        random=verify(model, guess, Tabulated(model.states, logits), x),
        converged=learned.final,
    )


def _base_measure(family: Family) -> str:
    if not isinstance(family, ExponentialFamily):
        return "not exponential"
    return "constant" if family.constant_base_measure else "not constant"

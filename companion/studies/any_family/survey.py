"""One row for each family: the identity at random, the direction v, and a converged mixture."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from companion import fit
from companion.families import ExponentialFamily, Family
from companion.models import FamilyMixture
from companion.models.mixtures.family import pointwise_residual
from companion.support.tables import Table
from companion.theory.identity import Verification, verify
from companion.theory.variational import Tabulated

__all__ = ["Survey", "Surveyed", "survey"]


@dataclass(frozen=True)
class Surveyed:
    """A mixture of one family, verified at random parameters and at a converged point.

    ``pointwise`` is the relative error of log(p/h) + H̃ = ⟨∇ log p, v⟩ over data and components;
    ``random`` and ``converged`` are the two verifications. The ``family`` says its v in words
    (``in_words``), and which parameters were kept fixed in learning (``kinks``).
    """

    family: Family
    pointwise: float
    random: Verification
    converged: Verification


@dataclass(frozen=True, repr=False)
class Survey:
    """The rows of a survey, and their table."""

    rows: Sequence[Surveyed]

    def table(self) -> Table:
        """Family, base measure, v in words, and four numbers for each row."""
        columns = ("family", "base measure", "parameters; v", "pointwise", "residual")
        return Table(
            (*columns, "|gap|", "‖∇F‖"),
            [
                (
                    repr(row.family).removesuffix("()"),
                    _base_measure(row.family),
                    row.family.in_words,
                    row.pointwise,
                    row.random.relative_residual,
                    abs(row.converged.gap),
                    row.converged.gradient_norm,
                )
                for row in self.rows
            ],
        )

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def survey(
    families: Iterable[Family],
    *,
    observed: int = 4,
    components: int = 2,
    points: int = 300,
    seed: int = 0,
) -> Survey:
    """Verify a mixture of every family, at random parameters and at a stationary point.

    The data are ``points`` draws, in turn from the components of a mixture at random parameters.
    The identity is checked on them at other random parameters with a random q. Then the mixture is
    learned with L-BFGS and Newton's method down to round-off, from the parameters that made the
    data; the row says how small the gradient has become. Coordinates in which the density has kinks
    (locations of :class:`companion.families.Laplace`) stay there: the ELBO has no gradient at them.

    Raises
    ------
    ValueError
        For a family of which mixtures are not known, or that does not fit ``observed``.

    >>> from companion.families import Poisson
    >>> row = survey([Poisson()], points=100).rows[0]
    >>> row.family.in_words, row.random.relative_residual < 1e-12, abs(row.converged.gap) < 1e-9
    ('log_rates t; t', True, True)
    """
    return Survey([_one(FamilyMixture(f, observed, components), points, seed) for f in families])


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

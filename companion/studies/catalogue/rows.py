"""What the table says of a model and a q: in words, all derived, and in measured numbers."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from companion import fit, models
from companion.families import ExponentialFamily
from companion.models import FamilyMixture, GaussianMixture, HiddenMarkov
from companion.models.noised_chain import NoisedChain
from companion.studies.catalogue.forms import in_words, matching_forms
from companion.studies.catalogue.listing import Entry
from companion.support import tree
from companion.support.tables import Table
from companion.theory.identity import Verification, full_direction, verify
from companion.theory.model import Factor, Parameters
from companion.theory.variational import Amortized, Gaussian, MeanFieldBernoulli, Variational

__all__ = ["REACHED", "Row", "measure", "models_table", "rows_table"]

#: Where the gradient norm is at most this, learning has reached a stationary point.
REACHED = 1e-10


@dataclass(frozen=True)
class Row:
    """One model with one q: words derived from its objects, and what was measured.

    ``prior``, ``observable`` name the families, ``base`` their base measures, ``direction`` the
    forms of the blocks of v (:func:`~companion.studies.catalogue.forms.matching_forms`), those of q
    named ``q.<name>``; ``sum`` is the entropy sum, with E where an entropy has to be averaged over
    q. ``residual`` is the largest relative residual of the identity over the random draws,
    ``control`` what it becomes at the least when any one block of v has its sign turned round.
    ``end`` is the identity where learning ended.
    """

    entry: Entry
    q: str
    prior: str
    observable: str
    base: str
    direction: Mapping[str, str]
    sum: str
    residual: float
    control: float
    end: Verification

    @property
    def reached(self) -> bool:
        """Whether learning ended at a stationary point, up to round-off."""
        return self.end.gradient_norm <= REACHED


def measure(
    entries: Iterable[Entry], *, draws: int = 5, steps: int = 400, seed: int = 0
) -> list[Row]:
    """Verify every entry at ``draws`` random points, read off what it is, and learn it.

    Learning goes on by EM (where there is an M-step) or L-BFGS for at most ``steps`` steps, then by
    up to 25 of Newton's. A free q that contains the exact posterior shares its
    stationary points, so that the point found with the posterior serves for both.

    Raises
    ------
    ValueError
        If a model has no gap direction, or does not fit its data.

    >>> from companion.studies.catalogue.listing import entries
    >>> row = measure(entries()[:1], draws=2, steps=20)[0]
    >>> row.entry.name, row.q, row.sum, row.residual < 1e-12, row.control > 1e-3
    ('SBN', 'exact posterior', 'H[q] − H[z] − E\\xa0H[x|z]', True, True)
    """
    rows: list[Row] = []
    ends: dict[str, Verification] = {}
    for entry in entries:
        shared = ends.get(entry.name) if entry.contains_posterior else None
        end = _learned(entry, steps) if shared is None else shared
        if entry.q is None:
            ends[entry.name] = end
        rows.append(_row(entry, draws, seed, end))
    return rows


def _row(entry: Entry, draws: int, seed: int, end: Verification) -> Row:
    generator = torch.Generator().manual_seed(seed)
    states = [entry.random(generator) for _ in range(draws)]
    reports = [verify(entry.model, parameters, q, entry.x) for parameters, q in states]
    points = [
        (tree.merge(parameters, q.parameters), full_direction(entry.model, parameters, q))
        for parameters, q in states
    ]
    direction, (parameters, q) = matching_forms(points), states[0]
    moved = [n for n, form in direction.items() if form != "0" and _has_gradient(n, entry)]
    return Row(
        entry=entry,
        q=_q_in_words(q, exact=entry.q is None),
        prior=_prior_in_words(entry.model.factors[0], parameters, q),
        observable=_family_in_words(entry.model.factors[-1]),
        base=_base_in_words(entry.model.factors),
        direction=direction,
        sum=_sum_in_words(entry.model.factors, parameters, q),
        residual=max(report.relative_residual for report in reports),
        control=_turned_round(reports, moved),
        end=end,
    )


def _has_gradient(name: str, entry: Entry) -> bool:
    """An exact posterior is a maximum in q: nothing can be seen there of the blocks of q."""
    return entry.q is not None or not name.startswith("q.")


def _turned_round(reports: Sequence[Verification], blocks: Sequence[str]) -> float:
    """The relative residual if any one of the blocks of v had the other sign: the smallest.

    Each block counts with the draw where it shows most.
    """
    return min(
        max(
            abs(report.gap - report.slope + 2 * report.blocks[name]) / (1 + abs(report.elbo))
            for report in reports
        )
        for name in blocks
    )


def _learned(entry: Entry, steps: int) -> Verification:
    """The identity where learning ends."""
    generator = torch.Generator().manual_seed(entry.seed)
    model, x, fixed = entry.model, entry.x, entry.fixed
    start = entry.initial(generator)
    free = entry.q is not None and not entry.contains_posterior
    q = entry.q(generator) if entry.q is not None and free else None
    with warnings.catch_warnings():  # more than can be reached is asked for: to round-off
        warnings.simplefilter("ignore", fit.ConvergenceWarning)
        if isinstance(model, GaussianMixture | HiddenMarkov) or (
            isinstance(model, FamilyMixture) and model.family.has_m_step
        ):
            rough = fit.em(model, start, x, steps=steps, tolerance=1e-8, log_every=50)
        else:
            rough = fit.lbfgs(
                model, start, q, x, steps=steps, tolerance=1e-6, log_every=10_000, fixed=fixed
            )
        own = rough.q if free else None
        fine = fit.newton(
            model, rough.parameters, own, x, steps=min(25, steps), tolerance=1e-13, fixed=fixed
        )
    return fine.final


# --- words, all derived ---------------------------------------------------------------------------


def _family_in_words(factor: Factor) -> str:
    """The name of the family's class, its words apart."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(factor.family).__name__)
    return words.replace("Student T", "Student t")


def _prior_in_words(factor: Factor, parameters: Parameters, q: Variational) -> str:
    """The prior's family, and whether its natural parameters depend on any parameter."""
    if factor.name == "joint":
        return "none, one joint distribution"
    z = factor.nodes(q).z
    moved = {name: value + 0.1 for name, value in parameters.items()}
    same = torch.equal(factor.natural(parameters, z), factor.natural(moved, z))
    return f"{_family_in_words(factor)}, {'fixed' if same else 'learned'}"


def _base_in_words(factors: Sequence[Factor]) -> str:
    factors = [factor for factor in factors if factor.name != "tied"]  # no distribution of its own
    if not all(isinstance(factor.family, ExponentialFamily) for factor in factors):
        return "none: not exponential"
    varying = [factor.value is None for factor in factors if not _constant(factor)]
    symbols = ["x" if observed else "z" for observed in varying]
    return f"not constant in {' and '.join(symbols)}" if symbols else "constant"


def _constant(factor: Factor) -> bool:
    return factor.family.constant_base_measure


def _q_in_words(q: Variational, exact: bool) -> str:
    if exact:
        return "exact posterior"
    if isinstance(q, Gaussian):
        return "Gaussian, diagonal" if q.diagonal else "Gaussian, full"
    if isinstance(q, models.Layered):
        return f"in layers, {q.encoder.order}"
    if isinstance(q, Amortized):
        return "Gaussian, encoder"
    if isinstance(q, models.MarkovChain | models.GaussianChain):
        return "any Gaussian chain" if hasattr(q, "gains") else "any Markov chain"
    if isinstance(q, NoisedChain):
        return "forward chain, fixed"
    if isinstance(q, models.Switched):
        return _q_in_words(q.latents, exact) + ", any switches"
    mean_field = isinstance(q, MeanFieldBernoulli | models.MeanFieldTopics)
    return "mean field" if mean_field else "any, tabulated"


def _sum_in_words(factors: Sequence[Factor], parameters: Parameters, q: Variational) -> str:
    """The entropies with their signs: a tilde for a pseudo-entropy, E for an average over q."""
    terms, base = ["H[q]"], []
    for factor in factors:
        symbol = {"prior": "z", "observable": "x|z", "joint": "x,z", "switches": "s"}.get(
            factor.name, factor.name
        )
        if factor.name[0] == "z":  # a layer, given the one above it
            symbol += f"|z{int(factor.name[1:]) + 1}"
        entropy = "H" if _constant(factor) else "H̃"
        if factor.name == "tied":
            terms.append("price")
            continue
        average = "E\u00a0" if _depends_on_z(factor, parameters, factor.nodes(q).z) else ""
        terms.append(f"{average}{entropy}[{symbol}]")
        if not _constant(factor):
            base.append("log g(x)" if factor.value is None else "E log h(z)")
    return " + ".join([" − ".join(terms), *base])


def _depends_on_z(factor: Factor, parameters: Parameters, z: Tensor) -> bool:
    """Whether the entropy of this factor differs from node to node of q."""
    values = factor.family.pseudo_entropy(factor.natural(parameters, z))
    return bool(values.max() - values.min() > 1e-12 * (1 + values.abs().max()))


# --- tables ---------------------------------------------------------------------------------------


def models_table(rows: Sequence[Row]) -> Table:
    """One row for each model: families, base measure, v on its parameters, entropy sum."""
    first = {row.entry.name: row for row in reversed(rows)}
    names = list(dict.fromkeys(row.entry.name for row in rows))
    return Table(
        ("model", "p(z)", "p(x|z)", "base measure", "v", "entropy sum"),
        [_model_cells(first[name]) for name in names],
    )


def _model_cells(row: Row) -> tuple[str, str, str, str, str, str]:
    own = {k: form for k, form in row.direction.items() if not k.startswith("q.")}
    return (row.entry.name, row.prior, row.observable, row.base, in_words(own), row.sum)


def rows_table(rows: Sequence[Row]) -> Table:
    """One row for each model and q: v on q, and four measured numbers."""
    columns = ("model", "q", "v on q", "residual", "|gap|", "‖∇F‖", "stationary")
    return Table(columns, [_row_cells(row) for row in rows])


def _row_cells(row: Row) -> tuple[str, str, str, float, float, float, str]:
    of_q = {k[2:]: form for k, form in row.direction.items() if k.startswith("q.")}
    gap, norm = abs(row.end.gap), row.end.gradient_norm
    held = f", {' and '.join(row.entry.fixed)} held" if row.entry.fixed else ""
    reached = ("reached" if row.reached else "not reached") + held
    return (row.entry.name, row.q, in_words(of_q), row.residual, gap, norm, reached)

"""The one table of the book: complete, derived from the objects, and true in every row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from companion import families, models, verify
from companion.studies.catalogue import FORMS, entries, in_words, matching_forms, measure
from companion.studies.catalogue.rows import models_table, rows_table
from companion.support import tree
from companion.theory.identity import full_direction
from tests.cases import draw, generator

ENTRIES = entries()
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def label(entry):
    return f"{entry.name}/{'exact' if entry.q is None else 'free'}"


@pytest.fixture(scope="module")
def rows():
    """Every row, hardly learned: enough for all but the last columns."""
    return measure(ENTRIES, draws=3, steps=1)


def chosen(*names):
    found = [entry for entry in ENTRIES if entry.name in names]
    assert {entry.name for entry in found} == set(names)
    return found


def test_no_model_and_no_family_of_mixtures_is_left_out():
    kinds = [kind for kind in vars(models).values() if isinstance(kind, type)]
    shipped = {
        kind
        for kind in kinds
        if issubclass(kind, models.Model) and not getattr(kind, "__abstractmethods__", None)
    }
    assert {type(entry.model) for entry in ENTRIES} == shipped
    mixtures = [e.model for e in ENTRIES if isinstance(e.model, models.FamilyMixture)]
    assert {type(mixture.family) for mixture in mixtures} == set(map(type, families.EVERY_FAMILY))
    gaussian = [e.model for e in ENTRIES if type(e.model) is models.GaussianMixture]
    assert {m.covariance_type for m in gaussian} == {"spherical", "diagonal", "full", "tied"}
    noises = {(e.model.noise_type, e.model.learnable_prior) for e in chosen(*VAES)}
    assert len(noises) == 8, "VAE-0 to VAE-3, with fixed and with learned priors"


VAES = [e.name for e in ENTRIES if isinstance(e.model, models.GaussianVAE)]


def test_names_stand_for_one_model_with_different_q():
    for name in {entry.name for entry in ENTRIES}:
        same = [entry for entry in ENTRIES if entry.name == name]
        assert len({repr(entry.model) for entry in same}) == 1
        assert len({entry.chapter for entry in same}) == 1


@pytest.mark.parametrize("chapter", sorted({entry.chapter for entry in ENTRIES}))
def test_every_chapter_that_is_named_exists(chapter):
    assert (NOTEBOOKS / f"{chapter}.ipynb").is_file()


def test_every_row_holds_at_random_parameters_and_every_sign_matters(rows):
    assert len(rows) == len(ENTRIES)
    assert {label(r.entry): r.residual for r in rows if not r.residual <= 1e-12} == {}
    assert {label(r.entry): r.control for r in rows if not r.control >= 1e-4} == {}


@pytest.mark.parametrize("entry", chosen("PPCA", "mixture, Gamma", "VAE-3"), ids=label)
def test_the_control_is_what_verify_says_of_a_wrong_sign(entry):
    row = measure([entry], draws=1, steps=1)[0]
    parameters, q = entry.random(torch.Generator().manual_seed(0))
    v = full_direction(entry.model, parameters, q)
    blocks = [b for b, form in row.direction.items() if form != "0"]
    if entry.q is None:
        blocks = [b for b in blocks if not b.startswith("q.")]
    wrong = [verify(entry.model, parameters, q, entry.x, v | {b: -v[b]}) for b in blocks]
    assert row.control == pytest.approx(min(r.relative_residual for r in wrong), rel=1e-9)


def test_every_block_of_every_direction_has_a_form_that_gives_its_numbers(rows):
    """The words are read back into numbers at another random point than they were found at."""
    for row in rows:
        parameters, q = row.entry.random(generator(row.entry.name))
        v = full_direction(row.entry.model, parameters, q)
        assert set(v) == set(row.direction)
        theta = tree.merge(parameters, q.parameters)
        for block, form in row.direction.items():
            if form in FORMS:
                expected = FORMS[form](theta[block])
            else:  # of another parameter, whose name stands in the text
                text, other = re.fullmatch(r"(.*exp\(−?)(\w+)\)", form).groups()
                power = theta[other].exp()
                expected = -power if text == "−exp(" else -0.5 - 0.5 / power
            torch.testing.assert_close(v[block], expected, rtol=1e-11, atol=1e-12)


def test_parameters_without_any_step_are_never_mistaken_for_zeros(rows):
    """A parameter that is zero at the random points would hide θ behind 0."""
    for row in rows:
        parameters, q = row.entry.random(torch.Generator().manual_seed(0))
        for block, value in tree.merge(parameters, q.parameters).items():
            if block.endswith("cholesky") and value.shape[-1] == 1:
                continue  # of one column: nothing stands below its diagonal
            assert bool((value != 0).any()), f"{row.entry.name}: {block}"


def test_a_form_is_not_claimed_when_it_fails_at_one_point():
    theta = {"a": draw(3, g=generator("one")), "b": draw(3, g=generator("two"))}
    again = {"a": draw(3, g=generator("three")), "b": draw(3, g=generator("four"))}
    v = {"a": theta["a"].clone(), "b": -theta["a"].exp()}
    assert matching_forms([(theta, v)]) == {"a": "θ", "b": "−exp(a)"}
    good = {"a": again["a"].clone(), "b": -again["a"].exp()}
    assert matching_forms([(theta, v), (again, good)]) == {"a": "θ", "b": "−exp(a)"}
    off = {"a": again["a"] * (1 + 1e-10), "b": again["b"]}
    assert matching_forms([(theta, v), (again, off)]) == {"a": "other", "b": "other"}
    assert matching_forms([(theta, {"a": torch.ones(2), "b": v["b"]})])["a"] == "other"
    assert in_words({"a": "θ", "b": "θ", "c": "0"}) == "θ: a, b" and in_words({"c": "0"}) == "0"


def test_words_are_what_the_theory_says(rows):
    found = {(r.entry.name, r.q): r for r in rows}
    ppca = found["PPCA", "Gaussian, diagonal"]
    assert (ppca.prior, ppca.observable) == ("Diagonal Gaussian, fixed", "Spherical Gaussian")
    assert (ppca.base, ppca.sum) == ("constant", "H[q] − H[z] − H[x|z]")
    assert ppca.direction == {
        **{"weights": "−θ/2", "mean": "0", "log_variance": "−1"},
        **{"q.mean": "θ/2", "q.scale": "θ/2"},
    }
    poisson = found["mixture, Poisson", "exact posterior"]
    assert (poisson.prior, poisson.base) == ("Categorical, learned", "not constant in x")
    assert poisson.sum == "H[q] − H[z] − E\xa0H̃[x|z] + log g(x)"
    counts = found["own model, Poisson latent", "any, tabulated"]
    assert counts.base == "not constant in z"
    assert counts.sum == "H[q] − H̃[z] − H[x|z] + E log h(z)"
    student = found["mixture, StudentT", "exact posterior"]
    assert student.base == "none: not exponential"
    assert student.direction["log_dofs"] == "1 + 1/eᶿ"
    deep = found["deep SBN", "mean field"]
    assert deep.sum == "H[q] − H[z] − E\xa0H[hidden] − E\xa0H[x|z]"
    assert found["VAE-3", "Gaussian, encoder"].sum == "H[q] − H[z] − E\xa0H[x|z]"
    assert found["VAE-2", "Gaussian, encoder"].prior == "Diagonal Gaussian, learned"
    assert found["sparse coding, unit scale", "Gaussian, full"].direction["weights"] == "−θ"


def test_learning_reaches_stationary_points_where_the_gap_is_gone():
    names = ("SBN", "PPCA", "GMM, full", "mixture, Poisson", "mixture, VonMises", "linear VAE-1")
    learned = measure(chosen(*names), draws=1)
    assert all(row.reached for row in learned), [r.end.gradient_norm for r in learned]
    assert max(abs(row.end.gap) for row in learned) <= 1e-9
    elbos = {(row.entry.name, row.q): row.end.elbo for row in learned}
    of_names = {row.entry.name: row.end.elbo for row in learned}
    assert len(set(of_names.values())) == len(names), "each model is learned for itself"
    assert elbos["PPCA", "exact posterior"] == elbos["PPCA", "Gaussian, full"]
    assert elbos["SBN", "mean field"] != elbos["SBN", "exact posterior"]
    stopped = measure(chosen("factor analysis"), draws=1, steps=1)
    assert not any(row.reached for row in stopped)
    assert "not reached" in str(rows_table(stopped))


def test_a_free_q_shares_the_learned_point_only_with_its_own_posterior():
    both = measure(chosen("GMM, tied"), draws=1, steps=3)
    assert both[0].end is both[1].end
    alone = measure([entry for entry in chosen("GMM, tied") if entry.q is not None], steps=3)
    assert alone[0].end.gap == pytest.approx(both[0].end.gap, abs=1e-12)


def test_tables_have_a_row_for_each_model_and_for_each_q(rows):
    names = {entry.name for entry in ENTRIES}
    assert len(models_table(rows).rows()) == len(names)
    assert [cells[0] for cells in rows_table(rows).rows()] == [entry.name for entry in ENTRIES]
    laplace = [cells for cells in rows_table(rows).rows() if cells[0] == "mixture, Laplace"]
    assert all("locations held" in cells[-1] for cells in laplace)
    assert not any("held" in cells[-1] for cells in rows_table(rows).rows() if cells not in laplace)


def test_random_points_of_a_triangular_factor_have_nothing_above_the_diagonal():
    (entry,) = [e for e in chosen("GMM, full") if e.q is None]
    parameters, _ = entry.random(generator("triangle"))
    assert bool((torch.triu(parameters["cholesky"]) == 0).all())
    assert isinstance(entry.model.family, families.FullGaussian)

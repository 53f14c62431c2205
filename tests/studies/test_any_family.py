"""The survey over all families, the densities of columns, and their figure."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from companion import families, models
from companion.studies.any_family import figures
from companion.studies.any_family.survey import pointwise_residual, survey
from tests.cases import FAMILIES, generator


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_a_row_has_the_identity_and_a_stationary_point(family):
    (row,) = survey([family], points=80)
    assert row.random.relative_residual <= 1e-12
    assert abs(row.random.gap) > 1e-3
    assert row.pointwise <= 1e-12
    assert abs(row.converged.gap) <= 1e-7
    assert row.converged.gradient_norm <= 1e-7


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_the_pointwise_form_sees_an_error_in_v(family, monkeypatch):
    right = family.direction
    monkeypatch.setattr(
        type(family), "direction", lambda _, *theta: tuple(1.01 * block for block in right(*theta))
    )
    model = models.FamilyMixture(family, 4, 2)
    parameters = model.initial_parameters(generator("pointwise"))
    x = family.sample(model.component_natural(parameters)[torch.arange(20) % 2], generator("x"))
    assert pointwise_residual(model, parameters, x) > 1e-5


def test_the_table_has_one_row_for_each_family():
    found = survey([families.Poisson(), families.Laplace()], points=60)
    assert [row[:3] for row in found.rows()] == [
        ["Poisson", "not constant", "log_rates t; t"],
        ["Laplace", "not exponential", "locations, log_scales; 0, −1"],
    ]
    assert found[1].family.kinks == ("locations",)
    assert "Poisson" in str(found)
    assert "Poisson" in found._repr_html_()


def test_column_densities_are_those_of_scipy_and_integrate_to_the_weights():
    model = models.FamilyMixture(families.Gamma(), 2, 3)
    parameters = model.initial_parameters(generator("columns"))
    grid = torch.linspace(0.1, 5, 40, dtype=torch.float64)
    ours = model.column_densities(parameters, grid, column=1)
    weights = torch.softmax(parameters["prior_logits"], 0)
    shape, rate = (parameters[name][:, 1].exp() for name in ("log_shapes", "log_rates"))
    oracle = weights * torch.as_tensor(stats.gamma.pdf(grid[:, None], shape, scale=1 / rate))
    torch.testing.assert_close(ours, oracle, rtol=1e-10, atol=0)

    angles = models.FamilyMixture(families.VonMises(), 1, 2)
    parameters = angles.initial_parameters(generator("angles"))

    def density(angle):
        point = torch.tensor([angle], dtype=torch.float64)
        return float(angles.column_densities(parameters, point).sum())

    assert integrate.quad(density, -np.pi, np.pi)[0] == pytest.approx(1, abs=1e-8)


def test_column_densities_refuse_what_they_cannot_do():
    grid = torch.ones(2, dtype=torch.float64)
    model = models.FamilyMixture(families.Gamma(), 2, 2)
    with pytest.raises(ValueError, match="column must be from 0 to 1: got 2"):
        model.column_densities(model.initial_parameters(), grid, column=2)
    model = models.FamilyMixture(families.Multinomial(trials=3), 2, 2)
    with pytest.raises(ValueError, match="those of Multinomial are not"):
        model.column_densities(model.initial_parameters(), grid)


def test_histograms_have_a_panel_for_each_column_and_a_line_for_the_sum():
    density = np.array([[0.2, 0.1], [0.3, 0.4]])
    figure = figures.mixture_histograms(
        [[0, 1, 1]] * 2, [[0, 1]] * 2, [density] * 2, names=("a", "b"), counts=True
    )
    assert [panel.get_xlabel() for panel in figure.axes] == ["a", "b"]
    np.testing.assert_allclose(figure.axes[0].lines[-1].get_ydata(), [0.3, 0.7])
    np.testing.assert_allclose([bar.get_height() for bar in figure.axes[0].patches], [1 / 3, 2 / 3])


@pytest.mark.parametrize("columns", [1, 2])
def test_the_legend_of_histograms_stands_outside_the_panels(columns):
    density = np.array([[0.2, 0.1], [0.3, 0.4]])
    figure = figures.mixture_histograms(
        [[0.0, 1.0]] * columns, [[0, 1]] * columns, [density] * columns, names="ab"[:columns]
    )
    assert [panel.get_legend() for panel in figure.axes] == [None] * columns
    (below,) = figure.legends
    names = [text.get_text() for text in below.get_texts()]
    assert sorted(names) == ["component 1", "component 2", "data", "mixture"]
    figure.draw_without_rendering()
    bottom = min(panel.get_tightbbox().y0 for panel in figure.axes)
    assert below.get_window_extent().y1 <= bottom


def test_a_logarithmic_axis_ends_below_the_smallest_density():
    density = np.array([[0.2, 0.2], [0.01, 0.01]])
    figure = figures.mixture_histograms([[0.0, 1.0]], [[0, 1]], [density], names=("a",), log=True)
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[0].get_ylim()[0] == pytest.approx(0.01)


def test_histograms_refuse_lists_of_different_lengths():
    with pytest.raises(ValueError, match=r"equally many: got \[1, 1, 1, 2\]"):
        figures.mixture_histograms([[0, 1]], [[0, 1]], [np.ones((2, 1))], names=("a", "b"))

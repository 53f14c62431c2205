"""The figures of the chapter on VAEs: what is drawn where, and bad calls."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import pyplot

from companion.book import charts
from companion.studies.vaes import figures


class Trace:
    """Three logged steps with known columns."""

    steps = (0, 10, 20)
    columns = {  # noqa: RUF012
        "elbo": [-3.0, 1.0, 2.0],
        "entropy_sum": [-5.0, 2.0, 2.0],
        "posterior_entropy": [1.0, 0.5, 0.0],
        "prior_entropy": [1.5, 1.5, 1.5],
        "observable_entropy": [4.5, -3.0, -3.5],
        "gap": [2.0, -1.0, 0.0],
        "certificate": [3.0, 1.5, 1e-3],
        "residual": [1e-15, 0.0, 2e-15],
    }

    def column(self, name):
        return np.array(self.columns[name])


@pytest.fixture(autouse=True)
def _close():
    yield
    pyplot.close("all")


def drawn(axes):
    return {line.get_label(): line.get_ydata() for line in axes.lines}


def test_the_three_terms_are_drawn_with_the_sign_that_adds_up_to_the_sum():
    left, right = charts.three_entropies(Trace()).axes
    terms = [v for label, v in drawn(right).items() if "entropy" in label]
    assert len(terms) == 3
    np.testing.assert_allclose(sum(terms), drawn(left)["entropy sum"])


def test_bounds_share_a_colour_within_a_model_and_skip_the_start():
    axes = charts.bounds_by_model({"a": Trace(), "b": Trace()}, skip=1).axes[0]
    solid, dashed, other = axes.lines[:3]
    assert solid.get_color() == dashed.get_color() != other.get_color()
    np.testing.assert_array_equal(solid.get_ydata(), [1.0, 2.0])
    np.testing.assert_array_equal(dashed.get_ydata(), [2.0, 2.0])


@pytest.mark.parametrize("count", [1, 3])
def test_the_gap_lies_below_its_certificate_in_every_panel(count):
    figure = figures.gap_in_certificate({f"model {i}": Trace() for i in range(count)})
    panels = [axes for axes in figure.axes if axes.lines]
    assert [panel.get_title() for panel in panels] == [f"model {i}" for i in range(count)]
    for panel in panels:
        lines = drawn(panel)
        np.testing.assert_array_equal(lines["|ELBO − entropy sum|"], [1.0, 1e-16])
        assert (lines["certificate"] >= lines["|ELBO − entropy sum|"]).all()


def test_the_band_is_two_standard_deviations_wide():
    data = SimpleNamespace(z=[0.0, 1.0], x=[[1.0, 2.0], [3.0, 4.0]], grid=[0.0, 0.5, 1.0])
    mean = np.array([[0.0, 5.0], [1.0, 6.0], [2.0, 7.0]])
    figure = figures.latent_curve(data.z, data.x, data.grid, mean, [[0.5, 1.0]], ["a", "b"])
    for column, (axes, std) in enumerate(zip(figure.axes, (0.5, 1.0), strict=True)):
        heights = axes.collections[0].get_paths()[0].vertices[:, 1]
        assert heights.min() == mean[:, column].min() - 2 * std
        assert heights.max() == mean[:, column].max() + 2 * std
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]


def test_another_number_of_names_is_refused():
    with pytest.raises(ValueError, match="names must be one for each observable: got 1 for 2"):
        figures.latent_curve([0.0], [[1.0, 2.0]], [0.0], [[0.0, 0.0]], [[1.0, 1.0]], ["a"])

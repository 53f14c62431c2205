"""The decoder over one latent, and certificates: what is drawn where, and bad calls."""

import numpy as np
import pytest

from companion.studies.vaes import figures
from tests.figures import curves, titles


def test_the_band_is_two_standard_deviations_wide():
    z, x, grid = [0.0, 1.0], [[1.0, 2.0], [3.0, 4.0]], [0.0, 0.5, 1.0]
    mean = np.array([[0.0, 5.0], [1.0, 6.0], [2.0, 7.0]])
    figure = figures.latent_curve(z, x, grid, mean, [[0.5, 1.0]], ["a", "b"])
    for column, (axes, std) in enumerate(zip(figure.axes, (0.5, 1.0), strict=True)):
        heights = axes.collections[0].get_paths()[0].vertices[:, 1]
        assert heights.min() == mean[:, column].min() - 2 * std
        assert heights.max() == mean[:, column].max() + 2 * std
    assert titles(figure) == ["a", "b"]


def test_another_number_of_names_is_refused():
    with pytest.raises(ValueError, match="names must be one for each observable: got 1 for 2"):
        figures.latent_curve([0.0], [[1.0, 2.0]], [0.0], [[0.0, 0.0]], [[1.0, 1.0]], ["a"])


class Trained:
    """A gap that changes its sign, and certificates, at three logged steps."""

    steps = (0, 5, 10)

    def column(self, name):
        return np.array({"gap": [9.0, -2.0, 0.5], "certificate": [99.0, 4.0, 8.0]}[name])


def test_the_gap_is_drawn_inside_the_band_of_its_certificate():
    figure = figures.certificates({"a": Trained(), "b": Trained()}, skip=1)
    assert titles(figure) == ["a", "b"]
    for axes in figure.axes:
        assert curves(axes)["|ELBO − entropy sum|"] == ([5, 10], [2.0, 0.5])
        heights = axes.collections[0].get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == (axes.get_ylim()[0], 8.0)
        assert axes.get_ylim()[0] < 0.5 and axes.get_yscale() == "log"

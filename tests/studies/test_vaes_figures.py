"""The decoder over one latent: what is drawn where, and bad calls."""

import numpy as np
import pytest

from companion.studies.vaes import figures
from tests.figures import titles


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

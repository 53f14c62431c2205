"""The figures of tempering: what is drawn where."""

import numpy as np

from companion.studies.temperature import figures
from tests.figures import curves, titles, words


def test_densities_have_a_panel_each_and_a_line_for_each_temperature():
    grid, whole = [0.0, 0.5, 1.0], [0, 1, 2]
    figure = figures.tempered_densities(
        {"a": (grid, {0.5: [1, 2, 3], 1.0: [2, 3, 4], 2.0: [3, 4, 5]}), "b": (whole, {1.0: whole})}
    )
    left, right = figure.axes
    assert titles(figure) == ["a", "b"]
    assert curves(left)["t = 0.5 (warmer)"][1] == [1, 2, 3]
    assert [line.get_marker() for line in (left.lines[0], right.lines[0])] == ["None", "o"]
    assert all(tick == round(tick) for tick in right.get_xticks())
    labels = ["t = 0.5 (warmer)", "t = 1", "t = 2 (colder)"]
    assert words(figure.legends[0].get_texts()) == labels


def test_the_tangent_runs_from_the_entropy_sum_through_the_elbo():
    (axes,) = figures.tempered_curves({"a": ([0.5, 1.0, 2.0], [-4.0, -2.0, -3.0], -2.0, -3.5)}).axes
    drawn = curves(axes)
    assert drawn["tangent at t = 1"] == ([0, 2], [-3.5, -0.5])
    assert drawn["ELBO at temperature t"][1] == [-4, -2, -3]
    assert drawn["ELBO"] == ([1], [-2]) and drawn["entropy sum"] == ([0], [-3.5])


def test_thermometers_share_one_scale_with_white_at_zero():
    axes = figures.thermometer_images({"a": [[0.1, -0.2]], "b": [[0.0, 0.05]]}).axes
    images = [panel.images[0] for panel in axes[:2]]
    assert {image.get_clim() for image in images} == {(-0.2, 0.2)}
    np.testing.assert_allclose(images[0].cmap(images[0].norm(0.0)), 1, atol=0.01)

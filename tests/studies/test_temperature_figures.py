"""The figures of tempering: what is drawn where."""

import numpy as np

from companion.studies.temperature import figures


def test_densities_have_a_panel_each_and_a_line_for_each_temperature():
    grid, whole = [0.0, 0.5, 1.0], [0, 1, 2]
    figure = figures.tempered_densities(
        {"a": (grid, {0.5: [1, 2, 3], 1.0: [2, 3, 4], 2.0: [3, 4, 5]}), "b": (whole, {1.0: whole})}
    )
    left, right, empty = figure.axes
    assert [axes.get_title() for axes in (left, right)] == ["a", "b"]
    np.testing.assert_array_equal(left.lines[0].get_ydata(), [1, 2, 3])
    assert [line.get_marker() for line in (left.lines[0], right.lines[0])] == ["None", "o"]
    assert not empty.axison
    assert all(tick == round(tick) for tick in right.get_xticks())
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["t = 0.5 (warmer)", "t = 1", "t = 2 (colder)"]


def test_the_tangent_runs_from_the_entropy_sum_through_the_elbo():
    (axes,) = figures.tempered_curves({"a": ([0.5, 1.0, 2.0], [-4.0, -2.0, -3.0], -2.0, -3.5)}).axes
    tangent, curve, here, meeting = axes.lines
    np.testing.assert_allclose(tangent.get_xdata(), [0, 2])
    np.testing.assert_allclose(tangent.get_ydata(), [-3.5, -0.5])
    np.testing.assert_allclose(curve.get_ydata(), [-4, -2, -3])
    assert (here.get_xdata()[0], here.get_ydata()[0]) == (1, -2)
    assert (meeting.get_xdata()[0], meeting.get_ydata()[0]) == (0, -3.5)


def test_rescaled_draws_every_curve_over_the_scale():
    axes = figures.rescaled([0.5, 1, 2], {"a": [1, 2, 3], "b": [3, 2, 1]}, xlabel="s").axes[0]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [3, 2, 1])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.5", "1", "2"]


def test_thermometers_share_one_scale_with_white_at_zero():
    axes = figures.thermometer_images({"a": [[0.1, -0.2]], "b": [[0.0, 0.05]]}).axes
    images = [panel.images[0] for panel in axes[:2]]
    assert {image.get_clim() for image in images} == {(-0.2, 0.2)}
    np.testing.assert_allclose(images[0].cmap(images[0].norm(0.0)), 1, atol=0.01)

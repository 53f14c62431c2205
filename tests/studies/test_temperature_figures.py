"""The figures of tempering: what is drawn where."""

import numpy as np
import pytest
import torch

from companion import families
from companion.studies.temperature import figures
from tests.figures import curves, titles, words


def test_densities_have_a_panel_each_and_a_line_for_each_temperature():
    grid = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    normal, poisson = families.SphericalGaussian(), families.Poisson()
    standard = grid.new_tensor([0, -0.5])
    figure = figures.tempered_densities(
        {"a": (normal, standard, grid), "b": (poisson, standard[:1], 2 * grid)}
    )
    left, right = figure.axes
    assert titles(figure) == ["a", "b"]
    for name, t in (("t = 0.5 (warmer)", 0.5), ("t = 1", 1.0), ("t = 2 (colder)", 2.0)):
        density = torch.distributions.Normal(0, t**-0.5).log_prob(grid).exp()
        assert curves(left)[name][1] == pytest.approx(density.tolist())
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


def test_a_thermometer_is_white_at_zero():
    image = figures.thermometer_image([[0.1, -0.2], [0.0, 0.05]]).axes[0].images[0]
    assert image.get_clim() == (-0.2, 0.2)
    np.testing.assert_allclose(image.cmap(image.norm(0.0)), 1, atol=0.01)

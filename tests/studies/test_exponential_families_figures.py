"""Figures on exponential families: what is drawn is what is given."""

import numpy as np
import torch

from companion import families
from companion.studies.exponential_families import figures
from tests.figures import curves


def test_tangents_cross_the_axis_at_the_entropy():
    family = families.Bernoulli()
    eta = torch.linspace(-4, 4, 9, dtype=torch.float64)[:, None]
    A, mean, H = family.log_partition(eta), family.mean_parameters(eta)[:, 0], family.entropy(eta)
    left, right = figures.tangent_and_entropy(eta[:, 0], A, mean, H, [2, 6]).axes
    tangents = [shape for shape in left.lines if shape.get_linestyle() == "--"]
    assert len(tangents) == 2
    for tangent, index in zip(tangents, (2, 6), strict=True):
        assert np.isclose(np.interp(0, *tangent.get_data()), float(H[index]), atol=1e-12)
    assert np.allclose(curves(right)["entropy (nats)"][1], H)


def test_residuals_fall_on_the_side_of_their_verdict():
    (axes,) = figures.criterion_residuals({"good": 0.0, "bad": 0.3, "near": 5e-3}, 1e-8).axes
    drawn = curves(axes)
    assert drawn["passes"] == ([1e-16], [0]) and drawn["fails"] == ([0.3, 5e-3], [1, 2])
    assert set(drawn["tolerance"][0]) == {1e-8}
    assert len(axes.collections) == 2, "stems of what passes, and of what fails"


def test_plane_and_nodes_can_be_drawn_from_tensors():
    first, second = torch.linspace(-2, 2, 9), torch.linspace(-2, -0.1, 7)
    values = first[None] ** 2 - second[:, None]
    figure = figures.log_partition_plane(first, second, values, values, {"ray": (first, -first)})
    assert all("ray" in curves(axes) for axes in figure.axes)
    nodes = figures.residual_against_nodes([8, 16], {"head": ([1e-15, 1e-3], [0.1, 0.2])}, 12)
    assert curves(nodes.axes[0])["head: held out"][1] == [0.1, 0.2]

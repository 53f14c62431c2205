"""The figures of mixtures and of code lengths: what is drawn where, and bad calls."""

import numpy as np
import pytest

from companion.studies.mixtures import figures

X = np.array([[0.0, 0.0], [1.0, 1.0], [3.0, 2.0]])
MEANS = np.array([[0.5, 0.5], [3.0, 2.0]])
COVARIANCES = np.array([np.diag([4.0, 1.0]), np.eye(2)])
SURE = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def draw(**changes):
    arguments = {
        "means": [MEANS],
        "covariances": [COVARIANCES],
        "responsibilities": [SURE],
        "titles": ["one"],
        "axes_names": ("a", "b"),
    } | changes
    return figures.component_ellipses(X, **arguments)


def test_the_ellipses_have_the_standard_deviations_of_the_covariance():
    panel = draw().axes[0]
    outer = panel.lines[1].get_xydata()  # two standard deviations of the first component
    np.testing.assert_allclose(np.abs(outer - MEANS[0]).max(0), [4.0, 2.0], rtol=1e-3)
    assert [len(points.get_offsets()) for points in panel.collections] == [2, 1]


def test_a_component_that_wins_no_point_is_drawn_as_ellipses_only():
    panel = draw(responsibilities=[np.tile([0.6, 0.4], (3, 1))]).axes[0]
    assert [len(points.get_offsets()) for points in panel.collections] == [3]
    assert len(panel.lines) == 6


def test_mixtures_and_titles_must_be_equally_many():
    with pytest.raises(ValueError, match="equally many: got 1, 1, 1 and 2"):
        draw(titles=["one", "two"])


def test_too_many_components_are_refused():
    with pytest.raises(ValueError, match="at most 7 components can be drawn: got 8"):
        draw(
            means=[np.zeros((8, 2))],
            covariances=[np.stack([np.eye(2)] * 8)],
            responsibilities=[np.full((3, 8), 1 / 8)],
        )

"""The figures of the chapter on manifolds: what is drawn where, and bad calls."""

import numpy as np
import pytest
from scipy import stats

from companion.studies.manifolds import figures

RNG = np.random.default_rng(0)
FLAT, DEEP = RNG.normal(size=(20, 2)), RNG.normal(size=(20, 3))
HUE = np.arange(20.0)


def points(axes, which=0):
    """The points of one scatter plot, in two or three dimensions."""
    held = axes.collections[which]
    return np.array(held._offsets3d).T if hasattr(held, "_offsets3d") else held.get_offsets().data


def test_clouds_are_drawn_in_two_and_three_dimensions_with_their_colours():
    figure = figures.point_clouds({"flat": (FLAT, HUE), "deep": (DEEP, -HUE)})
    flat, deep = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["flat", "deep"]
    np.testing.assert_array_equal(points(flat), FLAT)
    np.testing.assert_array_equal(flat.collections[0].get_array(), HUE)
    assert np.ptp(points(deep)[:, 2]) == np.ptp(DEEP[:, 2])


def test_latent_planes_show_means_the_mixture_of_q_and_the_prior():
    """The image is q̄ = (1/N) Σ_n N(m_n, diag s_n²), the first latent to the right."""
    mean, std = np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[1.0, 2.0], [0.5, 0.25]])
    prior = np.array([1.0, 2.0])
    (axes,) = figures.latent_planes({"a": (mean, std, HUE[:2], prior)}).axes
    np.testing.assert_array_equal(points(axes), mean)
    rings = [np.abs(line.get_xydata()).max(0) for line in axes.lines]
    np.testing.assert_allclose(rings, [prior, 2 * prior], rtol=1e-3)
    assert axes.images[0].origin == "lower"
    shown, (low, high, *_) = axes.images[0].get_array(), axes.images[0].get_extent()
    assert low < -4 and high > 4, "two standard deviations of the prior are inside"
    at = np.linspace(low, high, len(shown))
    each = [stats.norm.pdf(at[:, None], mean[:, h], std[:, h]) for h in range(2)]
    np.testing.assert_allclose(shown, each[1] @ each[0].T / 2, rtol=1e-12)


def test_data_samples_and_means_have_a_legend():
    figure = figures.data_and_samples({"a": (FLAT, FLAT + 1, FLAT - 1), "b": (DEEP, DEEP, DEEP)})
    for which, shift in enumerate((0, 1, -1)):
        np.testing.assert_allclose(points(figure.axes[0], which), FLAT + shift)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["data", "samples of the model", "their means"]


def test_latents_are_sorted_within_each_run():
    kl = np.array([[0.0, 2.0, 0.5], [1.0, 0.0, 3.0]])
    figure = figures.latents_in_use({"k = 1": kl, "k = 2": kl[:1]}, 0.01)
    first, second = figure.axes
    drawn = [list(line.get_ydata()) for line in first.lines]
    assert drawn == [[0.01, 0.01], [2.0, 0.5, 0.0], [3.0, 1.0, 0.0]]
    assert len(second.lines) == 2


def test_bad_shapes_are_named():
    with pytest.raises(ValueError, match="one must have 2 or 3 columns: got shape \\(20, 1\\)"):
        figures.point_clouds({"one": (FLAT[:, :1], HUE)})
    with pytest.raises(ValueError, match="means and standard deviations must be"):
        figures.latent_planes({"a": (DEEP, DEEP, HUE, np.ones(3))})

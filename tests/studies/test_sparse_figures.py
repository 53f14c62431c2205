"""The histogram of sparse codes: what is drawn where, and bad calls."""

import numpy as np
import pytest
from scipy import stats

from companion.studies.sparse import figures


def axes_of(means, draws, **options):
    return figures.sparse_codes(means, draws, **options).axes[0]


def test_bars_count_every_mean_and_the_outline_every_draw():
    means = np.array([[-3.0, 0.1], [0.2, 20.0]])  # 20 lies outside and still counts
    draws = np.array([1.5, 1.6])
    axes = axes_of(means, draws, bins=4, reach=4.0)
    bars = {bar.get_x(): bar.get_height() for bar in axes.patches if hasattr(bar, "get_x")}
    assert bars == {-4.0: 1 / 8, 0.0: 2 / 8}
    outline = next(patch for patch in axes.patches if hasattr(patch, "get_data"))
    np.testing.assert_array_equal(outline.get_data().values, [np.nan, np.nan, 1 / 2, np.nan])
    assert axes.get_yscale() == "log"


def test_the_curves_are_a_laplace_prior_and_a_gaussian_as_wide_as_the_means():
    means = np.random.default_rng(0).laplace(size=2000)
    axes = axes_of(means, means)
    laplace, gaussian = (line.get_xydata().T for line in axes.lines)
    np.testing.assert_allclose(laplace[1], stats.laplace.pdf(laplace[0]))
    np.testing.assert_allclose(gaussian[1], stats.norm.pdf(gaussian[0], 0, means.std()))


@pytest.mark.parametrize(
    ("means", "draws", "options", "sentence"),
    [
        ([1.0, np.nan], [1.0], {}, "means must be finite"),
        ([1.0, 2.0], [], {}, "draws must be finite"),
        ([1.0, 1.0], [1.0], {}, "means must differ"),
        ([1.0, 2.0], [1.0], {"reach": 0.0}, "reach must be positive"),
    ],
)
def test_bad_calls_are_refused(means, draws, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        figures.sparse_codes(means, draws, **options)

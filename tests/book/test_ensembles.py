"""Figures of many seeds: medians, quartiles and extremes where they belong, and bad calls."""

import numpy as np
import pytest
import torch
from matplotlib import colors, pyplot

from companion.book import ensembles

STEPS = [0, 10, 20]
VALUES = torch.tensor([[1.0, -2.0, 3.0], [2.0, 4.0, 5.0], [3.0, 6.0, 7.0], [9.0, 8.0, 0.0]])


@pytest.fixture(autouse=True)
def _close():
    yield
    pyplot.close("all")


def edges(band, step):
    """Lower and upper edge of a filled band at one step."""
    path = band.get_paths()[0].vertices
    heights = path[path[:, 0] == step][:, 1]
    return heights.min(), heights.max()


@pytest.mark.parametrize("log", [False, True])
def test_line_and_bands_are_median_quartiles_and_extremes(log):
    (axes,) = ensembles.over_seeds(STEPS, {"gap": VALUES}, ylabel="nats", log=log, title="t").axes
    values = np.maximum(np.abs(VALUES.numpy()), 1e-16) if log else VALUES.numpy()
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xdata(), STEPS)
    np.testing.assert_allclose(line.get_ydata(), np.median(values, 0))
    extremes, quartiles = axes.collections
    for column, step in enumerate(STEPS):
        one = values[:, column]
        np.testing.assert_allclose(edges(extremes, step), (one.min(), one.max()))
        np.testing.assert_allclose(edges(quartiles, step), np.quantile(one, (0.25, 0.75)))
    assert (axes.get_yscale(), axes.get_ylabel(), axes.get_title()) == (
        "log" if log else "linear",
        "nats",
        "t",
    )


def test_a_label_keeps_its_colour_in_every_panel_and_panels_share_the_axis():
    both, one = {"a": VALUES, "b": VALUES + 1}, {"b": VALUES}
    figure = ensembles.panels_over_seeds(
        {
            "first": (STEPS, both),
            "second": (STEPS[:2], {"b": VALUES[:, :2]}),
            "third": (STEPS, one),
        },
        ylabel="nats",
        log=True,
    )
    panels = [axes for axes in figure.axes if axes.lines]
    assert [axes.get_title() for axes in panels] == ["first", "second", "third"]
    assert all(axes.get_yscale() == "log" for axes in panels)
    colour = {line.get_label(): line.get_color() for line in panels[0].lines}
    assert colour["a"] != colour["b"]
    assert colors.same_color(panels[1].lines[0].get_color(), colour["b"])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]


@pytest.mark.parametrize(
    ("curves", "sentence"),
    [
        ({}, "at least one label"),
        ({"gap": VALUES[0]}, r"curves\['gap'\] must have shape \(S, 3\).*got \(3,\)"),
        ({"gap": VALUES[:, :2]}, r"got \(4, 2\)"),
        ({"gap": VALUES / 0}, "must be finite"),
    ],
)
def test_bad_calls_are_refused(curves, sentence):
    with pytest.raises(ValueError, match=sentence):
        ensembles.over_seeds(STEPS, curves, ylabel="nats")


def test_a_point_for_each_seed_and_step_and_a_line_for_each_floor():
    norms = torch.tensor([[1.0, 0.1], [2.0, 0.2]])
    gaps = torch.tensor([[-3.0, 0.3], [4.0, 0.0]])
    figure = ensembles.gap_against_gradient(
        {"a": (norms, gaps), "b": (norms, 2 * gaps)}, {"b": -0.5}
    )
    (axes,) = figure.axes
    first, second = axes.collections
    np.testing.assert_allclose(first.get_offsets(), [[1, 3], [0.1, 0.3], [2, 4], [0.2, 1e-16]])
    np.testing.assert_allclose(second.get_offsets()[0], [1, 6])
    (floor,) = axes.lines
    np.testing.assert_array_equal(floor.get_ydata(), [0.5, 0.5])
    assert colors.same_color(floor.get_color(), second.get_facecolor()[0][:3])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_points_that_do_not_pair_up_and_floors_of_nothing_are_refused():
    with pytest.raises(ValueError, match=r"one shape: got \(4, 3\) and \(4, 2\)"):
        ensembles.gap_against_gradient({"a": (VALUES, VALUES[:, :2])})
    with pytest.raises(ValueError, match=r"labels of points: got \['b'\]"):
        ensembles.gap_against_gradient({"a": (VALUES, VALUES)}, {"b": 1.0})


class Runs:
    """Two seeds, three logged steps, known columns."""

    steps = (0, 10, 20)
    terms = {"posterior_entropy": -1.0, "prior_entropy": 2.0, "observable_entropy": -5.0}  # noqa: RUF012

    def column(self, name):
        values = torch.tensor([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])
        return values * self.terms.get(name, 2.0)


def test_the_terms_add_up_to_the_sum_and_the_start_is_left_out():
    extra = {"log-likelihood": Runs().column("elbo") + 1}
    left, right = ensembles.entropies_over_seeds({"": Runs()}, also=extra).axes
    assert [left.get_title(), right.get_title()] == ["the bound", "its three entropies"]
    lines = {line.get_label(): line for line in (*left.lines, *right.lines)}
    assert list(lines)[:3] == ["log-likelihood", "ELBO", "entropy sum"]
    np.testing.assert_array_equal(lines["ELBO"].get_xdata(), [10, 20])
    np.testing.assert_allclose(lines["log-likelihood"].get_ydata(), [6, 8])
    terms = sum(line.get_ydata() for line in right.lines)
    np.testing.assert_allclose(terms, lines["entropy sum"].get_ydata())


def test_several_runs_stand_side_by_side_with_their_terms_below():
    axes = ensembles.entropies_over_seeds({"a": Runs(), "b": Runs()}, skip=0).axes
    assert [panel.get_title() for panel in axes] == [
        "a: the bound",
        "b: the bound",
        "a: its three entropies",
        "b: its three entropies",
    ]
    assert all(panel.lines[0].get_xdata()[0] == 0 for panel in axes)

"""Figures that chapters share: what is given is drawn where it belongs, and bad calls."""

import numpy as np
import pytest
import torch
from matplotlib import colors

from companion.book import charts
from companion.book.panels import panels
from tests.figures import curves, titles, words

STEPS = [0, 10, 20]
VALUES = torch.tensor([[1.0, -2.0, 3.0], [2.0, 4.0, 5.0], [3.0, 6.0, 7.0], [9.0, 8.0, 0.0]])


class Run:
    """Known columns at three logged steps; two seeds if asked."""

    steps = (0, 10, 20)
    columns = {  # noqa: RUF012
        "elbo": [-3.0, 1.0, 2.0],
        "entropy_sum": [-5.0, 2.0, 2.0],
        "posterior_entropy": [1.0, 0.5, 0.0],
        "prior_entropy": [1.5, 1.5, 1.5],
        "observable_entropy": [4.5, -3.0, -3.5],
        "gap": [2.0, -1.0, 0.0],
        "gradient_norm": [2.0, np.nan, 1.0],
        "residual": [1e-15, 0.0, 2e-15],
    }

    def __init__(self, seeds=0):
        self.shape = (seeds, 3) if seeds else (3,)

    def column(self, name):
        return np.broadcast_to(self.columns[name], self.shape)


def edges(band, step):
    """Lower and upper edge of a filled band at one step."""
    path = band.get_paths()[0].vertices
    heights = path[path[:, 0] == step][:, 1]
    return heights.min(), heights.max()


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_line_and_bands_are_median_quartiles_and_extremes(scale):
    (axes,) = charts.curves({"gap": (STEPS, VALUES)}, ylabel="nats", yscale=scale).axes
    values = np.maximum(np.abs(VALUES.numpy()), 1e-16) if scale == "log" else VALUES.numpy()
    np.testing.assert_allclose(curves(axes)["gap"], (STEPS, np.median(values, 0)))
    extremes, quartiles = axes.collections
    for column, step in enumerate(STEPS):
        one = values[:, column]
        np.testing.assert_allclose(edges(extremes, step), (one.min(), one.max()))
        np.testing.assert_allclose(edges(quartiles, step), np.quantile(one, (0.25, 0.75)))
    assert (axes.get_yscale(), axes.get_ylabel(), axes.get_xlabel()) == (scale, "nats", "step")
    assert axes.get_legend() is None


def test_a_label_keeps_its_colour_in_every_panel_and_panels_share_axes_and_legend():
    figure = charts.curve_panels(
        {
            "first": {"a": (STEPS, VALUES), "b": (STEPS, VALUES + 1)},
            "second": {"b": (STEPS[:2], VALUES[:, :2])},
            "third": {"b": (STEPS, VALUES, "points", {"alpha": 0.5})},
        },
        columns=2,
        yscale="log",
        across={"floor": 1e-3},
        xticks=[5, 0.5],
    )
    assert titles(figure) == ["first", "second", "third"] and not figure.axes[3].axison
    looks = [{line.get_label(): line for line in axes.lines} for axes in figure.axes[:3]]
    assert looks[0]["a"].get_color() != looks[0]["b"].get_color()
    assert len({colors.to_hex(look["b"].get_color()) for look in looks}) == 1
    assert looks[0]["b"].get_linestyle() == "--" and looks[2]["b"].get_marker() == "X"
    assert all(set(look["floor"].get_ydata()) == {1e-3} for look in looks)
    assert words(figure.legends[0].get_texts()) == ["floor", "a", "b"]
    first, second = figure.axes[:2]
    assert first.get_ylim() == second.get_ylim() and not second.get_ylabel()
    assert words(second.get_xticklabels()) == ["5", "0.5"]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ({}, "at least one label"),
        ({"gap": (STEPS, VALUES[0, :2])}, r"curves\['gap'\] must have shape \(3,\).*got \(2,\)"),
        ({"gap": (STEPS, VALUES[:, :2])}, r"got \(4, 2\)"),
        ({"gap": (STEPS, VALUES / 0)}, "must be finite"),
    ],
)
def test_bad_curves_are_refused(lines, sentence):
    with pytest.raises(ValueError, match=sentence):
        charts.curves(lines)


def test_the_bound_is_drawn_from_where_it_is_asked_for():
    (axes,) = charts.bound_and_entropies(Run(), skip=1, log_steps=True).axes
    drawn = {"ELBO": ([10, 20], [1, 2]), "entropy sum": ([10, 20], [2, 2])}
    assert curves(axes) == drawn and axes.get_xscale() == "symlog"


def test_zero_gaps_are_drawn_at_round_off_and_what_is_not_finite_is_left_out():
    drawn = curves(charts.gap_and_gradient(Run()).axes[0])
    assert list(drawn) == ["|ELBO − entropy sum|", "residual of the identity"]
    assert drawn["|ELBO − entropy sum|"][1] == [2, 1, 1e-16]


@pytest.mark.parametrize("seeds", [0, 2])
def test_the_three_terms_add_up_to_the_sum(seeds):
    run = Run(seeds)
    figure = charts.three_entropies({"": run}, also={"log-likelihood": run.column("elbo") + 1})
    assert titles(figure) == ["the bound", "its three entropies"]
    left, right = map(curves, figure.axes)
    assert left["log-likelihood"][1] == [-2, 2, 3] and left["ELBO"][1] == [-3, 1, 2]
    terms = [y for label, (_, y) in right.items() if "entropy" in label]
    np.testing.assert_allclose(np.sum(terms, 0), left["entropy sum"][1])


def test_several_runs_stand_side_by_side_with_their_terms_below():
    figure = charts.three_entropies({"a": Run(2), "b": Run(2)}, skip=1)
    wanted = ["a: the bound", "b: the bound", "a: its three entropies", "b: its three entropies"]
    assert titles(figure) == wanted
    assert all(curves(axes).popitem()[1][0] == [10, 20] for axes in figure.axes)


def test_elbo_and_sum_of_a_model_share_a_colour():
    axes = charts.bounds_by_model({"a": Run(), "b": Run()}, skip=1).axes[0]
    solid, other, dashed = axes.lines[:3]
    assert solid.get_color() == dashed.get_color() != other.get_color()
    assert (list(solid.get_ydata()), list(dashed.get_ydata())) == ([1, 2], [2, 2])


def test_the_dot_of_a_crossing_sits_on_top_of_the_first_curve():
    pair = {"ELBO": [1.0, 3.0, 2.0], "entropy sum": [0.0, 3.0, 6.0]}
    drawn = curves(charts.crossing([0, 1, 2], pair, here=0.5, xlabel="t").axes[0])
    assert drawn["highest ELBO"] == ([1], [3]) and drawn["entropy sum"] == ([0, 1, 2], [0, 3, 6])
    assert any(set(x) == {0.5} for x, _ in drawn.values())


def test_prediction_and_measurement_are_what_is_given():
    drawn = curves(
        charts.predicted_and_measured([1, 2], [3, 4], [3, 5], xlabel="", ylabel="").axes[0]
    )
    assert drawn["predicted"] == ([1, 2], [3, 4]) and drawn["measured"] == ([1, 2], [3, 5])


def test_histograms_of_counts_are_frequencies():
    data = {"words": ([0, 0, 1, 2], {"p": ([0, 1, 2], [0.5, 0.3, 0.2])})}
    (axes,) = charts.histograms(data, counts=True).axes
    assert [bar.get_height() for bar in axes.patches] == [0.5, 0.25, 0.25]
    assert curves(axes)["p"][1] == [0.5, 0.3, 0.2]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("words", "relative frequency")


def test_every_value_is_drawn_in_the_row_of_its_name():
    rows = [("head", {}), ("one", {"v": [-1e-15, 0.0], "wrong": 0.1}), ("two", {"v": 3e-15})]
    (axes,) = charts.dots(rows, xlabel="residual", upright={"bound": 1e-12}).axes
    drawn = curves(axes)
    assert drawn["v"] == ([1e-15, 1e-16, 3e-15], [1, 1, 2]) and drawn["wrong"] == ([0.1], [1])
    assert set(drawn["bound"][0]) == {1e-12} and axes.get_xscale() == "log"
    labels = axes.get_yticklabels()
    assert words(labels) == ["head", "one", "two"] and axes.yaxis_inverted()
    assert [label.get_fontweight() for label in labels] == ["bold", "normal", "normal"]


def test_dots_of_both_signs_stay_where_they_are():
    rows = [("a", {"gap": -10.0, "predicted": -10.0}), ("b", {"gap": 0.01, "predicted": 0.02})]
    (axes,) = charts.dots(
        rows, xlabel="gap", linear_below=1e-3, looks={"predicted": charts.RING}
    ).axes
    assert curves(axes)["gap"][0] == [-10, 0.01]
    np.testing.assert_allclose(axes.get_xticks(), [-10, -0.1, 0, 0.1, 10])


@pytest.mark.parametrize("linear_below", [None, 1e-14])
def test_a_thermometer_has_a_bar_for_each_label_and_name(linear_below):
    parts = {"start": {"W": 1.0, "b": -1e-3}, "end": {"W": 1e-16}}
    (axes,) = charts.bars(parts, xlabel="slope", linear_below=linear_below).axes
    assert [bar.get_width() for bar in axes.patches] == [1.0, -1e-3, 1e-16, 0.0]
    assert words(axes.get_yticklabels()) == ["W", "b"] and axes.yaxis_inverted()
    places = [bar.get_y() + bar.get_height() / 2 for bar in axes.patches]
    np.testing.assert_allclose(places, [-0.2, 0.8, 0.2, 1.2])


def test_images_are_drawn_row_by_row_on_one_scale():
    images = np.arange(12.0).reshape(3, 4)
    figure = charts.image_grid(images, (2, 2), columns=2, titles=["a", "b", "c"], symmetric=True)
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), [[4, 5], [6, 7]])
    assert {axes.images[0].get_clim() for axes in figure.axes[:3]} == {(-11, 11)}
    for axes in figure.axes[:3]:  # a frame, and nothing else
        assert all(side.get_visible() for side in axes.spines.values()) and axes.axison
        assert len(axes.get_xticks()) == len(axes.get_yticks()) == 0
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("", "")
    with pytest.raises(ValueError, match=r"as many pixels.*got \(3, 4\)"):
        charts.image_grid(images, (2, 3))
    with pytest.raises(ValueError, match="one for each image: got 1 for 3"):
        charts.image_grid(images, (2, 2), titles=["a"])


def test_panels_leave_matplotlib_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with panels(["a", "b"], share="", legend="outside upper center") as (figure, (left, right)):
        left.plot([0, 1], label="one")
    assert dict(matplotlib.rcParams) == before
    assert words(figure.legends[0].get_texts()) == ["one"] and left.get_ylim() != right.get_ylim()

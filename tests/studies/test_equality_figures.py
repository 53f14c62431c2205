"""Figures of equality without convergence: what is drawn is what was given."""

import numpy as np

from companion.fit import Trace
from companion.studies.equality import figures
from companion.theory.identity import verify
from tests.cases import point
from tests.figures import curves, words


def test_gaps_at_zero_are_drawn_at_round_off():
    figure = figures.before_and_after(
        {"one": (-3.0, 0.0), "two": (2.0, 1e-13)}, {"one": (30.0, 20.0), "two": (5.0, 4.0)}
    )
    left, right = map(curves, figure.axes)
    assert left["untrained"][0] == [3.0, 2.0]
    assert left["after the projection"][0] == [1e-16, 1e-13]
    assert right["after the projection"][0] == [20.0, 4.0]
    assert words(figure.axes[0].get_yticklabels()) == ["one", "two"]


def test_noise_falls_along_a_line_through_the_first():
    noise = {"a": [2.0, 1.0, 0.5], "b": [2.1, 1.1, 0.6]}
    (axes,) = figures.noise_by_samples([1, 4, 16], noise).axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert [y for _, y in curves(axes).values()] == [*noise.values(), [2.0, 1.0, 0.5]]


def test_certificates_are_divided_by_the_gap():
    record = verify(*point("vae-scalar-fixed-1-hidden/mlp-encoder"))
    figure = figures.certificate_ratios({"a": Trace((0, 1), (record, record))})
    drawn = curves(figure.axes[0])
    full, support, blocks = (drawn[k][1][0] for k in ("‖g‖ ‖v‖", "‖g on v‖ ‖v‖", "block by block"))
    assert full >= support >= blocks >= 1
    assert blocks == np.float64(record.certificate) / abs(record.gap)

"""Curves of growth: the exponent that is fitted, and that every point can be measured."""

import pytest

from benchmarks.growth import CURVES, exponent, point


@pytest.mark.parametrize("power", [0.5, 1.0, 2.7])
def test_the_exponent_of_a_power_is_its_power(power):
    sizes = [100, 1000, 3000, 10_000]
    assert exponent(sizes, [7 * n**power for n in sizes]) == pytest.approx(power, rel=1e-12)


def test_what_calls_cost_at_small_sizes_does_not_count():
    sizes = [1, 10, 10_000, 20_000, 40_000]
    found = exponent(sizes, [5 + n for n in sizes])
    assert found == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("sizes", "values"), [([1], [1.0]), ([1, 2], [1.0]), ([1, 2], [0.0, 1.0])])
def test_no_exponent_from_one_size_or_from_nothing(sizes, values):
    with pytest.raises(ValueError, match="sizes and values must be two or more, and positive"):
        exponent(sizes, values)


@pytest.mark.parametrize("work", sorted({work.__name__ for work, *_ in CURVES}))
def test_every_kind_of_work_runs(work):
    argument, sizes = next((a, s) for w, _, a, s in CURVES if w.__name__ == work)
    found = point(work, argument, min(64, sizes[0]))
    assert all(side["seconds"] > 0 for side in found.values())

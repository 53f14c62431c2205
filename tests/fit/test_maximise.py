"""The four methods on functions that are no ELBO: where they end, what they log, when they stop."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from companion.fit import maximise


def tensor(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def hill(at):
    """Highest at a = 1, b = 2; flat along no direction, and not concave."""
    return -((at["a"] * at["b"] - 2) ** 2) - (at["a"] - 1) ** 2


START = {"a": tensor(0.5), "b": tensor(0.5)}
METHODS = {
    "lbfgs": lambda f, start, **k: maximise.lbfgs(f, start, **k),
    "newton": lambda f, start, **k: maximise.newton(f, start, **k),
    "ascent": lambda f, start, **k: maximise.ascent(f, start, rate=0.1, **k),
    "adam": lambda f, start, **k: maximise.adam(f, start, learning_rate=0.1, **k),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def test_a_step_is_along_the_gradient_of_torch_func_where_gradients_are_off_too():
    with torch.no_grad():
        end = maximise.ascent(hill, START, rate=0.1, steps=1)
    slope = torch.func.grad(hill)(START)
    assert end == {name: START[name] + 0.1 * slope[name] for name in START}


@pytest.mark.parametrize("method", ["lbfgs", "newton", "ascent"])
def test_a_constant_has_no_slope_to_climb(method):
    end = METHODS[method](lambda at: torch.ones((), dtype=torch.float64), START)
    assert end == START


@every_method
def test_every_method_finds_the_maximum_and_leaves_its_start_alone(method):
    end = method(hill, START, steps=500)
    assert float(end["a"]) == pytest.approx(1, abs=1e-4)
    assert float(end["b"]) == pytest.approx(2, abs=1e-4)
    assert not any(value.requires_grad for value in end.values())
    assert float(START["a"]) == float(START["b"]) == 0.5
    assert not any(value.requires_grad for value in START.values())


@every_method
def test_every_step_is_logged_once_from_the_start_to_the_end(method):
    logged = []
    end = method(hill, START, steps=7, log=lambda step, at: logged.append((step, float(at["a"]))))
    steps, path = zip(*logged, strict=True)
    assert steps == tuple(range(len(steps))) and 4 <= len(steps) <= 8
    assert path[0] == 0.5 and path[-1] == float(end["a"]) and len(set(path)) == len(path)


@every_method
@pytest.mark.parametrize("last", (0, 3))
def test_a_log_that_says_so_ends_the_method(method, last):
    logged = []

    def log(step, at):
        logged.append(float(at["b"]))
        return step == last

    end = method(hill, START, log=log)
    assert len(logged) == last + 1 and float(end["b"]) == logged[-1]


@every_method
def test_steps_must_be_a_positive_integer(method):
    for wrong in (0, 2.0, None):
        with pytest.raises(ValueError, match=f"steps must be a positive integer: got {wrong}"):
            method(hill, START, steps=wrong)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda v: maximise.lbfgs(hill, START, tolerance=v), "tolerance"),
        (lambda v: maximise.newton(hill, START, tolerance=v), "tolerance"),
        (lambda v: maximise.ascent(hill, START, rate=0.1, tolerance=v), "tolerance"),
        (lambda v: maximise.ascent(hill, START, rate=v), "rate"),
        (lambda v: maximise.adam(hill, START, learning_rate=v), "learning_rate"),
    ],
)
def test_numbers_that_are_not_positive_are_named(call, name):
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"{name} must be positive: got {wrong}"):
            call(wrong)


def test_newton_ends_at_round_off_and_leaves_flat_directions_alone():
    def valley(at):
        return -(((at["x"] ** 2).sum() - 1) ** 2)  # highest on a circle

    start = {"x": torch.tensor([2.0, 1.0], dtype=torch.float64)}
    norms = []

    def log(step, at):
        norms.append(float(torch.func.grad(valley)(at)["x"].norm()))
        return False

    end = maximise.newton(valley, start, tolerance=None, log=log)["x"]
    assert float(end.norm()) == pytest.approx(1, abs=1e-14)
    assert float(end[0] / end[1]) == pytest.approx(2, abs=1e-12)
    assert norms[-1] < 1e-14 and len(norms) < 20


def test_newton_goes_uphill_where_the_function_is_convex():
    end = maximise.newton(lambda at: -((at["a"] ** 2 - 1) ** 2), {"a": tensor(0.1)})
    assert float(end["a"]) == pytest.approx(1, abs=1e-12)


def test_ascent_halves_the_steps_that_are_too_long():
    values = []

    def log(step, at):
        values.append(float(hill(at)))
        return False

    end = maximise.ascent(hill, START, rate=100.0, tolerance=1e-8, log=log)
    assert all(later >= earlier - 1e-13 for earlier, later in pairwise(values))
    assert float(torch.func.grad(hill)(end)["a"].abs()) <= 1e-8


def test_ascent_without_halvings_takes_all_steps_as_they_are():
    path = []

    def parabola(at):
        return -(at["a"] ** 2)

    def log(step, at):
        path.append(float(at["a"]))
        return False

    maximise.ascent(parabola, {"a": tensor(1.0)}, rate=1.5, steps=3, halvings=0, log=log)
    assert path == [1, -2, 4, -8]
    with pytest.raises(ValueError, match=r"rate must be smaller than 1e\+200: the ascent diverged"):
        maximise.ascent(parabola, {"a": tensor(1.0)}, rate=1e200, halvings=0)


@pytest.mark.parametrize("decay", (True, False))
def test_adam_takes_the_steps_of_adam_with_a_cosine(decay):
    leaves = {name: value.clone().requires_grad_() for name, value in START.items()}
    optimizer = torch.optim.Adam(list(leaves.values()), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)
    for _ in range(30):
        optimizer.zero_grad()
        (-hill(leaves)).backward()
        optimizer.step()
        if decay:
            schedule.step()
    end = maximise.adam(hill, START, steps=30, learning_rate=0.05, decay=decay)
    for name, value in leaves.items():
        assert float(end[name]) == pytest.approx(float(value.detach()), abs=1e-12)


def test_adam_calls_its_objective_once_in_every_step_and_keeps_the_precision():
    calls = []

    def objective(at):
        calls.append(1)
        return hill(at) / len(calls)

    end = maximise.adam(objective, {name: value.float() for name, value in START.items()}, steps=9)
    assert len(calls) == 9 and end["a"].dtype == torch.float32

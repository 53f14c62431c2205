"""Doors: arguments are looked at once, gradients and transforms pass, raw errors are told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from companion import elbo, families, models, variational
from companion.support.doors import Guarded, door
from tests.cases import point


@dataclass(frozen=True)
class Line(Guarded):
    slope: Tensor
    start: float = 0.0

    def at(self, x: Tensor) -> Tensor:
        return self.twice(x) / 2

    def twice(self, x: Tensor) -> Tensor:
        return 2 * (self.slope * x + self.start)


@door
def product(a: Tensor, b: Tensor, scale: float | Tensor = 1.0) -> Tensor:
    return scale * (a @ b)


def test_numbers_of_any_kind_become_tensors_in_methods_and_constructors():
    line = Line([1, 2], start=1)
    assert line.slope.dtype == torch.float64
    assert line.at(np.float32([1, 1])).tolist() == [2.0, 3.0]
    assert float(product([1, 2], [3, 4], 2)) == 22.0


@pytest.mark.parametrize(
    ("call", "sentence"),
    (
        (lambda: Line("steep"), "slope must be a tensor, an array or nested lists of numbers: got"),
        (lambda: Line([1.0], "none"), "start must be a number: got 'none'"),
        (lambda: Line([1.0], True), "start must be a number: got True"),
        (lambda: Line([1.0]).at(None), "x must be a tensor, an array or nested lists of numbers"),
        (
            lambda: product([1.0, 2.0], [1.0]),
            r"product must be given arguments that go together: got a of shape \(2,\), b of shape "
            r"\(1,\) \(.*size",
        ),
        (
            lambda: product([1e300], [1e300]),
            "product must be given arguments at which it is finite: got NaN or infinity for a of",
        ),
    ),
)
def test_what_is_wrong_is_told_in_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_what_a_door_calls_is_not_looked_at_again(monkeypatch):
    seen = []
    monkeypatch.setattr(Line, "admit", lambda self, method, given: seen.append(method))
    Line([1.0]).at([2.0])
    assert seen == ["at"]


def test_doors_open_again_after_a_refusal():
    for _ in range(2):
        with pytest.raises(ValueError, match="x must be finite"):
            Line([1.0]).at([np.nan])


def test_a_readers_own_class_has_doors_too():
    class Steeper(Line):
        def more(self, x: Tensor) -> Tensor:
            return 3 * self.at(x)

    assert Steeper([1.0]).more([2]).tolist() == [6.0]


def test_gradients_and_transforms_pass():
    model, parameters, q, x = point("ppca-learnable/full-cubature")

    def value(mean: Tensor) -> Tensor:
        moved = variational.Gaussian(mean, q.parameters["scale"])
        return elbo(model, parameters, moved, x)

    start = q.parameters["mean"]
    learned = start.clone().requires_grad_()
    value(learned).backward()
    slope = torch.func.grad(value)(start)
    torch.testing.assert_close(learned.grad, slope, rtol=1e-12, atol=1e-13)
    forward = torch.func.jvp(value, (start,), (torch.ones_like(start),))[1]
    torch.testing.assert_close(forward, slope.sum(), rtol=1e-10, atol=1e-12)
    several = torch.stack([start, start + 1])
    each = torch.stack([value(one) for one in several])
    torch.testing.assert_close(torch.vmap(value)(several), each, rtol=1e-12, atol=1e-12)
    data = x.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(model.log_likelihood(parameters, data), data)
    assert bool((wanted != 0).any()), "the log-likelihood is a function of the data, too"


def test_families_pass_transforms():
    family = families.Poisson()
    eta = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.vmap(family.pseudo_entropy)(eta), family.pseudo_entropy(eta))
    mean = torch.func.grad(lambda e: family.log_partition(e).sum())(eta)
    torch.testing.assert_close(mean, family.mean_parameters(eta))


def test_a_compiler_sees_no_door():
    """Under torch.compile nothing is looked at: no data-dependent branch breaks its graph."""
    model = models.PPCA(3, 1)
    own = model.initial_parameters(torch.Generator().manual_seed(0))
    x = torch.ones(2, 3, dtype=torch.float64)
    compiled = torch.compile(lambda p: model.log_likelihood(p, x), backend="eager")
    torch.testing.assert_close(compiled(own), model.log_likelihood(own, x))

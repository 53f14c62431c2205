"""What every model has: shapes of its parameters, and what only some have in closed form."""

from __future__ import annotations

import pytest
import torch

from companion import families
from companion.theory.model import Factor, Model


class Bare(Model):
    """A reader's model with nothing but what it must have."""

    observed, latent = 3, 1

    def __init__(self):
        self.drawn = 0

    @property
    def factors(self):
        return (
            Factor("prior", families.Bernoulli(), lambda p, z: p["a"], lambda z: z),
            Factor("observable", families.Bernoulli(), lambda p, z: z @ p["w"]),
        )

    def gap_direction(self, parameters):
        return dict(parameters)

    def initial_parameters(self, generator=None):
        self.drawn += 1
        return {
            "a": torch.randn(1, dtype=torch.float64, generator=generator),
            "w": torch.randn(1, 3, dtype=torch.float64, generator=generator),
        }


def test_shapes_are_drawn_once_if_a_model_does_not_say_them():
    model = Bare()
    assert model.shapes == {"a": (1,), "w": (1, 3)}
    assert model.shapes is model.shapes and model.drawn == 1
    model.check(model.initial_parameters(), torch.ones(2, 3, dtype=torch.float64))
    assert model.drawn == 2


@pytest.mark.parametrize(
    ("call", "what"),
    (
        (lambda m, p, z: m.posterior(p, z), "posterior"),
        (lambda m, p, z: m.decode(p, z[:, :1]), "mean of x given z"),
        (lambda m, p, z: m.closed_form_entropy_sum(p, None), "entropy sum"),
    ),
)
def test_what_a_model_does_not_have_is_said_by_name(call, what):
    model = Bare()
    with pytest.raises(ValueError, match=f"Bare has no {what} in closed form"):
        call(model, model.initial_parameters(), torch.ones(1, 3, dtype=torch.float64))
    assert model.states is None

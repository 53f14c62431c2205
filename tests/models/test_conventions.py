"""What models have in common: names, shapes, states, means of x, closed-form entropy sums."""

from __future__ import annotations

import pytest
import torch

from companion import entropy_sum, models
from companion.models.enumerated import Enumerated
from companion.models.linear_decoder import LinearDecoder
from companion.models.scaled import ScaledLatents
from tests.cases import every_model, generator, point, some_cases

CONTINUOUS = ("ppca", "factoranalysis", "vae", "sparse-coding")


@every_model
def test_shapes_are_those_of_drawn_parameters_in_their_order(name):
    model, parameters, _, _ = point(name)
    if model.shapes is None:
        assert isinstance(model, models.GenerativeModel)
        return
    drawn = model.initial_parameters(generator(name))
    assert list(model.shapes.items()) == [(k, tuple(value.shape)) for k, value in drawn.items()]
    assert model.shapes == {key: tuple(value.shape) for key, value in parameters.items()}


@every_model
def test_tensors_have_names_in_words(name):
    """``weights`` and ``bias``, alone or at the end of ``<layer>.…``."""
    _, parameters, q, _ = point(name)
    if not name.startswith("poisson-latent"):  # the registry's own
        for key in (*parameters, *q.parameters):
            assert len(key) > 1
            last = ("weights", "bias", *(("log_variance",) if key.startswith("z") else ()))
            assert "." not in key or key.rpartition(".")[2] in last


@some_cases("sbn")
def test_states_are_a_property_and_the_posterior_is_a_table_over_them(name):
    model, parameters, _, x = point(name)
    assert isinstance(model, Enumerated)
    assert model.states.shape == (2**model.latent_size, model.latent_size)
    assert torch.equal(model.posterior(parameters, x).states, model.states)


@some_cases(*CONTINUOUS)
def test_decode_is_the_mean_of_x_given_z(name):
    model, parameters, q, x = point(name)
    assert isinstance(model, ScaledLatents)
    z = q.nodes().z
    observable = model.factors[-1]
    natural = observable.natural(parameters, z)
    if name.startswith(("bernoulli", "categorical")):
        expected = observable.family.mean_parameters(natural)
    elif "known" in name:
        expected = natural * model.variance
    else:
        expected, variance = observable.family.moments(natural)
        noise = (
            model.noise_variance(parameters)
            if isinstance(model, LinearDecoder)
            else model.noise_variance(parameters, z)
        )
        own = noise.expand(expected.shape)
        found = variance if variance.shape == own.shape else variance[..., None].expand_as(own)
        torch.testing.assert_close(own, found)
    decoded = model.decode(parameters, z)
    assert decoded.shape == (*z.shape[:-1], x.shape[1])
    torch.testing.assert_close(decoded, expected)


@some_cases("ppca", "factoranalysis", "sparse-coding")
def test_entropy_sums_in_closed_form_take_any_q(name):
    model, parameters, q, x = point(name)
    found = float(model.closed_form_entropy_sum(parameters, q))
    assert found == pytest.approx(float(entropy_sum(model, parameters, q, x).total), rel=1e-12)


def test_without_q_it_is_the_exact_posteriors_where_there_is_one():
    for model in (models.PPCA(4, 2), models.FactorAnalysis(4, 2, learnable_prior=True)):
        parameters = model.initial_parameters(generator("entropy sums"))
        q = model.posterior(parameters, torch.zeros(3, 4, dtype=torch.float64))
        found = float(model.closed_form_entropy_sum(parameters))
        assert found == pytest.approx(
            float(model.closed_form_entropy_sum(parameters, q)), rel=1e-13
        )
    sparse = models.SparseCoding(4, 2)
    with pytest.raises(ValueError, match="SparseCoding has no posterior in closed form: q must"):
        sparse.closed_form_entropy_sum(sparse.initial_parameters(generator("sparse")))

"""Distributions q: nodes have the right moments, entropies are right, bad shapes are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from companion import models
from companion.theory.variational import (
    Gaussian,
    MeanFieldBernoulli,
    Tabulated,
    cubature,
)
from tests.cases import (
    H,
    N,
    draw,
    every_model,
    generator,
    names,
    perturbed,
    point,
    some_cases,
)


@every_model
def test_weights_sum_to_one_and_there_is_one_entropy_for_each_data_point(name):
    _, _, q, x = point(name)
    nodes = q.nodes()
    total = nodes.weights.sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-13, atol=0)
    assert bool((nodes.weights >= 0).all())
    assert q.entropy().shape == (len(x),)
    assert nodes.z.shape[-2] == nodes.weights.shape[-1]


@every_model
def test_with_parameters_keeps_the_kind_of_q(name):
    q = point(name).q
    again = q.with_parameters(q.parameters)
    assert type(again) is type(q) and again.parameters.keys() == q.parameters.keys()
    assert torch.equal(again.nodes().z, q.nodes().z)
    assert torch.equal(again.nodes().weights, q.nodes().weights)
    moved = q.with_parameters({k: v * 1.5 + 0.1 for k, v in q.parameters.items()})
    assert torch.equal(moved.entropy(), q.entropy()) == (not q.parameters)
    assert moved.nodes().z.shape == q.nodes().z.shape


# --- discrete -------------------------------------------------------------------------------------


def test_tabulated_entropy_agrees_with_scipy_and_survives_impossible_states():
    logits = 3 * draw(5, 4, g=generator("tabulated"))
    q = Tabulated(torch.eye(4, dtype=torch.float64), logits)
    expected = stats.entropy(torch.softmax(logits, -1).numpy(), axis=1)
    np.testing.assert_allclose(q.entropy().numpy(), expected, rtol=1e-13)
    certain = Tabulated(q.states, torch.tensor([[0.0, -800, -800, -800]], dtype=torch.float64))
    assert certain.entropy().tolist() == [0.0]
    gradient = torch.func.grad(lambda a: Tabulated(q.states, a).entropy().sum())(certain.logits)
    assert bool(torch.isfinite(gradient).all())


def test_tabulated_from_probabilities_keeps_them():
    p = torch.softmax(draw(3, 4, g=generator("p")), -1)
    q = Tabulated.from_probabilities(torch.eye(4, dtype=torch.float64), p)
    torch.testing.assert_close(q.probabilities, p, rtol=1e-14, atol=0)
    certain = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0]]).double()
    q = Tabulated.from_probabilities(torch.eye(4), certain)
    assert torch.equal(q.probabilities, certain)
    assert q.entropy().tolist() == [0.0, pytest.approx(math.log(2))]


@pytest.mark.parametrize("rows", ([[0.5, 0.6]], [[-0.5, 1.5]], [[0.5, 0.5 + 1e-6]]), ids=str)
def test_rows_that_are_no_probabilities_are_refused(rows):
    with pytest.raises(
        ValueError, match="probabilities must be at least 0 and sum to one in every"
    ):
        Tabulated.from_probabilities(torch.eye(2), torch.tensor(rows, dtype=torch.float64))


@pytest.mark.parametrize("shape", ((2, 3), (2,), (3, 5)))
def test_tabulated_needs_one_logit_for_each_state(shape):
    with pytest.raises(ValueError, match="one column per state: got logits of shape"):
        Tabulated(torch.eye(4), torch.zeros(shape))


@pytest.mark.parametrize("scale", (1.0, 30.0))
def test_mean_field_weights_are_products_and_entropies_add(scale):
    q = MeanFieldBernoulli(scale * draw(5, 3, g=generator("mean field")))
    p = torch.sigmoid(q.logits)[:, None, :]
    expected = torch.where(q.states == 1, p, 1 - p).prod(-1)
    torch.testing.assert_close(q.nodes().weights, expected, rtol=1e-9, atol=1e-15)
    w = q.nodes().weights
    brute = -torch.where(w > 0, w * w.log(), 0.0).sum(-1)
    torch.testing.assert_close(q.entropy(), brute, rtol=1e-11, atol=1e-12)
    mean = w @ q.states
    torch.testing.assert_close(mean, torch.sigmoid(q.logits), rtol=1e-12, atol=1e-13)


def test_mean_field_with_too_many_latents_is_refused():
    with pytest.raises(ValueError, match="between 1 and 16 to enumerate all binary states: got 17"):
        MeanFieldBernoulli(torch.zeros(2, 17))


# --- Gaussian -------------------------------------------------------------------------------------


@some_cases("vae-scalar-fixed-1-hidden/")
def test_gaussian_entropies_agree_with_scipy(name):
    q = point(name).q
    q = q.gaussian() if hasattr(q, "gaussian") else q
    for n in range(N):
        factor = q.scale[n].diag() if q.diagonal else q.scale[n]
        covariance = (factor @ factor.T).numpy()
        expected = stats.multivariate_normal(q.mean[n].numpy(), covariance).entropy()
        assert float(q.entropy()[n]) == pytest.approx(expected, rel=1e-12)


@some_cases("vae-scalar-fixed-1-hidden/diag", "vae-scalar-fixed-1-hidden/full-cub", "ppca-fixed/ex")
def test_gaussian_nodes_have_its_mean_and_covariance(name):
    q = point(name).q
    z, w = q.nodes()
    for n in range(N):
        factor = q.scale[n].diag() if q.diagonal else q.scale[n]
        mean = w @ z[n]
        centered = z[n] - mean
        torch.testing.assert_close(mean, q.mean[n], rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(
            centered.T @ (w[:, None] * centered), factor @ factor.T, rtol=1e-12, atol=1e-13
        )


def test_entries_above_the_diagonal_are_ignored():
    g = generator("upper")
    factor = torch.tril(draw(3, 2, 2, g=g))
    mean, above = draw(3, 2, g=g), torch.triu(draw(3, 2, 2, g=g), 1)
    assert torch.equal(Gaussian(mean, factor).nodes().z, Gaussian(mean, factor + above).nodes().z)


@pytest.mark.parametrize("name", names("vae-scalar-fixed-1-hidden/", "ppca-fixed/"))
def test_rescaling_moves_the_nodes_by_that_rate(name):
    """d/dt at 0 of the nodes of the moved q is rate · z: the law of e^{rate·t} z."""
    q = point(name).q
    rate = 0.37
    v = q.rescaling(rate)
    assert v.keys() == q.parameters.keys()

    def nodes(t):
        return q.with_parameters({k: p + t * v[k] for k, p in q.parameters.items()}).nodes().z

    h = 1e-5
    slope = (nodes(h) - nodes(-h)) / (2 * h)
    torch.testing.assert_close(slope, rate * q.nodes().z, rtol=1e-8, atol=1e-8)

    def entropy(t):
        return q.with_parameters({k: p + t * v[k] for k, p in q.parameters.items()}).entropy()

    # H[e^{rate·t} z] = H[z] + H·rate·t
    slope = (entropy(h) - entropy(-h)) / (2 * h)
    torch.testing.assert_close(slope, torch.full_like(slope, H * rate), rtol=1e-8, atol=0)
    assert all(float(t.abs().max()) == 0 for t in q.rescaling(0.0).values())


def test_discrete_q_cannot_be_rescaled():
    q = MeanFieldBernoulli(torch.zeros(3, 2))
    assert torch.equal(q.rescaling(0.0)["logits"], torch.zeros(3, 2))
    with pytest.raises(ValueError, match="MeanFieldBernoulli has no rescaling of the latent space"):
        q.rescaling(0.5)


@pytest.mark.parametrize(
    ("mean", "scale", "sentence"),
    (
        ((3,), (3,), r"mean must have shape \(N, H\): got \(3,\)"),
        ((3, 2), (3,), r"scale must have shape \(N, H\) .* got \(3,\)"),
        ((3, 2), (2, 2), r"got \(2, 2\) for a mean of shape \(3, 2\)"),
        ((3, 2), (3, 2, 3), r"got \(3, 2, 3\)"),
    ),
)
def test_gaussians_of_wrong_shape_are_refused(mean, scale, sentence):
    with pytest.raises(ValueError, match=sentence):
        Gaussian(torch.zeros(mean), torch.ones(scale))


def test_a_rule_for_another_dimension_is_refused():
    with pytest.raises(ValueError, match="rule must have points of 2 dimensions: got 3"):
        Gaussian(torch.zeros(4, 2), torch.ones(4, 2), cubature(3))


# --- amortized ------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", ((), (3,), (4, 3)), ids=str)
def test_an_encoder_is_the_network_that_it_says(hidden):
    """Written once more in NumPy."""
    g = generator(f"encoder {hidden}")
    encoder = models.Encoder(4, 2, hidden)
    phi = perturbed(encoder.initial_parameters(g), g)
    x = draw(5, 4, g=g)
    layer = x.numpy()
    weights = {k: v.numpy() for k, v in phi.items()}
    for i in range(len(hidden)):
        layer = np.tanh(layer @ weights[f"hidden{i}.weights"].T + weights[f"hidden{i}.bias"])
    mean, std = encoder(phi, x)
    np.testing.assert_allclose(mean, layer @ weights["mean.weights"].T + weights["mean.bias"])
    log_std = layer @ weights["log_std.weights"].T + weights["log_std.bias"]
    np.testing.assert_allclose(std, np.exp(log_std))
    q = encoder.posterior(phi, x)
    assert torch.equal(q.gaussian().mean, mean) and torch.equal(q.gaussian().scale, std)
    assert torch.equal(q.entropy(), Gaussian(mean, std).entropy())
    other = q.on(x[:2], cubature(2))
    torch.testing.assert_close(other.gaussian().mean, mean[:2], rtol=1e-14, atol=1e-15)


def test_the_registry_has_every_kind_of_q():
    kinds = {type(point(name).q).__name__ for name in names()}
    assert kinds == {
        *("Amortized", "Gaussian", "MeanFieldBernoulli", "Tabulated"),
        *("GaussianChain", "Layered", "MarkovChain", "MeanFieldTopics", "NoisedChain", "Switched"),
    }


def test_weights_may_be_off_by_what_their_precision_rounds_and_by_no_more():
    from companion.theory.nodes import probabilities

    third = torch.full((3,), 1 / 3, dtype=torch.float64)
    probabilities(third, "weights")
    probabilities(third.float(), "weights")
    for wrong in (third.float().double(), third + 1e-8, (third + 1e-6).float()):
        with pytest.raises(ValueError, match="weights are not negative and sum to one"):
            probabilities(wrong, "weights")

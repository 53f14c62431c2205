"""What the chapter on deeper models computes: stretched layers, outliers, typical sets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from companion import elbo, models, variational, verify
from companion.studies.deeper.fits import coded, with_noise
from companion.studies.deeper.layers import (
    gaps_by_torch,
    layer_entropies,
    log_q_by_torch,
    outliers,
    seen_from,
    stretched,
)
from companion.studies.deeper.typical import cells, counted_area, typical_volume
from companion.theory.factors import factor_identities
from tests.cases import draw, generator, perturbed

D, SIZES = 4, (3, 2, 2)


def state(learnable=True, order="bottom-up"):
    model = models.HierarchicalVAE(
        (
            models.GaussianVAE(D, 3, (3,)),
            models.GaussianVAE(3, 2, (3,), "pixel"),
            models.GaussianVAE(2, 2, (), "scalar", learnable),
        )
    )
    g = generator("deeper")
    own = perturbed(model.initial_parameters(g), g)
    encoder = models.LayeredEncoder(D, SIZES, (3,), order)
    phi = perturbed(encoder.initial_parameters(g), g)
    return model, own, encoder.posterior(phi, draw(7, D, g=g))


@pytest.mark.parametrize("order", ["bottom-up", "top-down"])
@pytest.mark.parametrize("learnable", [False, True])
@pytest.mark.parametrize("layer", [1, 2])
def test_a_stretched_layer_does_what_a_step_of_its_width_does(layer, learnable, order):
    model, own, q = state(learnable, order)
    v = stretched(model, own, q, layer)
    name = f"z{layer}.log_variance"
    assert not bool(v[name].any())
    report = verify(model, own, q, q.x, direction=v)
    assert report.relative_residual <= 1e-12
    assert abs(verify(model, own, q, q.x).blocks[name]) > 1e-2
    step = 1e-5  # the ELBO along both, by differences
    both = [
        elbo(
            model,
            {k: own[k] + sign * step * v[k] for k in own},
            q.with_parameters({k: e + sign * step * v[f"q.{k}"] for k, e in q.parameters.items()}),
            q.x,
        )
        for sign in (1, -1)
    ]
    assert float(both[0] - both[1]) / (2 * step) == pytest.approx(report.gap, rel=1e-6)


def test_entropies_and_gaps_of_layers_are_those_of_torch():
    model, own, q = state()
    found = layer_entropies(model, own, q)
    assert found.gap == pytest.approx(gaps_by_torch(model, own, q)[1:], abs=1e-12)
    lines = factor_identities(model, own, q, q.x)
    assert gaps_by_torch(model, own, q)[0] == pytest.approx(lines[-1].gap, abs=1e-12)
    assert found.prior == [lines[2].entropy, lines[1].entropy, lines[0].entropy]
    assert sum(found.posterior) == pytest.approx(float(q.entropy().mean()), rel=1e-12)
    assert -log_q_by_torch(q) == pytest.approx(float(q.entropy().mean()), rel=1e-12)
    total = verify(model, own, q, q.x)
    assert total.entropy_sum == pytest.approx(-sum(found.paid) - total.observable_entropy)


def test_what_a_layer_knows_passes_through_the_layers_below():
    model, own, q = state()
    z = q.nodes().z.mean(1)
    seen = seen_from(model, own, q)
    torch.testing.assert_close(seen[0], model.decode(own, z))
    assert [each.shape for each in seen] == [(7, D)] * 3
    top = model.split(z)[2] @ own["z2.mean.weights"].T + own["z2.mean.bias"]
    z2 = torch.cat([z[:, :3], top, z[:, 5:]], -1)
    moved = q.on(q.x, q.rule)
    assert moved.nodes().z.shape == q.nodes().z.shape
    hidden = torch.tanh(top @ own["z1.hidden0.weights"].T + own["z1.hidden0.bias"])
    z1 = hidden @ own["z1.mean.weights"].T + own["z1.mean.bias"]
    torch.testing.assert_close(
        seen[2], model.decode(own, torch.cat([z1, z2[:, 3:]], -1)), rtol=1e-12, atol=1e-12
    )


def test_outliers_are_as_many_and_as_far_as_said():
    x = torch.zeros(200, 100).double()
    far = outliers(x, 0.05, 3.0, generator("far"))
    assert set(far.unique().tolist()) == {-3.0, 0.0, 3.0}
    assert float((far != 0).double().mean()) == pytest.approx(0.05, abs=0.006)
    assert float(far.mean()) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("heavy", [False, True])
def test_vaes_of_either_noise_end_at_equality(heavy):
    x = draw(40, 3, g=generator("noise"))
    vae, parameters, q = with_noise(x, heavy, 5, generator("learning"), latent=2)
    assert isinstance(vae, models.StudentTVAE if heavy else models.GaussianVAE)
    assert abs(verify(vae, parameters, q, x).gap) < 1e-10


def test_a_dictionary_has_the_best_free_q():
    x, model = draw(30, 4, g=generator("patches")), models.SparseCoding(4, 3)
    parameters, q = coded(model, x, 4, generator("code"))
    value = float(elbo(model, parameters, q, x))
    for k in range(5):
        g = generator(f"other {k}")
        near = variational.Gaussian(
            q.mean + 0.05 * draw(30, 3, g=g), q.scale * (1 + 0.05 * draw(30, 3, g=g))
        )
        assert float(elbo(model, parameters, near, x)) < value


def test_the_area_of_an_ellipse_is_e_to_the_entropy():
    C = np.array([[2.0, 1.2], [1.2, 1.0]])
    entropy = stats.multivariate_normal(cov=C).entropy()
    assert counted_area(C) == pytest.approx(math.exp(entropy), rel=2e-4)


def test_typical_volumes_are_balls_that_hold_their_share():
    interval = 2 * stats.norm.ppf(0.75)
    assert typical_volume(1, size=1) == pytest.approx(math.log(interval), rel=1e-12)
    disc = math.pi * -2 * math.log(0.3)
    assert typical_volume(1, share=0.7) == pytest.approx(math.log(disc), rel=1e-12)
    entropy = stats.multivariate_normal(cov=np.eye(2)).entropy()
    off = [entropy - typical_volume(n) for n in (1, 10, 100, 1000)]
    assert off == sorted(off, reverse=True) and off[-1] > 0


def test_the_figure_has_as_many_circles_as_cells():
    w, variance = np.array([1.0, 0.5]), 0.1
    figure = cells(w, variance, np.zeros((3, 2)), np.zeros(2))
    count = round(math.sqrt((w @ w + variance) / variance))
    assert len(figure.axes[1].lines) == count + 2  # the data, and their ellipse
    areas = []
    for line in figure.axes[1].lines[:count]:
        x, y = line.get_xydata().T
        areas.append(0.5 * abs(x[:-1] @ y[1:] - x[1:] @ y[:-1]))
    expected = 2 * math.pi * math.e * variance
    assert areas == pytest.approx([expected] * count, rel=1e-3)

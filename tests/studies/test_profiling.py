"""The ELBO with its best variances inserted, against finite differences and plain averages."""

import math

import numpy as np
import pytest
import torch

from companion import datasets, elbo, fit, models, project, verify
from companion.studies.profiling import (
    ascend_entropy_sum,
    batch_bias,
    envelope_gradients,
    profiled_curvature,
    steps_until,
)
from companion.support import tree
from companion.theory.variational import samples

BOTH = ("noise", "prior")


@pytest.fixture(scope="module")
def x():
    return datasets.wine(standardize=True)[:40]


def vae(hidden=(5,), learnable_prior=True):
    generator = torch.Generator().manual_seed(3)
    model = models.GaussianVAE(13, 2, hidden, "scalar", learnable_prior)
    encoder = models.Encoder(13, 2, hidden)
    own = model.initial_parameters(generator)
    own = {k: v + 0.2 * torch.randn(v.shape, generator=generator).to(v) for k, v in own.items()}
    return model, encoder, own, encoder.initial_parameters(generator)


def at(parts, x, rule=None):
    """What a public function takes: model, parameters, q and data."""
    model, encoder, own, phi = parts
    return model, own, encoder.posterior(phi, x, rule), x


@pytest.mark.parametrize("profile", [("noise",), BOTH])
@pytest.mark.parametrize("hidden", [(), (5,)])
def test_the_gradient_is_the_partial_one_at_the_best_variances(x, profile, hidden):
    through, held = envelope_gradients(*at(vae(hidden), x), profile)
    names = {"noise": "log_variance", "prior": "prior_log_variance"}
    assert not {names[scale] for scale in profile} & set(through)
    assert float(tree.norm(tree.add(through, held, -1.0))) <= 1e-12 * float(tree.norm(held))


def test_the_gradient_is_that_of_the_projected_elbo(x):
    """Against finite differences of the ELBO, projected anew on both sides."""
    model, encoder, own, phi = vae()
    through, _ = envelope_gradients(*at((model, encoder, own, phi), x))
    name, step = "mean.bias", 1e-5
    sides = []
    for sign in (1, -1):
        moved = own | {name: own[name] + sign * step * torch.eye(13).to(own[name])[0]}
        best, q = project(model, moved, encoder.posterior(phi, x), x)
        sides.append(float(elbo(model, best, q, x)))
    assert float(through[name][0]) == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-7)


def test_the_curvature_is_a_schur_complement_and_its_condition_no_worse(x):
    model, encoder, own, phi = vae(hidden=())
    rough = fit.lbfgs(model, own, encoder.posterior(phi, x), x, tolerance=1e-3)
    top = fit.newton(model, rough.parameters, rough.q, x)
    for profile in (("noise",), BOTH):
        curved = profiled_curvature(model, top.parameters, top.q, x, profile)
        plain, inserted = curved.conditions
        assert [number for _, number in curved.rows()] == [plain, inserted, curved.residual]
        assert curved.residual < 1e-12
        assert len(curved.profiled) == len(curved.plain) - (1 if profile == ("noise",) else 3)
        assert 1 < inserted <= plain * (1 + 1e-9)


def test_batches_are_optimistic_by_the_predicted_amount(x):
    generator = torch.Generator().manual_seed(0)
    bias = batch_bias(*at(vae(), x), sizes=[4, 10, 40], draws=400, generator=generator)
    assert np.all(bias.measured >= -1e-12)
    assert bias.measured[2] == pytest.approx(0, abs=1e-12)
    assert bias.predicted[2] == pytest.approx(0, abs=1e-12)
    within = 4 * bias.standard_error[:2] + 0.2 * bias.predicted[:2]
    assert np.all(abs(bias.measured[:2] - bias.predicted[:2]) < within)
    assert bias.predicted[0] / bias.predicted[1] == pytest.approx((1 / 4 - 1 / 40) / (0.1 - 1 / 40))
    assert [row[0] for row in bias.rows()] == [4, 10, 40]
    assert bias.rows()[1][1:] == (bias.measured[1], bias.standard_error[1], bias.predicted[1])


def test_batches_take_the_frozen_samples_of_their_points(x):
    generator = torch.Generator().manual_seed(0)
    point = at(vae(), x, samples(len(x), 2, 2, generator))
    bias = batch_bias(*point, sizes=[20, 40], draws=50, profile=("noise",), generator=generator)
    assert bias.measured[0] > 0
    assert bias.measured[1] == pytest.approx(0, abs=1e-12), "all points in another order"


def test_the_entropy_sum_runs_away_and_the_elbo_falls(x):
    model, encoder, own, phi = vae(hidden=())
    best, q = project(model, own, encoder.posterior(phi, x), x)
    trace = ascend_entropy_sum(model, best, q, x, steps=5, rate=0.05)
    assert trace.steps == (0, 1, 2, 3, 4, 5)
    assert trace.records[0] == verify(model, best, q, x)
    assert (np.diff(trace.column("entropy_sum")) > 2).all()
    assert trace.column("elbo")[-1] < trace.column("elbo")[0] - 5


def test_steps_until():
    distances = torch.tensor([[2.0, 0.5, 0.7], [2.0, 1.5, 1.0]])
    assert steps_until([0, 5, 9], distances, below=0.6).tolist() == [5.0, math.inf]
    assert steps_until([0, 5, 9], distances, below=3).tolist() == [0.0, 0.0]


def test_bad_arguments_are_named(x):
    point = at(vae(learnable_prior=False), x)
    for function in (envelope_gradients, profiled_curvature):
        with pytest.raises(ValueError, match=r"profile must name variances among \['noise'\]"):
            function(*point, BOTH)
    with pytest.raises(ValueError, match="sizes must be at most 40"):
        batch_bias(*point, sizes=[41], draws=2, profile=("noise",))
    with pytest.raises(ValueError, match="profile must name variances"):
        batch_bias(*point, sizes=[4], draws=2, profile=())
    head = models.GaussianVAE(13, 2, noise_type="head")
    with pytest.raises(ValueError, match="noise_type=\"scalar\" here: got 'head'"):
        batch_bias(head, *point[1:], sizes=[4], draws=2, profile=("noise",))
    model, encoder, own, phi = vae()
    with pytest.raises(ValueError, match="rate must be positive"):
        ascend_entropy_sum(model, own, encoder.posterior(phi, x), x, steps=1, rate=0)

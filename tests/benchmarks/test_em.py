"""EM as the benchmarks time it: the steps of `fit.em`, and the gradient of a belief net."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture as SkGaussianMixture

from benchmarks.em import em_steps
from benchmarks.rows import sigmoid_belief
from companion import datasets, elbo, fit, models
from tests.cases import generator
from tests.oracles import Largest


@pytest.mark.parametrize("floor", (0.0, 1e-3))
@pytest.mark.parametrize("covariance", ("spherical", "diagonal", "full", "tied"))
def test_em_steps_stops_where_scikit_learn_does(covariance, floor):
    x, model = datasets.iris(), models.GaussianMixture(4, 3, covariance)
    start = model.random_start(x, generator("iris"))
    run = em_steps(model, start, x, steps=1000, rise=1e-5, floor=floor)
    matrices = model.component_covariance(start).numpy()
    inverse = np.linalg.inv(matrices) if matrices.ndim == 3 else 1 / matrices
    theirs = SkGaussianMixture(
        3,
        covariance_type={"diagonal": "diag"}.get(covariance, covariance),
        tol=1e-5,
        reg_covar=floor,
        max_iter=1000,
        weights_init=np.full(3, 1 / 3),
        means_init=start["means"].numpy(),
        precisions_init=inverse[0] if covariance == "tied" else inverse,
    ).fit(x.numpy())
    assert run.converged and run.steps == theirs.n_iter_ > 5
    np.testing.assert_allclose(run.parameters["means"], theirs.means_, atol=1e-9)
    found = model.component_covariance(run.parameters).numpy()
    np.testing.assert_allclose(
        found[0] if covariance == "tied" else found, theirs.covariances_, atol=1e-9
    )
    assert run.log_likelihoods[-1] == pytest.approx(theirs.lower_bound_, abs=1e-12)
    now = float(model.log_likelihood(run.parameters, x))
    assert now == pytest.approx(theirs.score(x.numpy()), abs=1e-11)


@pytest.mark.parametrize(
    "model", (models.GaussianMixture(4, 2), models.FactorAnalysis(4, 1)), ids=repr
)
def test_em_steps_takes_the_steps_of_em(model):
    x = datasets.iris()
    start = model.initial_parameters(generator("the same steps"))
    run = em_steps(model, start, x, steps=7)
    with pytest.warns(fit.ConvergenceWarning):
        result = fit.em(model, start, x, steps=7)
    for name, value in result.parameters.items():
        torch.testing.assert_close(run.parameters[name], value, rtol=0, atol=0)
    assert run.steps == 7 and run.converged
    np.testing.assert_allclose(run.log_likelihoods, result.trace.column("elbo")[:-1], atol=1e-12)


def test_em_steps_warns_and_refuses():
    model, x = models.GaussianMixture(4, 2), datasets.iris()
    start = model.random_start(x, generator("warns"))
    kept = {name: value.clone() for name, value in start.items()}
    with pytest.warns(fit.ConvergenceWarning, match="after 3 steps: its last rise was not below"):
        assert not em_steps(model, start, x, steps=3, rise=1e-12).converged
    assert all(torch.equal(start[name], value) for name, value in kept.items())
    with pytest.raises(ValueError, match="rise must be positive, or None for all steps: got 0"):
        em_steps(model, start, x, rise=0)
    with pytest.raises(ValueError, match="steps must be a positive integer: got 0"):
        em_steps(model, start, x, steps=0)
    with pytest.raises(ValueError, match=r"model must have em_map, .*: got PPCA; learn"):
        em_steps(models.PPCA(4, 1), start, x)
    with pytest.raises(ValueError, match="floor must be 0 for a FactorAnalysis"):
        em_steps(models.FactorAnalysis(4, 1), start, x, floor=0.1)
    with pytest.raises(ValueError, match="x must be finite: found 4 NaN"):
        em_steps(model, start, x.index_fill(0, torch.tensor([3]), torch.nan))


def belief_net(observed, latent, points):
    model = models.SigmoidBeliefNet(observed, latent)
    x = (torch.rand(points, observed, generator=generator("bits")) < 0.4).double()
    return model, model.initial_parameters(generator("belief")), x


@pytest.mark.parametrize("latent", (1, 3, 5))
def test_the_gradient_in_blocks_is_that_of_automatic_differentiation(latent, monkeypatch):
    monkeypatch.setattr(sigmoid_belief, "BLOCK", 64)
    model, parameters, x = belief_net(7, latent, 33)
    value, gradient = sigmoid_belief.likelihood_gradient(model, parameters, x)
    wanted, likelihood = torch.func.grad_and_value(model.log_likelihood)(parameters, x)
    torch.testing.assert_close(value, likelihood, rtol=1e-14, atol=0)
    torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-15)
    q = model.posterior(parameters, x)
    of_elbo = torch.func.grad(lambda p: elbo(model, p, q, x))(parameters)
    torch.testing.assert_close(gradient, of_elbo, rtol=0, atol=1e-15)


def test_the_gradient_needs_no_array_of_points_times_states():
    model, parameters, x = belief_net(4, 10, 5000)
    with Largest() as seen:
        sigmoid_belief.likelihood_gradient(model, parameters, x)
    assert seen.entries <= sigmoid_belief.BLOCK < len(x) * 2**10 / 4

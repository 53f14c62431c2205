"""Gaussian processes against scikit-learn, and against formulas in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from companion import elbo, entropy_sum, from_sklearn, models, variational, verify
from tests.cases import draw, generator

N, F, P = 12, 2, 4
INPUTS, INDUCING = draw(N, F, g=generator("inputs")), draw(P, F, g=generator("inducing"))
Y = draw(3, N, g=generator("functions"))
EXACT, SPARSE = models.GaussianProcess(INPUTS), models.GaussianProcess(INPUTS, INDUCING)
OWN = EXACT.initial_parameters(generator("hyperparameters"))


def kernel(first, second, jitter=0.0):
    s, length = (OWN[name].exp().numpy() for name in ("prior_log_variance", "log_lengthscale"))
    distance = ((first.numpy()[:, None] - second.numpy()[None]) / length) ** 2
    return s * (np.exp(-0.5 * distance.sum(-1)) + jitter * np.eye(len(first), len(second)))


def low_rank():
    middle = np.linalg.solve(kernel(INDUCING, INDUCING, 1e-10), kernel(INDUCING, INPUTS))
    return kernel(INPUTS, INDUCING) @ middle


def test_the_exact_likelihood_is_that_of_scikit_learn():
    s, r = (OWN[name].exp().item() for name in ("prior_log_variance", "log_variance"))
    theirs = ConstantKernel(s) * RBF(OWN["log_lengthscale"].exp().numpy()) + WhiteKernel(r)
    for y in Y:
        oracle = GaussianProcessRegressor(theirs, optimizer=None, alpha=1e-14).fit(INPUTS, y)
        expected = oracle.log_marginal_likelihood_value_
        assert float(elbo(EXACT, OWN, None, y[None])) == pytest.approx(expected, abs=1e-7)
        assert float(EXACT.log_likelihood(OWN, y[None])) == pytest.approx(expected, abs=1e-7)


def test_the_bound_is_that_of_titsias_for_the_best_q_and_below_it_for_any_other():
    r = OWN["log_variance"].exp().item()
    covariance = low_rank() + r * np.eye(N)
    price = np.trace(kernel(INPUTS, INPUTS) - low_rank()) / (2 * r)
    sign, size = np.linalg.slogdet(2 * np.pi * covariance)
    fits = [y @ np.linalg.solve(covariance, y) for y in Y.numpy()]
    expected = -0.5 * (size + np.mean(fits)) - price
    assert sign == 1 and price > 0.1
    assert float(SPARSE.price(OWN)) == pytest.approx(price, rel=1e-7)
    assert float(elbo(SPARSE, OWN, None, Y)) == pytest.approx(expected, abs=1e-6)
    assert float(SPARSE.log_likelihood(OWN, Y)) == pytest.approx(expected, abs=1e-6)
    q = SPARSE.posterior(OWN, Y)
    other = variational.Gaussian(q.mean + 0.1, q.scale)
    assert elbo(SPARSE, OWN, other, Y) < elbo(SPARSE, OWN, q, Y) < elbo(EXACT, OWN, None, Y)
    sums = entropy_sum(SPARSE, OWN, None, Y)
    assert float(sums.hidden["tied"]) == pytest.approx(price, rel=1e-7)
    assert float(sums.total) == pytest.approx(
        -0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1] - price, abs=1e-6
    )


def test_the_price_has_no_slope_along_v_and_inducing_points_at_the_inputs_cost_nothing():
    v = SPARSE.gap_direction(OWN)
    price, slope = torch.func.jvp(SPARSE.price, (dict(OWN),), (v,))
    assert float(price) > 0.1 and abs(float(slope)) < 1e-12
    assert float(v["log_lengthscale"].abs().max()) == 0
    everywhere = models.GaussianProcess(INPUTS, INPUTS)
    assert abs(float(everywhere.price(OWN))) < 1e-7
    assert float(elbo(everywhere, OWN, None, Y)) == pytest.approx(
        float(elbo(EXACT, OWN, None, Y)), abs=1e-6
    )
    assert float(EXACT.price(OWN)) == 0
    assert float(EXACT.covariance(OWN)[0, 1]) == pytest.approx(kernel(INPUTS, INPUTS)[0, 1])


def test_the_posterior_is_that_of_scikit_learn():
    s, r = (OWN[name].exp().item() for name in ("prior_log_variance", "log_variance"))
    theirs = ConstantKernel(s) * RBF(OWN["log_lengthscale"].exp().numpy())
    oracle = GaussianProcessRegressor(theirs, alpha=r, optimizer=None).fit(INPUTS, Y[0])
    mean, covariance = oracle.predict(INPUTS, return_cov=True)
    q, A = EXACT.posterior(OWN, Y), EXACT.weights(OWN, INPUTS)
    np.testing.assert_allclose(A @ q.mean[0], mean, atol=1e-7)
    root = A @ torch.tril(q.scale[0])
    np.testing.assert_allclose(root @ root.T, covariance, atol=1e-7)
    np.testing.assert_allclose(EXACT.decode(OWN, q.mean), q.mean @ A.T, atol=1e-12)


def test_a_kernel_of_ones_own():
    def matern(first, second):
        distance = (first[:, None] - second).square().sum(-1).clamp(min=1e-24).sqrt()
        return (1 + distance) * (-distance).exp()

    model = models.GaussianProcess(INPUTS, INDUCING, matern)
    assert verify(model, OWN, None, Y).relative_residual < 1e-12
    assert abs(float(elbo(model, OWN, None, Y) - elbo(SPARSE, OWN, None, Y))) > 0.1


def test_an_estimator_of_scikit_learn_is_taken_as_it_is():
    start = ConstantKernel(1.0) * RBF(1.0) + WhiteKernel(0.5)
    estimator = GaussianProcessRegressor(start, normalize_y=True, alpha=0.01).fit(INPUTS, Y[0])
    model, found = from_sklearn(estimator)
    y = torch.from_numpy(estimator.y_train_)[None]
    expected = estimator.log_marginal_likelihood_value_
    assert float(elbo(model, found, None, y)) == pytest.approx(expected, abs=1e-7)
    assert isinstance(model, models.GaussianProcess) and found["log_lengthscale"].shape == (F,)


@pytest.mark.parametrize(
    "kernel", [RBF(1.0), RBF(1.0) + WhiteKernel(0.5), ConstantKernel(1.0) * RBF(1.0)]
)
def test_other_kernels_of_scikit_learn_are_refused(kernel):
    estimator = GaussianProcessRegressor(kernel, optimizer=None).fit(INPUTS, Y[0])
    with pytest.raises(ValueError, match=r"ConstantKernel\(\) \* RBF\(\) \+ WhiteKernel\(\)"):
        from_sklearn(estimator)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"inputs": torch.ones(3)}, "inputs must"),
        ({"inputs": INPUTS, "inducing": torch.ones(3, 5)}, "inducing must have 2 columns"),
        ({"inputs": INPUTS * torch.nan}, "inputs must"),
    ],
)
def test_inputs_that_can_not_be(arguments, said):
    with pytest.raises(ValueError, match=said):
        models.GaussianProcess(**arguments)


def test_scales_that_overflow_are_named():
    with pytest.raises(ValueError, match="log_lengthscale"):
        elbo(EXACT, OWN | {"log_lengthscale": torch.tensor([0.0, -800.0]).double()}, None, Y)

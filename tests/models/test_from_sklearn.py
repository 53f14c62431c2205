"""Fitted scikit-learn estimators: converted faithfully, with the gaps that their habits predict."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.decomposition import FactorAnalysis as SkFactorAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture as SkGaussianMixture

from companion import datasets, from_sklearn, models, verify

IRIS = datasets.iris()


def at_its_posterior(estimator, x=IRIS):
    model, parameters = from_sklearn(estimator)
    return verify(model, parameters, model.posterior(parameters, x), x)


@pytest.mark.parametrize("latent", (1, 2, 3))
def test_pca_is_off_by_its_n_minus_one(latent):
    """F − S = D/(2N), because PCA divides by N − 1; and zero once rescaled."""
    N, D = IRIS.shape
    estimator = PCA(latent).fit(IRIS.numpy())
    model, parameters = from_sklearn(estimator)
    assert model == models.PPCA(D, latent)
    np.testing.assert_allclose(model.covariance(parameters), estimator.get_covariance(), rtol=1e-10)
    report = at_its_posterior(estimator)
    assert report.gap == pytest.approx(D / (2 * N), rel=1e-9)
    assert report.relative_residual <= 1e-12
    shrink = (N - 1) / N
    rescaled = parameters | {
        "weights": parameters["weights"] * shrink**0.5,
        "log_variance": parameters["log_variance"] + np.log(shrink),
    }
    report = verify(model, rescaled, model.posterior(rescaled, IRIS), IRIS)
    assert abs(report.gap) < 1e-12 and report.gradient_norm < 1e-11
    best = model.maximum_likelihood(IRIS)
    torch.testing.assert_close(
        model.covariance(best), model.covariance(rescaled), rtol=1e-9, atol=0
    )


def test_factor_analysis_has_the_same_likelihood_and_next_to_no_gap():
    estimator = SkFactorAnalysis(1, tol=1e-13, max_iter=20_000, svd_method="lapack")
    x = datasets.wine(standardize=True)
    estimator.fit(x.numpy())
    model, parameters = from_sklearn(estimator)
    assert model == models.FactorAnalysis(13, 1)
    np.testing.assert_allclose(model.covariance(parameters), estimator.get_covariance(), rtol=1e-10)
    score = float(model.log_likelihood(parameters, x))
    assert score == pytest.approx(estimator.score(x.numpy()), rel=1e-10)
    report = at_its_posterior(estimator, x)
    assert abs(report.gap) < 1e-6 and report.relative_residual <= 1e-12
    early = SkFactorAnalysis(1, tol=0.5, svd_method="lapack").fit(x.numpy())
    assert abs(at_its_posterior(early, x).gap) > 100 * abs(report.gap)


COVARIANCES = {"spherical": "spherical", "diag": "diagonal", "full": "full", "tied": "tied"}


def fitted_mixture(kind, **options):
    start = np.array([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]])
    settings = {"tol": 1e-13, "max_iter": 5000, "reg_covar": 0.0} | options
    estimator = SkGaussianMixture(
        3, covariance_type=kind, means_init=start, random_state=0, **settings
    )
    return estimator.fit(IRIS.numpy())


@pytest.mark.parametrize("kind", COVARIANCES)
def test_mixtures_keep_likelihood_and_responsibilities(kind):
    estimator = fitted_mixture(kind)
    model, parameters = from_sklearn(estimator)
    assert model == models.GaussianMixture(4, 3, COVARIANCES[kind])
    score = float(model.log_likelihood(parameters, IRIS))
    assert score == pytest.approx(estimator.score(IRIS.numpy()), rel=1e-12)
    responsibilities = model.posterior(parameters, IRIS).probabilities
    np.testing.assert_allclose(
        responsibilities, estimator.predict_proba(IRIS.numpy()), rtol=1e-7, atol=1e-12
    )
    report = at_its_posterior(estimator)
    assert abs(report.gap) < 1e-5 and report.relative_residual <= 1e-12
    assert report.entropy_sum == pytest.approx(estimator.lower_bound_, abs=1e-5)


@pytest.mark.parametrize("kind", COVARIANCES)
def test_reg_covar_leaves_the_predicted_gap(kind):
    """F − S = (reg_covar/2) Σ_c q̄_c tr Σ_c⁻¹ at the fixed point."""
    floor = 1e-2
    estimator = fitted_mixture(kind, reg_covar=floor)
    model, parameters = from_sklearn(estimator)
    q = model.posterior(parameters, IRIS)
    shares = q.probabilities.mean(0).numpy()
    covariances = estimator.covariances_
    if kind == "spherical":
        traces = 4 / covariances
    elif kind == "diag":
        traces = (1 / covariances).sum(1)
    elif kind == "full":
        traces = np.trace(np.linalg.inv(covariances), axis1=1, axis2=2)
    else:
        traces = np.full(3, np.trace(np.linalg.inv(covariances)))
    gap = verify(model, parameters, q, IRIS).gap
    assert gap > 0.01
    assert gap == pytest.approx(floor / 2 * shares @ traces, abs=2e-5)


def test_stopping_early_leaves_a_gap():
    assert abs(at_its_posterior(fitted_mixture("full", tol=1e-2)).gap) > 1e-4


@pytest.mark.parametrize(
    ("estimator", "error", "sentence"),
    (
        (
            KMeans(2),
            ValueError,
            "must be a scikit-learn GaussianMixture, PCA, .* got KMeans",
        ),
        ("PCA", ValueError, "FactorAnalysis: got str"),
        (PCA, ValueError, "FactorAnalysis: got ABCMeta"),
        (PCA(2), NotFittedError, "This PCA instance is not fitted yet"),
        (SkGaussianMixture(2), NotFittedError, "GaussianMixture instance is not fitted yet"),
        (SkFactorAnalysis(2), NotFittedError, "FactorAnalysis instance is not fitted yet"),
    ),
    ids=str,
)
def test_what_cannot_be_converted_is_named(estimator, error, sentence):
    with pytest.raises(error, match=sentence):
        from_sklearn(estimator)
    assert issubclass(error, ValueError)


def test_pca_without_noise_or_whitened_is_refused():
    with pytest.raises(ValueError, match="fewer components than observables: keeps 4 of 4"):
        from_sklearn(PCA(4).fit(IRIS.numpy()))
    with pytest.raises(ValueError, match="whiten=False: got whiten=True"):
        from_sklearn(PCA(2, whiten=True).fit(IRIS.numpy()))


def test_the_parameters_are_copies():
    estimator = PCA(2).fit(IRIS.numpy())
    before = estimator.components_.copy(), estimator.mean_.copy()
    _, parameters = from_sklearn(estimator)
    for value in parameters.values():
        assert value.dtype == torch.float64
        value.zero_()
    np.testing.assert_array_equal(estimator.components_, before[0])
    np.testing.assert_array_equal(estimator.mean_, before[1])


def test_arrays_of_every_solver_are_taken():
    """ARPACK's ``components_`` have negative strides."""
    full = from_sklearn(PCA(2, svd_solver="full").fit(IRIS.numpy()))[1]
    for solver in ("arpack", "randomized", "covariance_eigh"):
        found = from_sklearn(PCA(2, svd_solver=solver, random_state=0).fit(IRIS.numpy()))[1]
        for name in ("mean", "log_variance"):
            torch.testing.assert_close(found[name], full[name], rtol=1e-8, atol=1e-8)
        products = [each["weights"] @ each["weights"].T for each in (found, full)]
        torch.testing.assert_close(*products, rtol=1e-8, atol=1e-8)


def test_what_leaves_no_noise_is_refused_as_the_closed_form_does():
    few = IRIS[:3]  # N − 1 components explain them all
    low = IRIS[:, :2] @ torch.tensor([[1.0, 0, 1, 2], [0, 1, 1, -1]]).double()  # rank 2
    model = models.PPCA(4, 2)
    for x in (few, low):
        with pytest.raises(ValueError, match="estimator must have variance outside the 2 chosen"):
            from_sklearn(PCA(2).fit(x.numpy()))
        with pytest.raises(ValueError, match="x must have variance outside the 2 chosen"):
            model.maximum_likelihood(x)
    with pytest.raises(ValueError, match="estimator must keep fewer components than observables"):
        from_sklearn(PCA().fit(IRIS.numpy()))
    flat = torch.cat([IRIS, torch.ones(150, 1).double()], 1)
    with pytest.raises(ValueError, match=r"must leave noise in every column: .* in columns \[4\]"):
        from_sklearn(SkFactorAnalysis(2).fit(flat.numpy()))

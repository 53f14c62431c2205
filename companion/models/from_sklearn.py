"""Models and parameters from fitted scikit-learn estimators."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from companion.models import PPCA, FactorAnalysis, GaussianMixture, GaussianProcess
from companion.models.linear_gaussian import check_noise
from companion.support.checks import as_numbers
from companion.support.doors import door
from companion.theory.model import Model

__all__ = ["from_sklearn"]

#: What scikit-learn's factor analysis puts in the place of noise that is none.
FLOOR = 1.001e-12

_COVARIANCE = {"spherical": "spherical", "diag": "diagonal", "full": "full", "tied": "tied"}


@door
def from_sklearn(estimator: Any) -> tuple[Model, dict[str, Tensor]]:
    """The model and parameters of a fitted estimator of scikit-learn.

    Those are ``GaussianMixture``, ``PCA``, ``FactorAnalysis`` and ``GaussianProcessRegressor`` with
    a kernel ``ConstantKernel() * RBF() + WhiteKernel()``, whose data is one row, ``y_train_``.

    The parameters are those that scikit-learn reports, converted but not corrected. Two of its
    conventions keep them from a stationary point of the likelihood, and show as a gap:

    * ``PCA`` divides by N − 1: its noise variance and loadings are those of the covariance
      N/(N−1)·C, and the gap at its solution is D/(2N). (Its ``noise_variance_`` already is the
      mean of the eigenvalues left out.)
    * ``GaussianMixture`` adds ``reg_covar`` (1e-6 by default) to all variances, and stops when its
      bound changes by less than ``tol`` (1e-3): the gap at its fixed point is
      (reg_covar/2)·Σ_c q̄_c tr Σ_c⁻¹. Its ``lower_bound_`` is the log-likelihood before the last
      M-step.

    Raises
    ------
    ValueError
        If the estimator is of another class or not fitted, or a PCA keeps every component, leaves
        no noise or was fitted with ``whiten=True``.

    >>> from sklearn.decomposition import PCA
    >>> from companion import datasets
    >>> model, parameters = from_sklearn(PCA(2).fit(datasets.iris().numpy()))
    >>> model
    PPCA(observed=4, latent=2, learnable_prior=False)
    """
    from sklearn.decomposition import PCA as SkPCA
    from sklearn.decomposition import FactorAnalysis as SkFactorAnalysis
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.mixture import GaussianMixture as SkGaussianMixture
    from sklearn.utils.validation import check_is_fitted

    known = SkPCA | SkFactorAnalysis | SkGaussianMixture | GaussianProcessRegressor
    if not isinstance(estimator, known):
        raise ValueError(
            "estimator must be a scikit-learn GaussianMixture, PCA, "
            f"GaussianProcessRegressor or FactorAnalysis: got {type(estimator).__name__}"
        )
    # NotFittedError is a ValueError with a clear sentence of its own.
    check_is_fitted(estimator)
    if isinstance(estimator, SkPCA):
        return _from_pca(estimator)
    if isinstance(estimator, SkFactorAnalysis):
        return _linear(FactorAnalysis, estimator, 1.0)
    if isinstance(estimator, GaussianProcessRegressor):
        return _from_process(estimator)
    return _from_mixture(estimator)


def _tensor(array: Any) -> Tensor:
    return as_numbers(array, "estimator").clone()


def _from_pca(estimator: Any) -> tuple[Model, dict[str, Tensor]]:
    if estimator.whiten:
        raise ValueError("estimator must be a PCA with whiten=False: got whiten=True")
    latent, observed = estimator.components_.shape
    if latent >= observed:
        raise ValueError(
            f"estimator must keep fewer components than observables: keeps {latent} of {observed}"
        )
    variances = _tensor(estimator.explained_variance_)
    check_noise(_tensor(estimator.noise_variance_), variances.max(), latent, "estimator")
    excess = torch.clamp(variances - estimator.noise_variance_, min=0)
    return _linear(PPCA, estimator, excess.sqrt())


def _linear(
    kind: type[PPCA] | type[FactorAnalysis], estimator: Any, lengths: Tensor | float
) -> tuple[Model, dict[str, Tensor]]:
    """The columns of W are the estimator's components, times ``lengths``."""
    latent, observed = estimator.components_.shape
    noise = _tensor(estimator.noise_variance_)
    floor = FLOOR if kind is FactorAnalysis else 0.0
    bare = torch.nonzero(~(torch.atleast_1d(noise) > floor))[:, 0].tolist()
    if bare:
        raise ValueError(
            f"estimator must leave noise in every column: its noise_variance_ is {noise.min():.3g} "
            f"in columns {bare}; use fewer components, or leave these columns out"
        )
    return kind(observed=observed, latent=latent), {
        "weights": _tensor(estimator.components_).T * lengths,
        "mean": _tensor(estimator.mean_),
        "log_variance": noise.log(),
    }


def _from_mixture(estimator: Any) -> tuple[GaussianMixture, dict[str, Tensor]]:
    components, observed = estimator.means_.shape
    model = GaussianMixture(
        observed=observed,
        components=components,
        covariance_type=_COVARIANCE[estimator.covariance_type],  # type: ignore[arg-type]
    )
    parameters = model.from_covariances(
        _tensor(estimator.weights_), _tensor(estimator.means_), _tensor(estimator.covariances_)
    )
    return model, parameters


def _from_process(estimator: Any) -> tuple[GaussianProcess, dict[str, Tensor]]:
    kernel = getattr(estimator, "kernel_", None)
    terms: list[Any] = [kernel, getattr(kernel, "k1", None), getattr(kernel, "k2", None)]
    terms += [getattr(terms[1], "k1", None), getattr(terms[1], "k2", None)]
    names = ["Sum", "Product", "WhiteKernel", "ConstantKernel", "RBF"]
    if [type(term).__name__ for term in terms] != names or _tensor(estimator.alpha).dim():
        raise ValueError(
            "estimator must have a kernel ConstantKernel() * RBF() + WhiteKernel(), in this order, "
            f"and one number alpha: got {kernel}"
        )
    _, _, white, amplitude, rbf = terms
    model = GaussianProcess(_tensor(estimator.X_train_))
    scales = _tensor(rbf.length_scale).expand(model.inputs.shape[1])
    return model, {
        "prior_log_variance": _tensor(amplitude.constant_value).log(),
        "log_lengthscale": scales.log().clone(),
        "log_variance": _tensor(white.noise_level + estimator.alpha).log(),
    }

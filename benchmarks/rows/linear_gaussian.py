"""Factor analysis and probabilistic PCA against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.em import em_steps
from benchmarks.harness import Check, Measured, Row, Setting, Target, alternate
from companion.models import PPCA, FactorAnalysis


def draw(points: int, observed: int, latent: int) -> Tensor:
    """Linear-Gaussian data with another noise variance for each observable."""
    rng = np.random.default_rng(0)
    loadings = rng.standard_normal((observed, latent))
    noise = np.sqrt(rng.uniform(0.2, 2.0, observed))
    x = rng.standard_normal((points, latent)) @ loadings.T
    return torch.from_numpy(x + noise * rng.standard_normal(x.shape) + rng.random(observed))


def factor_analysis(setting: Setting) -> Measured:
    from sklearn.decomposition import FactorAnalysis as Theirs

    points, observed, latent = setting.pick((100_000, 64, 8), (300, 12, 2))
    tolerance = 1e-2  # scikit-learn's own, of the total log-likelihood
    x = draw(points, observed, latent)
    data = x.numpy()
    model = FactorAnalysis(observed, latent)

    # Noise variances of one, as theirs starts with; the loadings follow from them.
    start = {
        "weights": torch.zeros(observed, latent, dtype=torch.float64),
        "mean": torch.zeros(observed, dtype=torch.float64),
        "log_variance": torch.zeros(observed, dtype=torch.float64),
    }

    def ours() -> Any:
        return em_steps(model, start, x, steps=1000, rise=tolerance / points)

    def peer() -> Any:
        return Theirs(latent, tol=tolerance, svd_method="lapack").fit(data)

    pair = alternate(ours, peer, 2)
    run, theirs = pair.results
    # Theirs notices the tolerance before it would change the noise variances once more.
    same = em_steps(model, start, x, steps=run.steps - 1).parameters
    noise = same["log_variance"].exp()
    apart = float((noise / torch.from_numpy(theirs.noise_variance_) - 1).abs().max())
    value, reference = float(run.log_likelihoods[-1]), theirs.loglike_[-1] / points
    return Measured(
        {"ratio": pair.ratio},
        [
            Check("log-likelihood in the last iteration", value, reference, 1e-9),
            Check("iterations to the tolerance", run.steps, theirs.n_iter_, 0.0),
            Check("largest relative difference of noise variances", apart, 0.0, 1e-8),
        ],
        {"N": points, "D": observed, "H": latent, "iterations": theirs.n_iter_},
        pair.times,
        "float64",
        2,
    )


def ppca(setting: Setting) -> Measured:
    from sklearn.decomposition import PCA

    points, observed, latent = setting.pick((20_000, 64, 8), (300, 12, 2))
    x = draw(points, observed, latent)
    data = x.numpy()
    model = PPCA(observed, latent)
    pair = alternate(
        lambda: model.maximum_likelihood(x), lambda: PCA(latent).fit(data), setting.pick(15, 2)
    )
    parameters, theirs = pair.results
    W = parameters["weights"].numpy()
    W = W / np.linalg.norm(W, axis=0)
    cosine = np.linalg.svd(theirs.components_ @ W, compute_uv=False).min()
    # Theirs divides by N − 1 and counts only N − 1 directions when that is smaller.
    variance = theirs.noise_variance_ * (points - 1) / points
    return Measured(
        {"ratio": pair.ratio},
        [
            Check("noise variance", float(parameters["log_variance"].exp()), variance, 1e-9),
            Check("smallest cosine between the subspaces", float(cosine), 1.0, 1e-9),
        ],
        {"N": points, "D": observed, "H": latent},
        pair.times,
        "float64",
        setting.pick(15, 2),
    )


ROWS = (
    Row(
        name="factor-analysis",
        title="Factor analysis, the same iterates to the same tolerance",
        peer="scikit-learn, FactorAnalysis (svd_method='lapack')",
        work=(
            "The same iteration from the same start: the best loadings for the noise variances, "
            "then new noise variances, to scikit-learn's own tolerance. Theirs decomposes the "
            "scaled data in every iteration, ours their covariance, for which the data are read "
            "once."
        ),
        targets=(Target("ratio", "times as fast", at_least=50),),
        limits="Reading the data once for their covariance.",
        measure=factor_analysis,
        packages=("torch", "numpy", "scikit-learn"),
    ),
    Row(
        name="ppca",
        title="Probabilistic PCA",
        peer="scikit-learn, PCA",
        work="From the data to principal axes and noise variance, which must agree.",
        targets=(Target("ratio", "times as fast", at_least=0.9),),
        limits=(
            "Both are at the limit: one product of the data with itself, one eigendecomposition. "
            "Ours also checks that every number is finite."
        ),
        measure=ppca,
        packages=("torch", "numpy", "scikit-learn"),
    ),
)

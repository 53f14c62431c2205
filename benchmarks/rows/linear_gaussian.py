"""Factor analysis and probabilistic PCA against scikit-learn."""

from __future__ import annotations

from functools import partial
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


def begin(model: FactorAnalysis) -> dict[str, torch.Tensor]:
    """Noise variances of one, as scikit-learn starts with; the loadings follow from them."""
    return {name: torch.zeros(size, dtype=torch.float64) for name, size in model.shapes.items()}


def factor_analysis(setting: Setting) -> Measured:
    from sklearn.decomposition import FactorAnalysis as Theirs

    points, observed, latent = setting.pick((100_000, 64, 8), (300, 12, 2))
    tolerance = 1e-2  # scikit-learn's own, of the total log-likelihood
    x = draw(points, observed, latent)
    data = x.numpy()
    model = FactorAnalysis(observed, latent)
    start = begin(model)

    def ours() -> Any:
        return em_steps(model, start, x, steps=1000, rise=tolerance / points)

    def peer() -> Any:
        return Theirs(latent, tol=tolerance, svd_method="lapack").fit(data)

    pair = alternate(ours, peer, setting.repeats)
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
        setting.repeats,
    )


def default_factor_analysis(size: tuple[int, int], setting: Setting) -> Measured:
    """Each to its own tolerance; the log-likelihoods at the end are compared."""
    from sklearn.decomposition import FactorAnalysis as Theirs

    points, observed = setting.pick(size, (300, 12))
    latent = setting.pick(8, 2)
    x = draw(points, observed, latent)
    data = x.numpy()
    model = FactorAnalysis(observed, latent)
    start = begin(model)

    def ours() -> Any:
        return em_steps(model, start, x, steps=1000, rise=1e-2 / points)

    pair = alternate(ours, lambda: Theirs(latent).fit(data), setting.repeats)
    run, theirs = pair.results
    value = float(model.log_likelihood(run.parameters, x))
    return Measured(
        {"ratio": pair.ratio},
        [
            Check(
                "log-likelihood, ours at least theirs", value, theirs.score(data), 1e-7, "at least"
            )
        ],
        {"N": points, "D": observed, "H": latent, "iterations": theirs.n_iter_},
        pair.times,
        "float64",
        setting.repeats,
    )


def ppca(solver: str, size: tuple[int, int, int], setting: Setting) -> Measured:
    from sklearn.decomposition import PCA

    points, observed, latent = setting.pick(size, (300, 12, 2))
    x = draw(points, observed, latent)
    data = x.numpy()
    model = PPCA(observed, latent)
    repeats = setting.pick(15 if observed < 1000 else 5, 2)
    pair = alternate(
        lambda: model.maximum_likelihood(x),
        lambda: PCA(latent, svd_solver=solver).fit(data),
        repeats,
    )
    parameters, theirs = pair.results
    W = parameters["weights"].numpy()
    W = W / np.linalg.norm(W, axis=0)
    cosine = np.linalg.svd(theirs.components_ @ W, compute_uv=False).min()
    # Theirs divides by N − 1 and counts only N − 1 directions when that is smaller.
    variance = theirs.noise_variance_ * (points - 1) / points
    variance *= (min(points, observed) - latent) / (observed - latent)
    return Measured(
        {"ratio": pair.ratio},
        [
            Check("noise variance", float(parameters["log_variance"].exp()), variance, 1e-9),
            Check("smallest cosine between the subspaces", float(cosine), 1.0, 1e-9),
        ],
        {"N": points, "D": observed, "H": latent},
        pair.times,
        "float64",
        repeats,
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
    *(
        Row(
            name=f"factor-analysis-{n}-{d}",
            title=f"Factor analysis, N = {n}, D = {d}, as it comes",
            peer="scikit-learn, FactorAnalysis with its default solver",
            work=(
                "Each from noise variances of one to a rise of the log-likelihood below 0.01 for "
                "all data; ours must end at least as high. Theirs takes the leading singular "
                "vectors by a randomized method."
            ),
            targets=(Target("ratio", "times as fast", at_least=goal),),
            limits=(
                "The leading eigenvectors of a D × D matrix in every iteration, to all digits: the "
                "peer's randomized method takes fewer, which pays where N is not far above D."
            ),
            measure=partial(default_factor_analysis, (n, d)),
            packages=("torch", "numpy", "scikit-learn"),
        )
        for n, d, goal in ((100_000, 64, 50), (20_000, 500, 4), (1_000, 500, 1))
    ),
    Row(
        name="ppca-wide",
        title="Probabilistic PCA, fewer points than columns",
        peer="scikit-learn, PCA",
        work="From the data to principal axes and noise variance, which must agree.",
        targets=(Target("ratio", "times as fast", at_least=1.0),),
        limits="One product of the points with themselves, and its eigendecomposition.",
        measure=partial(ppca, "full", (500, 2000, 8)),
        packages=("torch", "numpy", "scikit-learn"),
    ),
    Row(
        name="ppca",
        title="Probabilistic PCA",
        peer="scikit-learn, PCA(svd_solver='covariance_eigh')",
        work="From the data to principal axes and noise variance, which must agree.",
        targets=(Target("ratio", "times as fast", at_least=0.9),),
        limits=(
            "Both are at the limit: one product of the data with itself, one eigendecomposition. "
            "Ours also checks that every number is finite."
        ),
        measure=partial(ppca, "covariance_eigh", (20_000, 64, 8)),
        packages=("torch", "numpy", "scikit-learn"),
    ),
)

"""Linear VAEs: to the optimum in closed form, and in a stream of small batches."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmarks.harness import Check, Measured, Row, Setting, Target, alternate, constant
from benchmarks.rows import official_runs as theirs
from companion import datasets, verify
from companion.models import PPCA, Encoder, GaussianVAE


def optimum(x: Tensor, latent: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters of the linear VAE with the highest ELBO on ``x``, and of its encoder.

    Decoder: probabilistic PCA in closed form. Encoder: its posterior, which factorises since the
    columns of W are orthogonal, with means (WᵀW + σ²I)⁻¹Wᵀ(x − μ) and variances σ²(WᵀW + σ²I)⁻¹, as
    in ``companion.models.vae.linear``, which checks data and parameters once more.
    """
    best = PPCA(x.shape[1], latent).maximum_likelihood(x)
    W, mean, log_variance = best["weights"], best["mean"], best["log_variance"]
    variance = log_variance.exp()
    total = (W * W).sum(0) + variance
    weight = W.T / total[:, None]
    encoder = {
        "mean.weights": weight,
        "mean.bias": -(weight @ mean),
        "log_std.weights": torch.zeros_like(weight),
        "log_std.bias": 0.5 * (variance / total).log(),
    }
    return {"mean.weights": W, "mean.bias": mean, "log_variance": log_variance}, encoder


def best_elbo(x: Tensor, latent: int) -> float:
    """ELBO* in nats per point from the eigenvalues of the covariance alone (NumPy)."""
    import numpy as np

    eigenvalues = np.linalg.eigvalsh(np.cov(x.numpy(), rowvar=False, bias=True))[::-1]
    kept, rest = eigenvalues[:latent], eigenvalues[latent:]
    logs = np.log(kept).sum() + len(rest) * math.log(rest.mean())
    return float(-0.5 * (logs + len(eigenvalues) * (1 + math.log(2 * math.pi))))


def closed_form(setting: Setting) -> Measured:
    latent, points = 2, setting.pick(10_000, 500)
    x = datasets.pca(points, latent=latent)
    module = theirs.verification(setting)
    samples, batch = setting.pick(theirs.SAMPLES, 3), min(theirs.BATCH, points)
    network = theirs.network(module, "linear", x.shape[1], latent, samples)
    batches = theirs.loader(x, batch)
    pair = alternate(
        lambda: optimum(x, latent),
        lambda: module.train_vae(network, 1, batches, batches, theirs.RATE),
        setting.repeats,
    )
    parameters, phi = pair.results[0]
    q = Encoder(x.shape[1], latent).posterior(phi, x)
    report = verify(GaussianVAE(x.shape[1], latent), parameters, q, x)
    best, bound = best_elbo(x, latent), pair.results[1][0][-1] / points
    return Measured(
        {
            "ratio": pair.ratio,
            "gap": constant(abs(report.gap), " nats"),
            "distance": constant(abs(best - report.elbo), " nats"),
        },
        [
            Check("ELBO reached, and the largest there is", report.elbo, best, 1e-10),
            Check("ELBO, at least the official one", report.elbo, bound, 0.0, "at least"),
        ],
        {"N": points, "D": x.shape[1], "H": latent, "batch": batch, "official samples": samples},
        pair.times,
        "float64 ours, float32 official",
        setting.repeats,
    )


ROWS = (
    Row(
        name="linear-vae",
        title="Linear VAE, closed form against an epoch of learning",
        peer="one epoch of the official linear VAE",
        work=(
            "Ours goes from the data to the optimal decoder and encoder; one official epoch is "
            "five Adam steps and its evaluation pass, and it needs hundreds of them. The ELBO that "
            "ours reached is compared with the largest one, from the covariance's eigenvalues."
        ),
        targets=(
            Target("ratio", "times as fast as one official epoch", at_least=1000),
            Target("gap", "gap |ELBO − entropy sum|", at_most=1e-12),
            Target("distance", "distance to the largest ELBO", at_most=1e-10),
        ),
        differs=(
            "An eigendecomposition beside a gradient method: a user's other choice is PCA, "
            "whose row stands above."
        ),
        limits=(
            "The call overhead of some twenty small tensor operations, and reading the data once "
            "for their covariance."
        ),
        measure=closed_form,
        official=True,
    ),
)

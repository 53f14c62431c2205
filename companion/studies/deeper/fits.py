"""What the chapter on deeper models learns: VAEs on outliers, and a dictionary with two q."""

from __future__ import annotations

import torch
from torch import Tensor

from companion import fit
from companion.models import Encoder, GaussianVAE, SparseCoding, StudentTVAE
from companion.support.checks import positive_integer
from companion.theory.projection import project
from companion.theory.variational import Amortized, Gaussian, samples

__all__ = ["coded", "with_noise"]

Fitted = tuple[GaussianVAE | StudentTVAE, dict[str, Tensor], Amortized]


def with_noise(
    x: Tensor, heavy: bool, steps: int, generator: torch.Generator, latent: int = 8
) -> Fitted:
    """A VAE with Gaussian or Student t noise after Adam, moved to equality; itself and its q."""
    kind = StudentTVAE if heavy else GaussianVAE
    vae = kind(x.shape[1], latent, (48,), learnable_prior=True)
    encoder = Encoder(x.shape[1], latent, (48,))
    start = encoder.initial_parameters(generator)
    rule = samples(len(x), 2, latent, generator)
    end = fit.adam(
        *(vae, vae.initial_parameters(generator), encoder.posterior(start, x, rule), x),
        steps=steps,
        learning_rate=5e-3,
        fresh_samples=1,
        batch_size=200,
        log_every=steps,
        generator=generator,
    )
    parameters, q = project(vae, end.parameters, end.q, x)
    assert isinstance(q, Amortized)
    return vae, parameters, q


def coded(
    model: SparseCoding, x: Tensor, steps: int, generator: torch.Generator
) -> tuple[dict[str, Tensor], Gaussian]:
    """A dictionary by so many E- and M-steps, and the best free q for it."""
    parameters, q = model.random_start(x, generator), model.prior_q(len(x))
    for _ in range(positive_integer(steps, "steps")):
        q = model.e_step(parameters, q, x, steps=2)
        parameters = model.m_step(parameters, q, x)
    return parameters, model.e_step(parameters, q, x, steps=30)

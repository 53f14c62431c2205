"""Reading the bound of a converged VAE: three entropies, or an estimate from samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchmarks.harness import Check, Measured, Row, Setting, Target, alternate
from companion import datasets
from companion.studies.own_elbo.usual_vae import UsualVAE, entropy_sum

#: Samples for each point that give the mean squared error.
DRAWS = 50


def converged(x: Tensor, latent: int, hidden: int, steps: int) -> UsualVAE:
    """A VAE trained for some steps, then put on the conditions that every optimum fulfils.

    They are closed forms: the noise variance is the mean squared error, and every latent has second
    moment one, for which the latent space is rescaled, encoder and decoder together.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = UsualVAE(x.shape[1], latent, hidden).double()
        optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3, maximize=True)
        for _ in range(steps):
            optimizer.zero_grad()
            vae.elbo(x[torch.randint(len(x), (min(len(x), 500),))]).backward()
            optimizer.step()
        with torch.no_grad():
            mean, log_variance = vae.encode(x)
            scale = (mean**2 + log_variance.exp()).mean(0).rsqrt()
            head, first = vae.encoder[-1], vae.decoder[0]
            assert isinstance(head, nn.Linear) and isinstance(first, nn.Linear)
            head.weight[:latent] *= scale[:, None]
            head.bias[:latent] *= scale
            head.bias[latent:] += 2 * scale.log()
            first.weight /= scale
            errors = [
                (x - vae.decoder(vae.sample(*vae.encode(x)))).square().mean() for _ in range(DRAWS)
            ]
            vae.log_variance.copy_(torch.stack(errors).mean().log())
    return vae


@torch.no_grad()
def sampled(vae: UsualVAE, x: Tensor, samples: int) -> Tensor:
    """The ELBO with its KL divergence in closed form and ``samples`` draws for each point."""
    mean, log_variance = vae.encode(x)
    likelihood = torch.zeros(len(x), dtype=x.dtype)
    for _ in range(samples):
        likelihood += vae.log_likelihood(x, vae.sample(mean, log_variance))
    return (likelihood / samples - vae.kl(mean, mean, log_variance)).mean()


def reading(setting: Setting) -> Measured:
    points, latent, hidden = setting.pick(10_000, 200), 8, setting.pick(100, 16)
    samples, steps = setting.pick(100, 20), setting.pick(500, 20)
    x = datasets.image_patches(points, size=8)
    observed = x.shape[1]
    vae = converged(x, latent, hidden, steps)
    repeats = setting.repeats
    with torch.no_grad():
        torch.manual_seed(1)
        whole = alternate(lambda: entropy_sum(vae, x), lambda: sampled(vae, x, samples), repeats)
    ours, peer = (float(value) for value in whole.results)
    return Measured(
        {"ratio": whole.ratio},
        [
            # Five standard errors of the sampled ELBO, its spread over points included.
            Check("entropy sum, and ELBO from samples", ours, peer, _tolerance(vae, x, samples)),
        ],
        {
            "data": "image patches",
            "N": points,
            "D": observed,
            "H": latent,
            "hidden": hidden,
            "samples": samples,
        },
        whole.times,
        "float64",
        repeats,
    )


@torch.no_grad()
def _tolerance(vae: UsualVAE, x: Tensor, samples: int) -> float:
    """Five standard errors of both averages over samples, relative to max(1, |ELBO|)."""
    mean, log_variance = vae.encode(x)
    draws = [vae.log_likelihood(x, vae.sample(mean, log_variance)) for _ in range(10)]
    error = float(torch.stack(draws).var(0).mean().sqrt()) / math.sqrt(len(x) * samples)
    # The noise variance was set from samples of its own.
    return 5 * error * math.sqrt(1 + samples / DRAWS) / max(1.0, abs(float(sampled(vae, x, 1))))


ROWS = (
    Row(
        name="reading-the-bound",
        title="Reading the bound at convergence against 100 samples",
        peer="the ELBO from 100 samples for each point, same network",
        work=(
            "Both start from the data and the trained network: the sum of entropies passes it "
            "through the encoder, the estimate also draws samples and decodes them. At convergence "
            "both are the same number up to the estimate's own error."
        ),
        targets=(Target("ratio", "times as fast as 100 samples", at_least=90),),
        differs=(
            "The sum is the bound at convergence only, and the noise variance had to be estimated "
            "before: 50 samples for each point, which the ratio leaves out."
        ),
        limits="The pass through the encoder, which both need.",
        measure=reading,
    ),
)

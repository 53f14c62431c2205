"""Losses as public repositories write them, each written anew in a few lines, and their verdicts.

A design is a module with ``encode``, ``decode`` and ``loss``; ``words`` are those that `verify_vae`
needs for it. None of the repositories' code is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent, Normal
from torch.nn import functional as nnf

from companion.models.own.record import VAEVerification
from companion.models.own.vae import verify_vae
from companion.studies.own_elbo.usual_vae import UsualVAE, reparametrise

__all__ = ["DESIGNS", "Public", "asked", "judged"]


class Public(nn.Module):
    """Encoder and decoder of one hidden layer for images of 8 × 8 pixels; four latents."""

    words: ClassVar[Mapping[str, Any]] = {}
    follows = ""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8))
        self.decoder = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 64))

    def encode(self, x: Tensor) -> Any:
        return self.encoder(x).chunk(2, -1)

    def decode(self, z: Tensor) -> Any:
        return self.decoder(z)

    def kl(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        return -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()

    def loss(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class ErrorAndKL(Public):
    """Squared error and KL divergence, as sums: a Gaussian decoder with σ = 1, by intention."""

    words: ClassVar[Mapping[str, Any]] = {"likelihood": "gaussian"}
    follows = "many teaching notebooks"

    def loss(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encode(x)
        error = nnf.mse_loss(self.decode(reparametrise(mean, log_variance)), x, reduction="sum")
        return error + self.kl(mean, log_variance)


class EntropyAndKL(Public):
    """Cross-entropy of grey values and KL divergence, as sums."""

    words: ClassVar[Mapping[str, Any]] = {"likelihood": "bernoulli"}
    follows = "pytorch/examples"

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.decoder(z))

    def loss(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encode(x)
        pixels = self.decode(reparametrise(mean, log_variance))
        entropy = nnf.binary_cross_entropy(pixels, x, reduction="sum")
        return entropy + self.kl(mean, log_variance)


class WeightedMeans(Public):
    """Convolutions and BatchNorm; a mean of squared errors, and a weight for the mean KL."""

    words: ClassVar[Mapping[str, Any]] = {"likelihood": "gaussian"}
    follows = "AntixK/PyTorch-VAE"

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8),
            nn.LeakyReLU(), nn.Flatten(), nn.Linear(128, 8),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(4, 128), nn.Unflatten(1, (8, 4, 4)), nn.BatchNorm2d(8), nn.LeakyReLU(),
            nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Tanh(), nn.Flatten(),
        )  # fmt: skip

    def loss(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encode(x)
        error = nnf.mse_loss(self.decode(reparametrise(mean, log_variance)), x)
        return error + 0.00025 * self.kl(mean, log_variance) / len(x)


class OptimalNoise(Public):
    """One σ for all pixels, set to its optimum for each batch."""

    words: ClassVar[Mapping[str, Any]] = {"likelihood": "gaussian"}
    follows = "orybkin/sigma-vae-pytorch"

    def loss(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encode(x)
        pixels = self.decode(reparametrise(mean, log_variance))
        std = ((x - pixels) ** 2).mean().sqrt()
        return -Normal(pixels, std).log_prob(x).sum() + self.kl(mean, log_variance)


class Capacity(Public):
    """A KL divergence that is drawn to a capacity."""

    words: ClassVar[Mapping[str, Any]] = {"likelihood": "bernoulli_logits"}
    follows = "1Konny/Beta-VAE"

    def loss(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encode(x)
        logits = self.decode(reparametrise(mean, log_variance))
        entropy = nnf.binary_cross_entropy_with_logits(
            logits,
            x,
            reduction="sum",
        )
        divergence = self.kl(mean, log_variance) / len(x)
        return entropy / len(x) + 100 * (divergence - 5).abs()


class Distributions(Public):
    """Distributions of torch everywhere, τ from a softplus, a KL divergence from the samples."""

    follows = "pyro-ppl/pyro, examples/vae"

    def encode(self, x: Tensor) -> Any:
        mean, raw = super().encode(x)
        return Independent(Normal(mean, nnf.softplus(raw)), 1)

    def decode(self, z: Tensor) -> Any:
        return Independent(Bernoulli(logits=self.decoder(z), validate_args=False), 1)

    def loss(self, x: Tensor) -> Tensor:
        q = self.encode(x)
        z = q.rsample()
        prior = Independent(Normal(torch.zeros_like(z), torch.ones_like(z)), 1)
        return (q.log_prob(z) - prior.log_prob(z) - self.decode(z).log_prob(x)).sum()


DESIGNS: tuple[type[Public], ...] = (
    ErrorAndKL,
    EntropyAndKL,
    WeightedMeans,
    OptimalNoise,
    Capacity,
    Distributions,
)


def judged(design: type[Public], x: Tensor, seed: int, **words: Any) -> VAEVerification:
    """The verdict on a design at random weights; ``words`` take the place of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = design().to(x)
    return verify_vae(
        net.encode, net.decode, x, loss=net.loss, seed=seed, **{**design.words, **words}
    )


def asked(vae: UsualVAE, x: Tensor) -> VAEVerification:
    """The verdict on the loss −ELBO of a :class:`UsualVAE` or of a mistake planted in it."""
    return verify_vae(vae.encode, vae.noise, x, loss=lambda x: -vae.elbo(x))

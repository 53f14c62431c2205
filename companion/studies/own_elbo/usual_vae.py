"""A VAE written the usual way, and mistakes to plant in it: what the identity sees and what not."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Normal

__all__ = [
    "AveragedKL",
    "CutGradient",
    "DoubledError",
    "ForgottenHalf",
    "LeftoverBeta",
    "MissingConstant",
    "SampledKL",
    "SilentAtEvaluation",
    "SilentSampledKL",
    "SquaredWidth",
    "UsualVAE",
    "direction",
    "entropy_sum",
    "planted",
    "reparametrise",
    "sampled_entropy_sum",
]

LOG_2PI = math.log(2 * math.pi)
LOG_2PI_E = math.log(2 * math.pi * math.e)


def reparametrise(mean: Tensor, log_variance: Tensor) -> Tensor:
    """z = ν + τ ε with one standard-normal ε for each entry."""
    return mean + (log_variance / 2).exp() * torch.randn_like(mean)


class UsualVAE(nn.Module):
    """p(z) = N(0, I), p(x|z) = N(decoder(z), σ² I), q(z|x) = N(ν, diag τ²).

    The encoder returns ν(x) and log τ²(x) side by side, log σ² is learned.
    Nothing here is special to this companion.
    """

    def __init__(self, observed: int, latent: int, hidden: int = 32) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(observed, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 2 * latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.ReLU(),
            nn.Linear(hidden, observed),
        )
        self.log_variance = nn.Parameter(torch.tensor(-2.0))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, dim=-1)
        return mean, log_variance

    def sample(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        return reparametrise(mean, log_variance)

    def noise(self, z: Tensor) -> Normal:
        return Normal(self.decoder(z), (self.log_variance / 2).exp())

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        square = (x - self.decoder(z)).square() / self.log_variance.exp()
        return -0.5 * (square + self.log_variance + LOG_2PI).sum(-1)

    def kl(self, z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        square = mean.square() + log_variance.exp()
        return 0.5 * (square - 1 - log_variance).sum(-1)

    def elbo(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encode(x)
        z = self.sample(mean, log_variance)
        divergence = self.kl(z, mean, log_variance)
        return (self.log_likelihood(x, z) - divergence).mean()


def entropy_sum(vae: UsualVAE, x: Tensor) -> Tensor:
    """S = (1/N) Σ_n Σ_h log τ_h(x_n) − (D/2) log(2πe σ²): the three entropies, in closed form.

    The constants of H[q] and H[p(z)] cancel. Source: Damm et al. (arXiv:2010.14860), VAE-1.
    """
    _, log_variance = vae.encode(x)
    noise = x.shape[-1] * (vae.log_variance + LOG_2PI_E)
    return 0.5 * log_variance.sum(-1).mean() - 0.5 * noise


def direction(vae: UsualVAE) -> dict[str, Tensor | float]:
    """v for the usual VAE: σ² by tempering, the fixed prior by rescaling z.

    log σ²: −1. First decoder weights: −W/2. Encoder: +1/2 of the half of the
    head that gives ν, +1 on the bias of the half that gives log τ².
    """
    head, first = vae.encoder[-1], vae.decoder[0]
    assert isinstance(head, nn.Linear) and isinstance(first, nn.Linear)
    latent = first.in_features
    weight, bias = 0.5 * head.weight.detach(), 0.5 * head.bias.detach()
    weight[latent:], bias[latent:] = 0.0, 1.0
    return {
        "log_variance": -1.0,
        "decoder.0.weight": -0.5 * first.weight.detach(),
        f"encoder.{len(vae.encoder) - 1}.weight": weight,
        f"encoder.{len(vae.encoder) - 1}.bias": bias,
    }


def planted(vae: UsualVAE, mistake: type[UsualVAE]) -> UsualVAE:
    """The same parameters and mode in a module with another ELBO, for example with a mistake.

    >>> vae = UsualVAE(observed=6, latent=2)
    >>> torch.equal(planted(vae, LeftoverBeta).decoder[0].weight, vae.decoder[0].weight)
    True
    """
    first, last = vae.decoder[0], vae.decoder[-1]
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    with torch.random.fork_rng(devices=[]):  # building it draws weights that are not used
        twin = mistake(last.out_features, first.in_features, first.out_features)
    twin.to(first.weight).load_state_dict(vae.state_dict())
    return twin.train(vae.training)


class AveragedKL(UsualVAE):
    """Mistake: the KL divergence is averaged over the latents, where it should be summed."""

    def kl(self, z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(-1)


class ForgottenHalf(UsualVAE):
    """Mistake: log σ² is added where log σ belongs."""

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        square = (x - self.decoder(z)).square() / self.log_variance.exp()
        return -(0.5 * square + self.log_variance + 0.5 * LOG_2PI).sum(-1)


class SquaredWidth(UsualVAE):
    """Mistake: the samples have standard deviation τ², where it should be τ."""

    def sample(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        return mean + log_variance.exp() * torch.randn_like(mean)


class MissingConstant(UsualVAE):
    """Mistake: the density of x has no log 2π."""

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        square = (x - self.decoder(z)).square() / self.log_variance.exp()
        return -0.5 * (square + self.log_variance).sum(-1)


class LeftoverBeta(UsualVAE):
    """Mistake: a factor of 1/2 from a β-VAE is still there."""

    beta = 0.5

    def kl(self, z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return self.beta * super().kl(z, mean, log_variance)


class CutGradient(UsualVAE):
    """Mistake: samples are detached. The ELBO is right, not its gradient."""

    def sample(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        return super().sample(mean, log_variance).detach()


class DoubledError(UsualVAE):
    """Mistake: no 1/2 before the squared error."""

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        square = (x - self.decoder(z)).square() / self.log_variance.exp()
        return -(square + 0.5 * self.log_variance + 0.5 * LOG_2PI).sum(-1)


class SilentAtEvaluation(UsualVAE):
    """Mistake: in evaluation mode the mean takes the place of a sample."""

    def sample(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        return super().sample(mean, log_variance) if self.training else mean


class SampledKL(UsualVAE):
    """Also right: log q(z|x) − log p(z) at the sample, not in closed form."""

    def kl(self, z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        square = (z - mean).square() / log_variance.exp()
        return 0.5 * (z.square() - square - log_variance).sum(-1)


class SilentSampledKL(SilentAtEvaluation, SampledKL):
    """The mistake of :class:`SilentAtEvaluation` together with a sampled KL divergence."""


def sampled_entropy_sum(
    vae: UsualVAE,
    x: Tensor,
    sample: Callable[[Tensor, Tensor], Tensor] = reparametrise,
) -> Tensor:
    """The entropy sum with −log q(z|x) at one z in place of the entropy of q.

    It goes with SampledKL: both must use the same estimate, drawn by sample.
    """
    mean, log_variance = vae.encode(x)
    z = sample(mean, log_variance)
    square = (z - mean).square() / log_variance.exp()
    of_q = 0.5 * (square + log_variance + LOG_2PI).sum(-1).mean()
    noise = x.shape[-1] * (vae.log_variance + LOG_2PI_E)
    return of_q - 0.5 * mean.shape[-1] * LOG_2PI_E - 0.5 * noise

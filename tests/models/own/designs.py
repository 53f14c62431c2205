"""VAEs as people write them, each right, with places where mistakes can be planted.

``Plan`` is a right program in its parts; a mistake replaces one of them. Five designs follow public
repositories (written anew): PyTorch's example VAE (cross-entropy and KL as sums), PyTorch-VAE
(convolutions, BatchNorm, means), sigma-VAE (a learned noise), Pyro's tutorial VAE (softplus, a
scale from the network, distributions), and the squared-error VAE of many teaching notebooks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import distributions as td
from torch import nn
from torch.nn import functional as F

N, D, H = 24, 6, 3


class Plan:
    """The right way, in parts; ``eps`` is the noise."""

    def __init__(self, net):
        self.net = net

    def z(self, mean, log_variance, eps):
        return mean + (log_variance / 2).exp() * eps

    def recon(self, out, x):
        return -self.net.density(out).log_prob(self.net.seen(x)).reshape(len(x), -1).sum(1)

    def kl(self, mean, log_variance, z):
        entries = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)
        return entries.reshape(len(mean), -1).sum(1)

    def total(self, recon, kl):
        return (recon + kl).mean()

    def loss(self, x):
        mean, log_variance = self.net.encode(x)
        z = self.z(mean, log_variance, torch.randn_like(mean))
        return self.total(self.recon(self.net.decode(z), x), self.kl(mean, log_variance, z))


class Net(nn.Module):
    """Encoder and decoder of one hidden layer; families say how many numbers they need."""

    numbers = 1
    latent = H

    def __init__(self):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(D, 12), nn.Tanh(), nn.Linear(12, 2 * self.latent))
        self.dec = nn.Sequential(
            nn.Linear(self.latent, 12), nn.Tanh(), nn.Linear(12, D * self.numbers)
        )
        self.extra()

    def extra(self):
        """Parameters that a family adds."""

    def encode(self, x):
        return self.enc(x).chunk(2, -1)

    def decode(self, z):
        return self.dec(z)

    def density(self, out):
        raise NotImplementedError

    @property
    def observed(self):
        return self.data(torch.Generator())[0].numel()

    def distance(self, out, x):
        p = self.density(out)
        return (getattr(p, "base_dist", p).mean - x).square().reshape(len(x), -1).sum(1)

    def seen(self, x):
        return x

    def data(self, generator):
        return torch.rand(N, D, generator=generator)

    def decoder(self):
        return lambda z: self.density(self.decode(z))

    words = MappingProxyType({})


class FixedNoise(Net):
    words = MappingProxyType({"likelihood": "gaussian"})

    def density(self, out):
        return td.Normal(out, 1.0)

    def decoder(self):
        return self.decode


class CrossEntropy(Net):
    """Sums of cross-entropy and KL, probabilities, as PyTorch's example."""

    words = MappingProxyType({"likelihood": "bernoulli"})

    def decode(self, z):
        return torch.sigmoid(self.dec(z))

    def density(self, out):
        return td.Bernoulli(out, validate_args=False)

    def decoder(self):
        return self.decode


class Convolutional(Net):
    """Convolutions and BatchNorm, Tanh output, images (N, 1, 8, 8), as PyTorch-VAE."""

    words = MappingProxyType({"likelihood": "gaussian", "variance": 0.5})

    def __init__(self):
        super().__init__()
        del self.dec
        self.enc = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.LeakyReLU(), nn.Flatten()
        )
        self.heads = nn.ModuleList([nn.Linear(64, H), nn.Linear(64, H)])
        self.grow = nn.Linear(H, 64)
        self.dec = nn.Sequential(
            nn.BatchNorm2d(4), nn.LeakyReLU(), nn.ConvTranspose2d(4, 1, 4, 2, 1), nn.Tanh()
        )

    def encode(self, x):
        hidden = self.enc(x)
        return self.heads[0](hidden), self.heads[1](hidden)

    def decode(self, z):
        return self.dec(self.grow(z).reshape(-1, 4, 4, 4))

    def density(self, out):
        return td.Normal(out, math.sqrt(0.5))

    def decoder(self):
        return self.decode

    def data(self, generator):
        return torch.rand(N, 1, 8, 8, generator=generator) * 2 - 1


class LearnedNoise(Net):
    """One σ for all, softly clipped, as sigma-VAE."""

    def extra(self):
        self.log_sigma = nn.Parameter(torch.tensor(-0.3))

    def density(self, out):
        return td.Normal(out, (-6 + F.softplus(self.log_sigma + 6)).exp())


class Heads(Net):
    """A variance for each pixel, from the network; mean and log-variance as a pair."""

    numbers = 2

    def density(self, out):
        mean, log_variance = out.chunk(2, -1)
        return td.Normal(mean, (log_variance / 2).exp())

    def decoder(self):
        return lambda z: self.dec(z).chunk(2, -1)


class Softplus(Net):
    """Scales by softplus, distributions of torch, as Pyro's tutorial."""

    def encode(self, x):
        mean, raw = self.enc(x).chunk(2, -1)
        return mean, 2 * F.softplus(raw).log()

    def density(self, out):
        return td.Independent(td.Bernoulli(logits=out), 1)

    def data(self, generator):
        return (torch.rand(N, D, generator=generator) < 0.4).float()

    def encoder(self):
        def q(x):
            mean, log_variance = self.encode(x)
            return td.Independent(td.Normal(mean, (log_variance / 2).exp()), 1)

        return q


class Regular(Net):
    """Dropout, weight norm, clamped log-variances."""

    words = MappingProxyType({"likelihood": "bernoulli_logits"})

    def __init__(self):
        super().__init__()
        norm = nn.utils.parametrizations.weight_norm
        self.enc = nn.Sequential(
            norm(nn.Linear(D, 12)), nn.Tanh(), nn.Dropout(0.3), nn.Linear(12, 2 * H)
        )
        self.dec = nn.Sequential(nn.Linear(H, 12), nn.Tanh(), nn.Dropout(0.3), nn.Linear(12, D))

    def encode(self, x):
        mean, log_variance = self.enc(x).chunk(2, -1)
        return mean, log_variance.clamp(-0.4, 0.4)

    def density(self, out):
        return td.Bernoulli(logits=out, validate_args=False)

    def decoder(self):
        return self.decode


class Words(Net):
    numbers = 4

    def density(self, out):
        return td.Categorical(logits=out.reshape(len(out), D, 4))

    def data(self, generator):
        return torch.randint(0, 4, (N, D), generator=generator)

    def encode(self, x):
        return super().encode(x.to(self.enc[0].weight))


class Counts(Net):
    def density(self, out):
        return td.Poisson(out.exp())

    def data(self, generator):
        return torch.randint(0, 6, (N, D), generator=generator).float()


class Absolute(Net):
    def extra(self):
        self.log_scale = nn.Parameter(torch.zeros(D))

    def density(self, out):
        return td.Laplace(out, self.log_scale.exp())


class Robust(Net):
    def extra(self):
        self.raw = nn.Parameter(torch.tensor([0.5, -0.2]))

    def density(self, out):
        return td.StudentT(1 + F.softplus(self.raw[0]), out, self.raw[1].exp())


class Sizes(Net):
    numbers = 2

    def density(self, out):
        mean, log_scale = out.chunk(2, -1)
        return td.LogNormal(mean, log_scale.exp())

    def data(self, generator):
        return 0.1 + torch.rand(N, D, generator=generator)


class Waits(Sizes):
    def density(self, out):
        shape, rate = out.exp().chunk(2, -1)
        return td.Gamma(shape, rate)


class Shares(Sizes):
    def density(self, out):
        a, b = (1 + out.exp()).chunk(2, -1)
        return td.Beta(a, b)

    def data(self, generator):
        return 0.05 + 0.9 * torch.rand(N, D, generator=generator)


class Full(Net):
    def extra(self):
        self.tril = nn.Parameter(torch.eye(D) + 0.1 * torch.ones(D, D))

    def density(self, out):
        tril = self.tril.tril(-1) + torch.diag(self.tril.diag().abs())
        return td.MultivariateNormal(out, scale_tril=tril)


DESIGNS = {
    "fixed noise": FixedNoise,
    "cross-entropy": CrossEntropy,
    "convolutions": Convolutional,
    "learned noise": LearnedNoise,
    "noise of each pixel": Heads,
    "softplus": Softplus,
    "dropout, weight norm, clamp": Regular,
    "categorical": Words,
    "Poisson": Counts,
    "Laplace": Absolute,
    "Student t": Robust,
    "log-normal": Sizes,
    "gamma": Waits,
    "beta": Shares,
    "full covariance": Full,
}


def build(name, seed=0, dtype=torch.float64):
    """Net, data, and the words of ``verify_vae`` for a design."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = DESIGNS[name]().to(dtype)
    x = net.data(torch.Generator().manual_seed(seed))
    x = x.to(dtype) if x.is_floating_point() else x
    encoder = net.encoder() if hasattr(net, "encoder") else net.encode
    return net, x, (encoder, net.decoder(), x), net.words


@dataclass(frozen=True)
class Mistake:
    """What is planted, which sentence names it, what it spoils."""

    says: str
    parts: dict = field(default_factory=dict)
    value: bool = False
    gradient: bool = False
    only: tuple = ()

    def plant(self, net):
        plan = Plan(net)
        for name, part in self.parts.items():
            setattr(plan, name, part.__get__(plan))
        return plan.loss


#: Where the mistakes that take longer to name are planted.
SOME = ("fixed noise", "convolutions", "softplus")


def kl_of(entries):
    return lambda self, m, v, z: entries(m, v).reshape(len(m), -1).sum(1)


def entries(m, v):
    return 0.5 * (m**2 + v.exp() - 1 - v)


MISTAKES = {
    "KL averaged over latents": Mistake(
        "KL divergence is 1/H", {"kl": lambda s, m, v, z: entries(m, v).mean(1)}
    ),
    "β = ½": Mistake(
        "KL divergence is .*0.5|KL divergence is ½", {"total": lambda s, r, k: (r + 0.5 * k).mean()}
    ),
    "β = 4": Mistake("KL divergence is 4 times", {"total": lambda s, r, k: (r + 4 * k).mean()}),
    "KL over pixels": Mistake(
        "KL divergence is 1/D", {"total": lambda s, r, k: (r + k / s.net.observed).mean()}
    ),
    "recon averaged": Mistake(
        "reconstruction term is 1/D", {"total": lambda s, r, k: (r / s.net.observed + k).mean()}
    ),
    "batch sum of KL": Mistake("KL divergence is N", {"total": lambda s, r, k: r.mean() + k.sum()}),
    "KL's sign": Mistake("sign", {"total": lambda s, r, k: (r - k).mean()}),
    "the whole sign": Mistake("bound itself", {"total": lambda s, r, k: -(r + k).mean()}),
    "no KL": Mistake("KL divergence is missing", {"total": lambda s, r, k: r.mean()}),
    "z detached": Mistake(
        "detached", {"z": lambda s, m, v, e: (m + (v / 2).exp() * e).detach()}, value=True
    ),
    "std detached": Mistake(
        "standard deviation: it is detached",
        {"z": lambda s, m, v, e: m + (v / 2).exp().detach() * e},
        value=True,
    ),
    "mean detached": Mistake(
        "mean: it is detached", {"z": lambda s, m, v, e: m.detach() + (v / 2).exp() * e}, value=True
    ),
    "mean for sample": Mistake("gets the mean", {"z": lambda s, m, v, e: m}),
    "τ² for τ": Mistake("μ \\+ τ²ε", {"z": lambda s, m, v, e: m + v.exp() * e}),
    "√τ for τ": Mistake("√τ", {"z": lambda s, m, v, e: m + (v / 4).exp() * e}, only=SOME),
    "log-variance for τ": Mistake("log τ² ε", {"z": lambda s, m, v, e: m + v * e}, only=SOME),
    "no τ": Mistake("μ \\+ ε", {"z": lambda s, m, v, e: m + e}, only=SOME),
    "prior's sample": Mistake("from the prior", {"z": lambda s, m, v, e: e}, only=SOME),
    "μ² without ½": Mistake(
        "squared mean .* is 2 times", {"kl": kl_of(lambda m, v: entries(m, v) + 0.5 * m**2)}
    ),
    "τ² lost": Mistake(
        "variance τ² in the KL divergence is missing",
        {"kl": kl_of(lambda m, v: entries(m, v) - 0.5 * v.exp())},
    ),
    "τ for τ² in KL": Mistake(
        "½ Σ τ,", {"kl": kl_of(lambda m, v: 0.5 * (m**2 + (v / 2).exp() - 1 - v))}, only=SOME
    ),
    "log τ for log τ²": Mistake(
        "log-variance log τ² .* is .*0.5|is ½",
        {"kl": kl_of(lambda m, v: 0.5 * (m**2 + v.exp() - 1 - v / 2))},
    ),
    "−1 lost": Mistake(
        "−1 of the KL\\) is missing", {"kl": kl_of(lambda m, v: entries(m, v) + 0.5)}, gradient=True
    ),
    "1e-3 in log": Mistake(
        "1e-3",
        {"kl": kl_of(lambda m, v: 0.5 * (m**2 + v.exp() - 1 - (v.exp() + 1e-3).log()))},
        only=SOME,
    ),
    "prior's scale": Mistake(
        "prior .* variance",
        {"kl": kl_of(lambda m, v: 0.5 * (m**2 / 4 + v.exp() / 4 - 1 - v + math.log(4)))},
    ),
    "free bits": Mistake("[Ff]ree bits", {"total": lambda s, r, k: (r + k.clamp(min=0.9)).mean()}),
    "free bits per latent": Mistake(
        "[Ff]ree bits",
        {"kl": lambda s, m, v, z: entries(m, v).mean(0).clamp(min=0.077).sum() + 0 * m.sum(1)},
        only=SOME,
    ),
    "capacity": Mistake(
        "capacity", {"total": lambda s, r, k: r.mean() + 10 * (k.mean() - 2).abs()}
    ),
    "weight decay": Mistake(
        "weight decay",
        {
            "total": lambda s, r, k: (
                (r + k).mean() + 0.01 * sum(p.square().sum() for p in s.net.parameters())
            )
        },
        only=SOME,
    ),
    "squared error": Mistake(
        "squared error",
        {"recon": lambda s, o, x: s.net.distance(o, x)},
        only=(
            "cross-entropy",
            "softplus",
            "dropout, weight norm, clamp",
            "Poisson",
            "Laplace",
            "Student t",
            "learned noise",
        ),
    ),
    "½ of the error lost": Mistake(
        "reconstruction term is .*2 times",
        {
            "recon": lambda s, o, x: (
                2 * (Plan.recon(s, o, x) - 0.5 * D * math.log(2 * math.pi))
                + 0.5 * D * math.log(2 * math.pi)
            )
        },
        only=("fixed noise",),
    ),
    "log 2π missing": Mistake(
        "log 2π is missing",
        {"recon": lambda s, o, x: Plan.recon(s, o, x) - 0.5 * D * math.log(2 * math.pi)},
        gradient=True,
        only=("fixed noise", "learned noise", "noise of each pixel"),
    ),
    "log x! missing": Mistake(
        "log x! is missing",
        {"recon": lambda s, o, x: F.poisson_nll_loss(o, x, reduction="none").sum(1)},
        gradient=True,
        only=("Poisson",),
    ),
}


def right(net):
    return Plan(net).loss

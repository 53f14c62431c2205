"""Calls of the official verification code, and its networks evaluated with our arithmetic."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from benchmarks import official
from benchmarks.harness import Setting

#: The settings of the published verification experiments.
BATCH, SAMPLES, RATE = 2000, 100, 1e-3
HIDDEN = [50, 50]


def verification(setting: Setting) -> ModuleType:
    """Their `verification/VAE.py`."""
    return official.load(setting.official, official.VERIFICATION)


def loader(x: Tensor, batch: int) -> Any:
    """Shuffled batches with the labels that their code unpacks, in the precision it uses."""
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(x.to(torch.float32), torch.zeros(len(x)))
    return DataLoader(data, batch_size=batch, shuffle=True)


def network(module: ModuleType, kind: str, observed: int, latent: int, samples: int) -> Any:
    """An untrained network of theirs: ``linear``, ``VAE1`` or ``VAE3``."""
    torch.manual_seed(0)
    if kind == "linear":
        return module.LinearVAE(latent, observed, samples)
    return getattr(module, kind)(latent, observed, HIDDEN, HIDDEN, samples)


def elbo(network: Any, x: Tensor, noise: Tensor) -> float:
    """Their network's ELBO in nats per point on ``x``, with our ``noise``, ``(S, N, H)``."""
    latent, observed = network.latent_dim, network.output_dim
    network = network.double()
    with torch.no_grad():
        heads = network.encoder(x)
        mean, std = heads[:, :latent], torch.nn.functional.softplus(heads[:, latent:])
        kl = 0.5 * (mean**2 + std**2 - 1 - 2 * std.log()).sum(-1).mean()
        total = torch.zeros((), dtype=torch.float64)
        for draw in noise:
            out = network.decoder(mean + std * draw)
            centre = out[:, :observed]
            raw = out[:, observed:] if out.shape[1] > observed else network.noise_std
            scale = torch.nn.functional.softplus(raw).expand_as(centre)
            total += (-0.5 * ((x - centre) / scale) ** 2 - scale.log()).sum(-1).mean()
        return float(total / len(noise) - 0.5 * observed * math.log(2 * math.pi) - kl)

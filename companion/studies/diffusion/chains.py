"""Diffusion models of the chapter: schedules, training, and oracles that share little with them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor
from torch.distributions import Normal

from companion.book.display import COLOURS
from companion.book.panels import panels
from companion.models.diffusion import Diffusion, denoised
from companion.theory.model import Parameters, normal_draws

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "best_spherical",
    "clouds",
    "cosine",
    "denoising",
    "eight_log_density",
    "normal_data",
    "sampled_elbo",
    "trained",
]


def cosine(steps: int, end: float = 0.9) -> Tensor:
    """β_t with ᾱ_t = cos²(½π·end·t/T), ``(T,)``: all noise is added where ``end`` is 1.

    Source: Nichol & Dhariwal (2021), up to the ends.
    """
    kept = (
        torch.cos(0.5 * math.pi * end * torch.arange(steps + 1, dtype=torch.float64) / steps) ** 2
    )
    return 1 - kept[1:] / kept[:-1]


def trained(
    model: Diffusion, x: Tensor, steps: int, batch: int = 256, seed: int = 0
) -> dict[str, Tensor]:
    """Parameters after Adam on E‖x_0 − x̂_0‖²/(1−ᾱ_t), t uniform, in single precision.

    The variances stay as they were: σ_t² = β_t, λ = 1.

    Parameters
    ----------
    model, x
        A diffusion model and data, ``(N, D)``.
    steps, batch
        How many steps, and how many data each of them sees, with one t and one noise each.
    seed
        Of the start, the batches and the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    start = model.initial_parameters(generator)
    own = {k: v.float().requires_grad_(v.dim() > 0 and "log" not in k) for k, v in start.items()}
    leaves = [value for value in own.values() if value.requires_grad]
    optimiser = torch.optim.Adam(leaves, lr=2e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    data, kept = x.float(), model.kept.float()
    for _ in range(steps):
        x0 = data[torch.randint(len(data), (batch,), generator=generator)]
        t = torch.randint(1, len(model.betas) + 1, (batch,), generator=generator)
        noise = torch.randn(x0.shape, generator=generator)
        now = kept[t][:, None]
        z = now.sqrt() * x0 + (1 - now).sqrt() * noise
        loss = ((x0 - denoised(model, own, z, t)).square() / (1 - now)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
    return {k: start[k] if "log" in k else v.detach().double() for k, v in own.items()}


def sampled_elbo(
    model: Diffusion, parameters: Parameters, x: Tensor, generator: torch.Generator
) -> tuple[float, float]:
    """Mean of log p(x_0, …, x_T) − log q(x_1, …, x_T | x_0) over one path each, and its error.

    A whole path is drawn for every data point, and the mean of p(x_{t−1} | x_t) is the published
    one, (x_t − β_t ε̂/√(1−ᾱ_t))/√α_t. Of the model only x̂_0 is used.

    Parameters
    ----------
    model, parameters, x
        A diffusion model, its parameters and data, ``(N, D)``.
    generator
        What paths are drawn with.
    """
    kept = torch.cumprod(1 - model.betas, 0)
    deviations = [parameters["log_variance"], *parameters["hidden_log_variance"]]
    total, before = torch.zeros(len(x), dtype=x.dtype), x
    for t, (beta, left, log_variance) in enumerate(
        zip(model.betas, kept, deviations, strict=True), 1
    ):
        forward = Normal((1 - beta).sqrt() * before, beta.sqrt())
        z = forward.mean + beta.sqrt() * normal_draws(*x.shape, generator=generator)
        clean = model.denoised(parameters, z, torch.tensor(t))
        noise = (z - left.sqrt() * clean) / (1 - left).sqrt()
        mean = (z - beta / (1 - left).sqrt() * noise) / (1 - beta).sqrt()
        back = Normal(mean, (0.5 * log_variance).exp())
        total = total + back.log_prob(before).sum(-1) - forward.log_prob(z).sum(-1)
        before = z
    last = Normal(0.0, (0.5 * parameters.get("prior_log_variance", torch.zeros(()))).exp())
    total = total + last.log_prob(before).sum(-1)
    return float(total.mean()), float(total.std() / math.sqrt(len(x)))


def normal_data(count: int, variances: Tensor, generator: torch.Generator) -> Tensor:
    """Data of which mean and second moments are *exactly* those of N(0, diag variances)."""
    z = normal_draws(count, len(variances), generator=generator)
    z = z - z.mean(0)
    factor = torch.linalg.cholesky(z.T @ z / count)
    return torch.linalg.solve_triangular(factor, z.T, upper=False).T * variances.sqrt()


def best_spherical(variances: Any, betas: Any) -> tuple[float, float]:
    """The largest bound of chains for N(0, diag variances), and E log p(x), in nats: in NumPy.

    The best mean of each step is linear, its errors are s_{t−1} β_t/s_t in each coordinate, with
    s_t = ᾱ_t·variance + 1 − ᾱ_t; one variance for all coordinates is their average.
    """
    c, beta = np.asarray(variances, dtype=float), np.asarray(betas, dtype=float)
    kept = np.concatenate([[1.0], np.cumprod(1 - beta)])[:, None]
    s = kept * c + 1 - kept
    mse = (s[:-1] * beta[:, None] / s[1:]).mean(1)
    bound = 0.5 * len(c) * (np.log(beta / mse).sum() - np.log(2 * np.pi * np.e * s[-1].mean()))
    return float(bound), float(-0.5 * np.log(2 * np.pi * np.e * c).sum())


def eight_log_density(x: Any, radius: float, std: float) -> Any:
    """log p of eight equal Gaussians on a circle, for every row, in NumPy."""
    angles = np.arange(8) * np.pi / 4
    centres = radius * np.c_[np.cos(angles), np.sin(angles)]
    square = ((np.asarray(x)[:, None] - centres) ** 2).sum(-1) / std**2
    return logsumexp(-0.5 * square, axis=1) - np.log(8 * 2 * np.pi * std**2)


def clouds(points: Mapping[str, Any], size: float = 2.6) -> Figure:
    """Points of the plane, ``(N, 2)``, a panel for each title; the first 500 of each are drawn."""
    with panels(list(points), columns=len(points), xlabel="", ylabel="", size=(8.2, size)) as (
        figure,
        shown,
    ):
        for axes, cloud in zip(shown, points.values(), strict=True):
            cloud = np.asarray(cloud)[:500]
            axes.plot(cloud[:, 0], cloud[:, 1], ".", color=COLOURS[0], markersize=2, alpha=0.6)
            axes.set_aspect("equal")
    return figure


def denoising(path: Tensor, data: Any) -> Iterator[Figure]:
    """Draws on their way from noise, ``(T + 1, N, 2)``, a frame for every second step.

    Behind them the ``data`` in grey, which they come to lie on; the first 500 of both are drawn.
    """
    near = np.asarray(data)[:500]
    with panels([""], xlabel="", ylabel="", size=(3.6, 3.6)) as (figure, (axes,)):
        axes.plot(near[:, 0], near[:, 1], ".", color="#bbbbbb", markersize=5)
        (cloud,) = axes.plot([], [], ".", color=COLOURS[0], markersize=2)
        limit = 1.1 * float(path[:, :500].abs().max())
        axes.set(aspect="equal", xlim=(-limit, limit), ylim=(-limit, limit))

    def frames() -> Iterator[Figure]:
        for step in range(len(path) % 2 == 0, len(path), 2):
            cloud.set_data(*path[step, :500].T.numpy())
            axes.set_title(f"{step} of {len(path) - 1} steps")
            yield figure

    return frames()

"""VAEs at random parameters, with q and data: no stationary points."""

import torch

from companion import models, variational

N, D, H = 9, 5, 3


def generator():
    return torch.Generator().manual_seed(4)


def vae(learnable_prior=False, hidden=(4,), noise="scalar"):
    """A random VAE with random free q, at no stationary point."""
    g = generator()
    model = models.GaussianVAE(D, H, hidden, noise, learnable_prior)
    parameters = model.initial_parameters(g)
    if learnable_prior:
        parameters["prior_log_variance"] = torch.randn(H, dtype=torch.float64, generator=g)
    mean = torch.randn(N, H, dtype=torch.float64, generator=g)
    std = 0.2 + torch.rand(N, H, dtype=torch.float64, generator=g)
    x = torch.randn(N, D, dtype=torch.float64, generator=g)
    return model, parameters, variational.Gaussian(mean, std), x


def encoded(learnable_prior=False):
    """The same VAE with an encoder for q."""
    model, parameters, _, x = vae(learnable_prior)
    encoder = models.Encoder(D, H, (4,))
    return model, parameters, encoder.posterior(encoder.initial_parameters(generator()), x), x


POINTS = {
    "vae-1": vae,
    "vae-2": lambda: vae(learnable_prior=True),
    "vae-3": lambda: vae(noise="head"),
    "linear, per pixel": lambda: vae(hidden=(), noise="pixel"),
    "vae-1, encoder": encoded,
    "vae-2, encoder": lambda: encoded(learnable_prior=True),
}

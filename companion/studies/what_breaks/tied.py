"""Variational distributions that can't stand still, or can't stretch, when the theory needs it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from companion.families.numerics import softplus
from companion.models import PPCA, Encoder, GaussianVAE, SigmoidBeliefNet
from companion.studies.what_breaks.record import Counterexample, climb
from companion.support import tree
from companion.theory.elbo import elbo
from companion.theory.identity import verify
from companion.theory.variational import Gaussian, MeanFieldBernoulli, gauss_hermite

__all__ = ["shared_parameters", "softplus_encoder", "tied_encoder"]


def shared_parameters(case: str, x: Tensor, latent: int, seed: int) -> Counterexample:
    """A sigmoid belief net with q computed from the model's own ψ, W, b, and learned through q.

    q_n(z) has the logits ψ + Wᵀ(x_n − σ(b)). Its part of the gradient cancels that of the model at
    a stationary point, so the gap is −⟨∂ELBO/∂q, (∂q/∂θ) v⟩.

    Parameters
    ----------
    case
        Its name in the table.
    x
        Binary data, ``(N, D)``.
    latent
        How many latents.
    seed
        Draws the start.
    """
    model = SigmoidBeliefNet(x.shape[-1], latent)

    def q(p: Mapping[str, Tensor]) -> MeanFieldBernoulli:
        return MeanFieldBernoulli(p["prior_logits"] + (x - torch.sigmoid(p["bias"])) @ p["weights"])

    start = model.initial_parameters(torch.Generator().manual_seed(seed))
    end, norm = climb(lambda p: elbo(model, p, q(p), x), start)
    through_q = torch.func.jvp(
        lambda p: elbo(model, end, q(p), x), (end,), (model.gap_direction(end),)
    )[1]
    return Counterexample(case, verify(model, end, q(end), x).gap, -float(through_q), norm)


def tied_encoder(
    case: str, x: Tensor, latent: int, learnable_prior: bool, seed: int
) -> Counterexample:
    """A linear VAE whose encoder has the transposed weights of its decoder: ν_n = Wᵀ(x_n − μ).

    With the fixed prior the gap is the mean of ν'(Wᵀ(x − μ − Wν)/σ² − ν); with learnable prior
    variances, v does not touch q or W, and the gap is zero.

    Parameters
    ----------
    case
        Its name in the table.
    x
        Data, ``(N, D)``.
    latent, learnable_prior
        How many latents, and whether their variances are learned.
    seed
        Draws the start.
    """
    model = PPCA(x.shape[-1], latent, learnable_prior=learnable_prior)

    def q(p: Mapping[str, Tensor]) -> Gaussian:
        mean = (x - p["mean"]) @ p["weights"]
        return Gaussian(mean, p["log_std"].exp().expand(mean.shape))

    start = model.initial_parameters(torch.Generator().manual_seed(seed))
    start |= {"weights": 0.3 * start["weights"], "log_std": torch.zeros(latent, dtype=x.dtype)}

    def own(p: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: value for name, value in p.items() if name != "log_std"}

    end, norm = climb(lambda p: elbo(model, own(p), q(p), x), start)
    nu, W, centered = q(end).mean, end["weights"], x - end["mean"]
    pull = (centered - nu @ W.T) @ W / end["log_variance"].exp() - nu
    predicted = 0.0 if learnable_prior else float((nu * pull).sum(-1).mean())
    return Counterexample(case, verify(model, own(end), q(end), x).gap, predicted, norm)


def softplus_encoder(case: str, x: Tensor, hidden: tuple[int, ...], seed: int) -> Counterexample:
    """A VAE-1 with one latent, and with softplus in place of exp for the encoder's deviations.

    No step of the encoder stretches all τ(x_n) by one factor. The gap is ½ dELBO/dt with all τ at
    e^t τ: what a longer learning could not remove.

    Parameters
    ----------
    case
        Its name in the table.
    x
        Data, ``(N, D)``.
    hidden
        Sizes of the decoder's hidden layers.
    seed
        Draws the start.
    """
    generator = torch.Generator().manual_seed(seed)
    model = GaussianVAE(x.shape[-1], 1, hidden)
    rule = gauss_hermite(1, 20)

    def q(p: Mapping[str, Tensor], stretch: Tensor) -> Gaussian:
        mean = x @ p["mean.weights"].T + p["mean.bias"]
        std = softplus(x @ p["log_std.weights"].T + p["log_std.bias"])
        return Gaussian(mean, std * stretch.exp(), rule)

    one = torch.zeros((), dtype=x.dtype)
    start = tree.merge(
        model.initial_parameters(generator), Encoder(x.shape[-1], 1).initial_parameters(generator)
    )

    def value(p: Mapping[str, Tensor], stretch: Tensor) -> Tensor:
        own, of_q = tree.split(p)
        return elbo(model, own, q(of_q, stretch), x)

    end, norm = climb(lambda p: value(p, one), start)
    own, of_q = tree.split(end)
    stretched = torch.func.grad(lambda stretch: value(end, stretch))(one)
    return Counterexample(
        case, verify(model, own, q(of_q, one), x).gap, 0.5 * float(stretched), norm
    )

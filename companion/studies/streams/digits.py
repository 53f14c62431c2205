"""Superimposed digits, streams that learn them, and the entropies of their switches two ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import rel_entr
from scipy.stats import entropy
from torch import Tensor

from companion import datasets
from companion.fit import maximise
from companion.models import Encoder, MultiStream, Switched
from companion.theory.identity import Verification
from companion.theory.model import Parameters
from companion.theory.objective import Problem
from companion.theory.variational import Amortized, samples

__all__ = ["Superimposed", "Watched", "entropies_of_switches", "superimposed", "watched"]


class Superimposed(NamedTuple):
    """Images ``x`` ``(N, D)``, the digits ``(N, S, D)`` and ``switches`` ``(N, S)`` behind them.

    ``examples`` ``(S, D)`` are means of a few digits of each kind, taken out beforehand.
    """

    x: Tensor
    digits: Tensor
    switches: Tensor
    examples: Tensor


def superimposed(
    kinds: tuple[int, ...], count: int, noise: float, few: int = 10, seed: int = 0
) -> Superimposed:
    """Sums of digits, one of each kind that is on, each with probability ½, in Laplace noise.

    Parameters
    ----------
    kinds
        Which digits, one for each stream; intensities go from 0 to 1.
    count, noise
        How many images, and the scale of their noise.
    few
        How many digits of each kind go into the means, and into no image.
    seed
        Of everything drawn.
    """
    from sklearn.datasets import load_digits

    g, images = np.random.default_rng(seed), datasets.digits().numpy() / 16
    labels = load_digits().target
    of_kind = [g.permutation(images[labels == kind]) for kind in kinds]
    digits = np.stack([g.choice(each[few:], count) for each in of_kind], 1)
    switches = (g.random((count, len(kinds))) < 0.5).astype(np.float64)
    x = (switches[..., None] * digits).sum(1) + g.laplace(0, noise, (count, images.shape[1]))
    examples = np.stack([each[:few].mean(0) for each in of_kind])
    return Superimposed(*map(torch.from_numpy, (x, digits, switches, examples)))


def entropies_of_switches(q: Switched) -> tuple[Tensor, Tensor, Tensor]:
    """E H[q(s | z)], H[E q(s | z)] and I(s; z) under q, by SciPy; ``(N,)`` each, in nats.

    The last is the divergence of the joint distribution of s and the node z from the product of
    both: it knows nothing of the first two, whose difference it is.
    """
    table, weights = q.table.detach().numpy(), q.latents.nodes().weights.detach().numpy()
    joint = weights[..., None] * table
    averaged = joint.sum(1)
    given = (weights * entropy(table, axis=-1)).sum(-1)
    apart = weights[..., None] * averaged[:, None]
    found = given, entropy(averaged, axis=-1), rel_entr(joint, apart).sum((1, 2))
    first, second, third = map(torch.from_numpy, found)
    return first, second, third


class Watched(NamedTuple):
    """What learning ended with, and what was seen on the way, ``(K,)`` each.

    ``excess`` is by how much the entropy of averaged switches exceeds their average entropy.
    """

    parameters: dict[str, Tensor]
    q: Switched
    steps: list[int]
    reports: list[Verification]
    excess: list[float]


def watched(
    model: MultiStream,
    encoder: Encoder,
    start: Parameters,
    x: Tensor,
    steps: int,
    every: int,
    seed: int = 0,
) -> Watched:
    """Adam on batches of 64, one fresh sample each; the identity on all data ``every`` few steps.

    Parameters
    ----------
    model, encoder, start, x
        Streams, an encoder of all their latents, parameters to start from, and images.
    steps, every
        How many steps, and how often they are looked at, with eight samples for each image.
    seed
        Of the encoder, batches and samples.
    """
    g = torch.Generator().manual_seed(seed)
    rule = samples(len(x), 8, encoder.latent, g)
    q = encoder.posterior(encoder.initial_parameters(g), x, rule)
    problem = Problem.of(model, start, q, x)
    seen: list[tuple[int, Verification, float]] = []

    def switched(variables: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Switched]:
        own, at = problem.state(variables)
        assert isinstance(at, Amortized)
        return own, model.with_switches(own, at, x)

    def objective(variables: Mapping[str, Tensor]) -> Tensor:
        rows = torch.randperm(len(x), generator=g)[:64]
        at = q.on(x[rows], samples(len(rows), 1, encoder.latent, g))
        return replace(problem, x=x[rows], q=at).value(variables)

    def log(step: int, variables: Mapping[str, Tensor]) -> bool:
        if step % every == 0 or step == steps:
            given, averaged, _ = entropies_of_switches(switched(variables)[1])
            seen.append((step, problem.verify(variables), float((averaged - given).mean())))
        return False

    end = maximise.adam(objective, problem.start, steps=steps, learning_rate=0.02, log=log)
    numbers, reports, excess = (list(each) for each in zip(*seen, strict=True))
    return Watched(*switched({k: v.clone() for k, v in end.items()}), numbers, reports, excess)

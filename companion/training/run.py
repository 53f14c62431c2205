"""Adam on the parameters of all seeds at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from companion.models.vae.gaussian import GaussianVAE
from companion.models.vae.networks import Encoder
from companion.support.checks import as_data, positive_integer
from companion.theory.model import Parameters
from companion.theory.variational import Nodes, cubature, samples
from companion.training.elbo import batch_elbo
from companion.training.ensemble import Ensemble
from companion.training.feed import Feed
from companion.training.plan import Plan

__all__ = ["train_vae"]


def train_vae(
    model: GaussianVAE,
    encoder: Encoder,
    x: Any,
    seeds: Iterable[int],
    plan: Plan | None = None,
    nodes: int = 20,
) -> Ensemble:
    """Train a VAE from every seed, in one batch of tensors.

    Parameters
    ----------
    model, encoder
        A VAE and the encoder of its q, of the same sizes.
    x
        Data for all seeds, ``(N, D)``, or for each seed its own, ``(S, N, D)``.
    seeds
        S numbers; from each come the initial parameters, the batches and the noise of one run.
    plan
        How to train, by default as :class:`Plan` says.
    nodes
        The logged values integrate over z with so many draws per data point, frozen for each seed;
        for a linear decoder with constant noise by cubature instead, which is exact.

    Raises
    ------
    ValueError
        For data that do not fit the model or the number of seeds, a profiled variance that the
        model does not learn, or training that diverged.

    >>> from companion import datasets, models
    >>> vae, encoder = models.GaussianVAE(10, 2), models.Encoder(10, 2)
    >>> runs = train_vae(vae, encoder, datasets.pca(200), range(3), Plan(steps=50, log_every=50))
    >>> runs.column("elbo").shape, bool((runs.column("relative_residual") < 1e-12).all())
    (torch.Size([3, 2]), True)
    """
    plan = plan or Plan()
    seeds = tuple(seeds)
    _check(model, encoder, seeds, plan)
    positive_integer(nodes, "nodes")
    data = _data(model, x, len(seeds))
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    starts = [
        {f"p.{k}": v for k, v in model.initial_parameters(draws).items()}
        | {f"q.{k}": v for k, v in encoder.initial_parameters(draws).items()}
        for draws in generators
    ]
    exact = not model.hidden and model.noise in ("scalar", "pixel")
    points = data.shape[-2]
    rules = tuple(
        cubature(model.latent) if exact else samples(points, nodes, model.latent, draws)
        for draws in generators
    )
    start = {name: torch.stack([own[name] for own in starts]) for name in starts[0]}
    steps, snapshots = [], []
    for step, values in _adam(model, encoder, start, data, rules, generators, plan):
        bad = [s for s, ok in zip(seeds, _finite(values, len(seeds)), strict=True) if not ok]
        if bad:
            raise ValueError(
                f"training diverged: after step {step} the parameters of seed {bad[0]} are not "
                f"finite; choose a learning_rate below {plan.learning_rate}"
            )
        steps.append(step)
        snapshots.append(values)
    runs = Ensemble(model, encoder, seeds, tuple(steps), tuple(snapshots), data, rules)
    return runs.profiled(plan.profile) if plan.profile else runs


def _adam(
    model: GaussianVAE,
    encoder: Encoder,
    start: Mapping[str, Tensor],
    data: Tensor,
    rules: tuple[Nodes, ...],
    generators: list[torch.Generator],
    plan: Plan,
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Steps and parameters at each log, float64 on the CPU."""
    where = {"device": plan.place, "dtype": getattr(torch, plan.precision)}
    variables = {k: v.to(**where).requires_grad_() for k, v in start.items()}
    optimizer = torch.optim.Adam(
        list(variables.values()), lr=plan.learning_rate, maximize=True, fused=True
    )
    feed = Feed(data.to(**where), rules, generators, plan, model.latent)

    def objective(values: Parameters, x: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        own = {k.removeprefix("p."): v for k, v in values.items() if k.startswith("p.")}
        phi = {k.removeprefix("q."): v for k, v in values.items() if k.startswith("q.")}
        q = encoder.posterior(phi, x, Nodes(points, weights))
        return batch_elbo(model, own, q, x, weight, plan.profile)

    def snapshot() -> dict[str, Tensor]:
        return {k: v.detach().to("cpu", torch.float64, copy=True) for k, v in variables.items()}

    yield 0, snapshot()
    for step in range(1, plan.steps + 1):
        weight = min(1.0, step / plan.warmup) if plan.warmup else 1.0
        if plan.decay:
            rate = plan.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - 1) / plan.steps))
            optimizer.param_groups[0]["lr"] = rate
        x, points, weights = feed.next()
        optimizer.zero_grad()
        if len(generators) == 1:
            one = {name: value[0] for name, value in variables.items()}
            value = objective(one, x[0], points[0], weights)
        else:
            value = torch.vmap(objective, in_dims=(0, 0, 0, None))(variables, x, points, weights)
        value.sum().backward()
        optimizer.step()
        if step % plan.log_every == 0 or step == plan.steps:
            yield step, snapshot()


def _finite(values: Mapping[str, Tensor], count: int) -> list[bool]:
    good = [torch.isfinite(value).reshape(count, -1).all(1) for value in values.values()]
    return [bool(one) for one in torch.stack(good).all(0)]


def _check(model: GaussianVAE, encoder: Encoder, seeds: tuple[int, ...], plan: Plan) -> None:
    if not isinstance(model, GaussianVAE) or not isinstance(encoder, Encoder):
        raise ValueError(
            "model must be a models.GaussianVAE and encoder a models.Encoder: "
            f"got {type(model).__name__} and {type(encoder).__name__}"
        )
    if (encoder.observed, encoder.latent) != (model.observed, model.latent):
        raise ValueError(
            f"encoder must have the model's sizes, observed={model.observed} and "
            f"latent={model.latent}: got {encoder.observed} and {encoder.latent}"
        )
    if model.noise == "fixed":
        raise ValueError('noise must be learned to be trained here: got "fixed"; use fit.adam')
    if not seeds:
        raise ValueError("seeds must name at least one seed: got none")
    plan.check_profile(model.noise, model.learnable_prior)


def _data(model: GaussianVAE, x: Any, count: int) -> Tensor:
    """Checked data, ``(N, D)`` or ``(S, N, D)``."""
    shape = tuple(getattr(x, "shape", ()))
    if len(shape) != 3:
        return as_data(x, columns=model.observed)
    if shape[0] != count:
        raise ValueError(
            f"x must hold one data set for each of the {count} seeds: got shape {shape}"
        )
    return torch.stack([as_data(one, columns=model.observed) for one in x])

"""Adam on the parameters of all seeds at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

import torch
from torch import Tensor

from companion.fit import maximise
from companion.models.vae.gaussian import GaussianVAE
from companion.models.vae.networks import Encoder
from companion.support.checks import as_data, as_numbers, integer, positive_integer
from companion.support.doors import door
from companion.theory.model import Parameters
from companion.theory.variational import Nodes, cubature, samples
from companion.training.elbo import expected_batch_elbo
from companion.training.ensemble import Ensemble
from companion.training.feed import Feed
from companion.training.plan import Plan
from companion.training.recorded import recorded_adam

__all__ = ["train_vae"]

#: Of all seeds together: enough for each of the processors of a GPU to have several.
PIECES = 500


@door
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
    seeds = tuple(integer(seed, "each of seeds") for seed in seeds)
    _check(model, encoder, seeds, plan)
    positive_integer(nodes, "nodes")
    data = _data(model, x, len(seeds))
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    starts = [
        {f"p.{k}": v for k, v in model.initial_parameters(draws).items()}
        | {f"q.{k}": v for k, v in encoder.initial_parameters(draws).items()}
        for draws in generators
    ]
    exact = not model.hidden and model.noise_type in ("scalar", "pixel")
    points = data.shape[-2]
    rules = tuple(
        cubature(model.latent) if exact else samples(points, nodes, model.latent, draws)
        for draws in generators
    )
    start = {name: torch.stack([own[name] for own in starts]) for name in starts[0]}
    where = {"device": plan.place, "dtype": getattr(torch, plan.precision)}
    feed = Feed(data.to(**where), rules, generators, plan, model.latent)
    logged: dict[int, dict[str, Tensor]] = {}

    def log(step: int, values: Mapping[str, Tensor]) -> bool:
        if step % plan.log_every == 0 or step == plan.steps:
            logged[step] = {k: v.to("cpu", torch.float64, copy=True) for k, v in values.items()}
            for run, seed in enumerate(seeds):
                if not all(bool(v[run].isfinite().all()) for v in logged[step].values()):
                    raise ValueError(
                        f"training diverged: after step {step} the parameters of seed {seed} are "
                        f"not finite; choose a learning_rate below {plan.learning_rate}"
                    )
        return False

    objective = _objective(model, encoder, plan, len(seeds), feed.size)
    variables = {name: value.to(**where) for name, value in start.items()}
    if plan.place.type == "cuda" and not plan.warmup:
        recorded_adam(objective, feed, variables, plan, log)
    else:
        maximise.adam(
            lambda values: objective(values, *feed.next()),
            variables,
            steps=plan.steps,
            learning_rate=plan.learning_rate,
            decay=plan.decay,
            log=log,
        )
    runs = Ensemble(model, encoder, seeds, tuple(logged), tuple(logged.values()), data, rules)
    return runs.profiled(plan.profile) if plan.profile else runs


def _objective(
    model: GaussianVAE, encoder: Encoder, plan: Plan, seeds: int, size: int
) -> Callable[[Parameters, Tensor, Tensor, Tensor], Tensor]:
    """The sum of all seeds' ELBOs on what ``Feed.next`` gives; the n-th call is that of step n."""
    number, pieces = count(1), _pieces(seeds, size, plan)

    def objective(variables: Parameters, x: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        weight = min(1.0, next(number) / plan.warmup) if plan.warmup else 1.0

        def of_one(values: Parameters, x: Tensor, points: Tensor, weights: Tensor) -> Tensor:
            own = {k.removeprefix("p."): v for k, v in values.items() if k.startswith("p.")}
            phi = {k.removeprefix("q."): v for k, v in values.items() if k.startswith("q.")}
            q = encoder.posterior(phi, x, Nodes(points, weights))
            return expected_batch_elbo(model, own, q, x, weight, plan.profile)

        if seeds * pieces == 1:
            one = {name: value[0] for name, value in variables.items()}
            return of_one(one, x[0], points[0], weights)
        every = torch.vmap(of_one, in_dims=(0, 0, 0, None))
        if pieces == 1:
            return every(variables, x, points, weights).sum()
        parts = {
            name: value[:, None].expand(-1, pieces, *value.shape[1:]).flatten(0, 1)
            for name, value in variables.items()
        }
        x, points = (v.unflatten(1, (pieces, -1)).flatten(0, 1) for v in (x, points))
        return every(parts, x, points, weights).sum() / pieces

    return objective


def _pieces(seeds: int, points: int, plan: Plan) -> int:
    """Into how many pieces a seed's batch is cut on a GPU, whose ELBOs are averaged.

    A gradient is a sum over all points and draws: one long sum for each seed leaves most of a GPU
    idle. A profiled variance needs the whole batch.
    """
    if plan.place.type == "cpu" or plan.samples is None or plan.profile:
        return 1
    most = max(1, PIECES // seeds)
    return max(n for n in range(1, points + 1) if points % n == 0 and n <= most)


def _check(model: GaussianVAE, encoder: Encoder, seeds: tuple[int, ...], plan: Plan) -> None:
    if (encoder.observed, encoder.latent) != (model.observed, model.latent):
        raise ValueError(
            f"encoder must have the model's sizes, observed={model.observed} and "
            f"latent={model.latent}: got {encoder.observed} and {encoder.latent}"
        )
    if model.noise_type == "fixed":
        raise ValueError('noise must be learned to be trained here: got "fixed"; use fit.adam')
    if not seeds:
        raise ValueError("seeds must name at least one seed: got none")
    plan.check_profile(model.noise_type, model.learnable_prior)


def _data(model: GaussianVAE, x: Any, count: int) -> Tensor:
    """Checked data, ``(N, D)`` or ``(S, N, D)``."""
    shape = tuple(as_numbers(x, "x", finite=False).shape)
    if len(shape) != 3:
        return as_data(x, columns=model.observed)
    if shape[0] != count:
        raise ValueError(
            f"x must hold one data set for each of the {count} seeds: got shape {shape}"
        )
    return torch.stack([as_data(one, columns=model.observed) for one in x])

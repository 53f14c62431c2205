"""Adam on the parameters of many seeds at once."""

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
#: Numbers in the widest layer of the seeds that are trained together on a CPU: a few MB.
CACHE = 2**18


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
    on_cpu = plan.place.type == "cpu"
    many = _together(model, encoder, data.shape[-2], nodes, plan) if on_cpu else len(seeds)
    groups = [slice(at, at + many) for at in range(0, len(seeds), many)]
    trained = [
        _train(model, encoder, data if data.dim() == 2 else data[at], seeds[at], plan, nodes)
        for at in groups
    ]
    logged, _ = trained[0]
    if len(trained) > 1:
        logged = {
            step: {name: torch.cat([own[step][name] for own, _ in trained]) for name in values}
            for step, values in logged.items()
        }
    rules = tuple(rule for _, own in trained for rule in own)
    runs = Ensemble(model, encoder, seeds, tuple(logged), tuple(logged.values()), data, rules)
    return runs.profiled(plan.profile) if plan.profile else runs


def _train(
    model: GaussianVAE,
    encoder: Encoder,
    data: Tensor,
    seeds: tuple[int, ...],
    plan: Plan,
    nodes: int,
) -> tuple[dict[int, dict[str, Tensor]], tuple[Nodes, ...]]:
    """Parameters at every logged step, each ``(S, ...)``, and the nodes of every seed."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    starts = [
        {f"p.{k}": v for k, v in model.initial_parameters(draws).items()}
        | {f"q.{k}": v for k, v in encoder.initial_parameters(draws).items()}
        for draws in generators
    ]
    points = data.shape[-2]
    rules = tuple(
        cubature(model.latent) if _exact(model) else samples(points, nodes, model.latent, draws)
        for draws in generators
    )
    start = {name: torch.stack([own[name] for own in starts]) for name in starts[0]}
    where = {"device": plan.place, "dtype": getattr(torch, plan.precision)}
    feed = Feed(data.to(**where), rules, generators, plan, model.latent)
    logged: dict[int, dict[str, Tensor]] = {}

    def log(step: int, values: Mapping[str, Tensor]) -> bool:
        if step % plan.log_every == 0 or step == plan.steps:
            logged[step] = {k: v.to("cpu", torch.float64, copy=True) for k, v in values.items()}
            sound = [v.reshape(len(v), -1).isfinite().all(1) for v in logged[step].values()]
            for seed, finite in zip(seeds, torch.stack(sound).all(0), strict=True):
                if not finite:
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
    return logged, rules


def _exact(model: GaussianVAE) -> bool:
    """Whether cubature is exact."""
    return not model.hidden and model.noise_type in ("scalar", "pixel")


def _objective(
    model: GaussianVAE, encoder: Encoder, plan: Plan, seeds: int, size: int
) -> Callable[[Parameters, Tensor, Tensor, Tensor], Tensor]:
    """The sum of all seeds' ELBOs on what ``Feed.next`` gives; the n-th call is that of step n."""
    number, pieces = count(1), _pieces(seeds, size, plan)

    def objective(variables: Parameters, x: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        weight = min(1.0, next(number) / plan.warmup) if plan.warmup else 1.0
        if seeds * pieces == 1:
            variables = {name: value.squeeze(0) for name, value in variables.items()}
            x, points = x[0], points[0]
        elif pieces > 1:
            variables = {
                name: value[:, None].expand(-1, pieces, *value.shape[1:]).flatten(0, 1)
                for name, value in variables.items()
            }
            x, points = (v.unflatten(1, (pieces, -1)).flatten(0, 1) for v in (x, points))
        own = {k.removeprefix("p."): v for k, v in variables.items() if k.startswith("p.")}
        phi = {k.removeprefix("q."): v for k, v in variables.items() if k.startswith("q.")}
        latents = *encoder(phi, x), points, weights
        every = expected_batch_elbo(model, own, latents, x, weight, plan.profile)
        return every.sum() / pieces

    return objective


def _together(model: GaussianVAE, encoder: Encoder, points: int, nodes: int, plan: Plan) -> int:
    """How many seeds are trained at once on a CPU: those whose layers its cache holds."""
    draws = plan.samples or (2 * model.latent if _exact(model) else nodes)
    widest = max(model.observed, model.latent, *model.hidden, *encoder.hidden)
    return max(1, CACHE // (min(plan.batch_size or points, points) * draws * widest))


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

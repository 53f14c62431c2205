"""Training steps of a VAE, one seed and many, against PyTorch by hand, torch.compile and JAX."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import Check, Measured, Pair, Row, Setting, Target, alternate
from companion.models import Encoder, GaussianVAE
from companion.theory.variational import Nodes
from companion.training import Plan, train_vae
from companion.training.elbo import batch_elbo

Variables = dict[str, Tensor]
RATE = 1e-3


def networks(
    data: int, latent: int, hidden: tuple[int, ...]
) -> tuple[GaussianVAE, Encoder, Callable[[int], Variables]]:
    """Model and encoder, and the initial parameters of a seed in single precision."""
    model = GaussianVAE(data, latent, hidden, activation="relu")
    encoder = Encoder(data, latent, hidden, "relu")

    def initial(seed: int) -> Variables:
        draws = torch.Generator().manual_seed(seed)
        p, q = model.initial_parameters(draws), encoder.initial_parameters(draws)
        both = {f"p.{k}": v for k, v in p.items()} | {f"q.{k}": v for k, v in q.items()}
        return {k: v.float() for k, v in both.items()}

    return model, encoder, initial


def loss(v: Any, x: Any, noise: Any, hidden: int, np: Any = torch) -> Any:
    """−ELBO of a batch with one sample of z, but for a constant, as one would write it by hand.

    Of PyTorch or, with ``np=jax.numpy``, of JAX.
    """

    def network(prefix: str, inputs: Any) -> Any:
        for i in range(hidden):
            name = f"{prefix}hidden{i}"
            a = inputs @ v[f"{name}.weights"].T + v[f"{name}.bias"]
            inputs = torch.relu(a) if np is torch else np.maximum(a, 0)
        return inputs

    h = network("q.", x)
    mean = h @ v["q.mean.weights"].T + v["q.mean.bias"]
    log_std = h @ v["q.log_std.weights"].T + v["q.log_std.bias"]
    std = np.exp(log_std)
    out = network("p.", mean + std * noise) @ v["p.mean.weights"].T + v["p.mean.bias"]
    a = v["p.log_variance"]
    error = ((x - out) ** 2).sum(1).mean() * np.exp(-a)
    kl = 0.5 * (mean**2 + std**2 - 1).sum(1).mean() - log_std.sum(1).mean()
    return 0.5 * (x.shape[1] * a + error) + kl


def stacked_loss(v: Variables, x: Tensor, noise: Tensor, hidden: int) -> Tensor:
    """The sum of :func:`loss` over seeds, ``(S, ...)`` each, one ``baddbmm`` for each layer."""

    def layer(name: str, inputs: Tensor) -> Tensor:
        return torch.baddbmm(v[f"{name}.bias"][:, None], inputs, v[f"{name}.weights"].mT)

    def network(prefix: str, inputs: Tensor) -> Tensor:
        for i in range(hidden):
            inputs = torch.relu(layer(f"{prefix}hidden{i}", inputs))
        return inputs

    h = network("q.", x)
    mean, log_std = layer("q.mean", h), layer("q.log_std", h)
    std = log_std.exp()
    out = layer("p.mean", network("p.", mean + std * noise))
    a = v["p.log_variance"]
    error = ((x - out) ** 2).sum(2).mean(1) * (-a).exp()
    kl = 0.5 * (mean**2 + std**2 - 1).sum(2).mean(1) - log_std.sum(2).mean(1)
    return (0.5 * (x.shape[2] * a + error) + kl).sum()


def batches(x: Tensor, size: int, steps: int, draws: torch.Generator) -> Any:
    """Batches of a new order in every pass."""
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(order) < size:
            order = torch.randperm(len(x), generator=draws)
        yield x[order[:size]] if size < len(x) else x
        order = order[size:]


def looped(
    x: Tensor, initial: Any, seeds: int, size: int, steps: int, function: Any, latent: int
) -> None:
    """One seed after another: Adam on leaves, a backward pass in each step."""
    for seed in range(seeds):
        draws = torch.Generator().manual_seed(seed)
        v = {k: value.clone().requires_grad_() for k, value in initial(seed).items()}
        optimizer = torch.optim.Adam(v.values(), lr=RATE)
        for batch in batches(x, size, steps, draws):
            optimizer.zero_grad()
            function(v, batch, torch.randn(len(batch), latent, generator=draws)).backward()
            optimizer.step()


def stacked(
    x: Tensor, initial: Any, seeds: int, size: int, steps: int, hidden: int, latent: int
) -> None:
    """All seeds in one tensor, written by hand."""
    draws = torch.Generator().manual_seed(0)
    starts = [initial(seed) for seed in range(seeds)]
    v = {k: torch.stack([s[k] for s in starts]).requires_grad_() for k in starts[0]}
    optimizer = torch.optim.Adam(v.values(), lr=RATE)
    for _ in range(steps):
        index = torch.randint(len(x), (seeds, size), generator=draws)
        optimizer.zero_grad()
        noise = torch.randn(seeds, size, latent, generator=draws)
        stacked_loss(v, x[index], noise, hidden).backward()
        optimizer.step()


def in_jax(
    x: Tensor, initial: Any, seeds: int, size: int, steps: int, hidden: int, latent: int
) -> tuple[Callable[[], None], Callable[[Variables, Tensor, Tensor], float]]:
    """The same training, jitted and mapped over seeds; and the loss alone, for the check."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    import jax
    import optax
    from jax import numpy as jnp

    data = jnp.asarray(x.numpy())
    one = partial(loss, hidden=hidden, np=jnp)
    adam = optax.adam(RATE)

    def step(v: Any, state: Any, key: Any) -> Any:
        first, second = jax.random.split(key)
        rows = jax.random.randint(first, (size,), 0, len(data))
        noise = jax.random.normal(second, (size, latent))
        slope = jax.grad(one)(v, data[rows], noise)
        change, state = adam.update(slope, state)
        return optax.apply_updates(v, change), state

    every = jax.jit(jax.vmap(step) if seeds > 1 else step)
    starts = [initial(seed) for seed in range(seeds)]
    start = {k: jnp.asarray(torch.stack([s[k] for s in starts]).numpy()) for k in starts[0]}
    start = start if seeds > 1 else {k: value[0] for k, value in start.items()}
    begin = jax.vmap(adam.init)(start) if seeds > 1 else adam.init(start)

    def train() -> None:
        v, state, key = start, begin, jax.random.PRNGKey(0)
        for _ in range(steps):
            key, now = jax.random.split(key)
            v, state = every(v, state, jax.random.split(now, seeds) if seeds > 1 else now)
        jax.block_until_ready(v)

    def value(v: Variables, x: Tensor, noise: Tensor) -> float:
        given = {k: jnp.asarray(part.numpy()) for k, part in v.items()}
        return float(one(given, jnp.asarray(x.numpy()), jnp.asarray(noise.numpy())))

    return train, value


def step_of(
    sizes: tuple[int, int, tuple[int, ...], int, int],
    quick: tuple[int, int, tuple[int, ...], int, int],
    seeds: int,
    steps: int,
    peers: tuple[str, ...],
    setting: Setting,
) -> Measured:
    """Training of D, H, hidden layers, points, batch: ours, and each of the peers, in turn."""
    data, latent, hidden, points, size = setting.pick(sizes, quick)
    steps, seeds = setting.pick(steps, 3), setting.pick(seeds, min(seeds, 3))
    x = torch.rand(points, data, generator=torch.Generator().manual_seed(0))
    model, encoder, initial = networks(data, latent, hidden)
    plan = Plan(steps, RATE, False, size, 1, device="cpu", precision="float32", log_every=steps)
    double = x.double()

    def ours() -> None:
        train_vae(model, encoder, double, range(seeds), plan, nodes=1)

    # The same bound: at the first seed's start, on the first batch and the same noise.
    start, batch = initial(0), x[:size]
    noise = torch.randn(size, latent, generator=torch.Generator().manual_seed(1))
    own = {k[2:]: v.double() for k, v in start.items() if k.startswith("p.")}
    phi = {k[2:]: v.double() for k, v in start.items() if k.startswith("q.")}
    one = torch.ones(1, dtype=torch.float64)
    q = encoder.posterior(phi, batch.double(), Nodes(noise[:, None].double(), one))
    mine = float(batch_elbo(model, own, q, batch.double()))
    mine += 0.5 * data * float(torch.log(torch.tensor(2 * torch.pi)))
    plain = partial(loss, hidden=len(hidden))
    checks, quantities, times = [], {}, {}
    for peer in peers:
        if peer == "JAX":
            train, value = in_jax(x, initial, seeds, size, steps, len(hidden), latent)
            theirs = value(start, batch, noise)
        elif peer == "stacked":
            train = partial(stacked, x, initial, seeds, size, steps, len(hidden), latent)
            given = {k: v[None] for k, v in start.items()}
            theirs = float(stacked_loss(given, batch[None], noise[None], len(hidden)))
        else:
            function: Any = torch.compile(plain) if peer == "compiled" else plain
            train = partial(looped, x, initial, seeds, size, steps, function, latent)
            theirs = float(function(start, batch, noise))
        pair = alternate(ours, train, setting.repeats)
        quantities[peer] = pair.ratio
        per = Pair([t / steps for t in pair.ours], [t / steps for t in pair.peer]).times
        times |= {"ours": per["ours"], peer: per["peer"]}
        checks.append(Check(f"ELBO of the first batch, {peer}", mine, -theirs, 1e-4))
    words = {"D": data, "H": latent, "hidden": ", ".join(map(str, hidden)), "N": points}
    words |= {"batch": size, "seeds": seeds, "steps in one timing": steps}
    return Measured(quantities, checks, words, times, "float32", setting.repeats)


WORK = (
    "The same networks of ReLU units, one noise variance, one sample of z for each point, Adam, "
    "single precision; every side draws its own batches and noise. The bound of the first batch "
    "must agree. Times are those of one step, of all seeds; compilation is not counted."
)
NAMES = {"plain": "times as fast as PyTorch by hand", "compiled": "times as fast as torch.compile"}
NAMES |= {"JAX": "times as fast as JAX", "stacked": "times as fast as one baddbmm for each layer"}
RING, NETWORK, PIXELS = (
    (10, 2, (16,), 250, 50),
    (10, 2, (50, 50), 10_000, 2000),
    (784, 16, (512,), 2000, 500),
)
SMALL, LARGE = (
    "VAE step, layers of 50 and 50, batch 2000",
    "VAE step, 784 pixels and 512 units, batch 500",
)
BY_HAND, TOGETHER = {"plain": 0.95, "compiled": 0.9}, {"stacked": 1 / 1.1, "JAX": 0.9}
WHICH: tuple[tuple[str, str, str, Any, int, int, dict[str, float]], ...] = (
    ("vae-step-50", SMALL, "PyTorch by hand", NETWORK, 1, 40, BY_HAND),
    ("vae-step-50-jax", SMALL, "JAX", NETWORK, 1, 40, {"JAX": 1.0}),
    ("vae-step-512", LARGE, "PyTorch by hand", PIXELS, 1, 8, BY_HAND),
    ("vae-step-512-jax", LARGE, "JAX", PIXELS, 1, 8, {"JAX": 1.0}),
    *(
        (
            f"seeds-{count}{end}",
            f"A small VAE, {count} seed{'s' * (count > 1)}",
            peer,
            RING,
            count,
            steps,
            goals,
        )
        for count, steps, aim in ((1, 200, 1.0), (10, 60, 1.0), (100, 20, 30.0))
        for end, peer, goals in (
            ("", "PyTorch by hand, one seed after another", {"plain": aim}),
            ("-stacked", "seeds stacked by hand, and JAX", TOGETHER),
        )
    ),
    (
        "seeds-100-batch-2000",
        "100 seeds with a batch of 2000",
        "PyTorch by hand",
        NETWORK,
        100,
        1,
        {"plain": 1.0},
    ),
)
LIMITS = "The element-wise work of the layers, and calling small operations from Python."
ROWS = tuple(
    Row(
        name=name,
        title=title,
        peer=peer,
        work=WORK,
        targets=tuple(Target(p, NAMES[p], at_least=goal) for p, goal in goals.items()),
        limits=LIMITS,
        measure=partial(step_of, sizes, (4, 2, (5,), 40, 10), seeds, steps, tuple(goals)),
        needs=("jax", "optax") if "JAX" in goals else (),
        packages=("torch", "numpy", "jax"),
    )
    for name, title, peer, sizes, seeds, steps, goals in WHICH
)

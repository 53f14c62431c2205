"""EM of full Gaussian mixtures against NumPy and JAX by hand, and scikit-learn on a grid."""

from __future__ import annotations

import os
import warnings
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.em import em_steps
from benchmarks.harness import Check, Measured, Pair, Row, Setting, Target, alternate
from companion.models import GaussianMixture

FLOOR = 1e-6


def problem(points: int, dimensions: int, components: int) -> tuple[GaussianMixture, Any, Tensor]:
    """Model, start with means at data points, and data of overlapping components."""
    draws = np.random.default_rng(0)
    means = 1.5 * draws.standard_normal((components, dimensions))
    noise = draws.standard_normal((points, dimensions)) * draws.uniform(0.5, 2, dimensions)
    x = torch.from_numpy(means[draws.integers(components, size=points)] + noise)
    model = GaussianMixture(dimensions, components)
    weights = torch.full((components,), 1 / components, dtype=torch.float64)
    at = torch.randperm(points, generator=torch.Generator().manual_seed(0))[:components]
    covariances = torch.eye(dimensions, dtype=torch.float64).expand(components, -1, -1).clone()
    return model, model.from_covariances(weights, x[at], covariances), x


def by_hand(x: Any, start: tuple[Any, Any, Any], steps: int, np: Any = np) -> tuple[Any, Any]:
    """EM with a Cholesky whitening for each component; of NumPy, or of JAX with ``np=jax.numpy``.

    Gives the last step's log-likelihood per point, and the parameters.
    """
    weights, means, covariances = start
    value = 0.0
    for _ in range(steps):
        logs, count = [], x.shape[1]
        for c in range(len(weights)):
            L = np.linalg.cholesky(covariances[c])
            whitening = np.linalg.inv(L).T
            y = x @ whitening - means[c] @ whitening
            half = np.log(np.diagonal(L)).sum() + 0.5 * count * np.log(2 * np.pi)
            logs.append(np.log(weights[c]) - half - 0.5 * (y * y).sum(1))
        joint = np.stack(logs, 1)
        top = joint.max(1, keepdims=True)
        shares = np.exp(joint - top)
        total = shares.sum(1, keepdims=True)
        value = (top + np.log(total)).mean()
        shares = shares / total
        sizes = shares.sum(0)
        weights, means = sizes / len(x), (shares.T @ x) / sizes[:, None]
        made = []
        for c in range(len(weights)):
            e = x - means[c]
            made.append((shares[:, c] * e.T) @ e / sizes[c] + FLOOR * np.eye(count))
        covariances = np.stack(made)
    return value, (weights, means, covariances)


def against_hand(setting: Setting) -> Measured:
    """Against NumPy and JAX."""
    points, dimensions, components = setting.pick((100_000, 16, 10), (400, 3, 2))
    steps = setting.pick(3, 2)
    model, parameters, x = problem(points, dimensions, components)
    arrays = (
        torch.softmax(parameters["prior_logits"], 0).numpy(),
        parameters["means"].numpy(),
        model.covariance_matrices(parameters).numpy(),
    )
    ours = partial(em_steps, model, parameters, x, steps=steps, floor=FLOOR)
    pairs = {"NumPy": alternate(ours, lambda: by_hand(x.numpy(), arrays, steps), setting.repeats)}
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    try:
        import jax
        from jax import numpy as jnp
    except ImportError:
        pass
    else:
        jax.config.update("jax_enable_x64", True)
        data, given = jnp.asarray(x.numpy()), tuple(map(jnp.asarray, arrays))
        run = jax.jit(partial(by_hand, steps=steps, np=jnp))
        peer = lambda: jax.block_until_ready(run(data, given))  # noqa: E731
        pairs["JAX"] = alternate(ours, peer, setting.repeats)
    value = float(ours().log_likelihoods[-1])
    times = {}
    for name, pair in pairs.items():
        per = Pair([t / steps for t in pair.ours], [t / steps for t in pair.peer]).times
        times |= {"ours, one iteration": per["ours"], f"{name}, one iteration": per["peer"]}
    return Measured(
        {name: pair.ratio for name, pair in pairs.items()},
        [
            Check(f"log-likelihood in the last iteration, {n}", value, float(p.results[1][0]), 1e-9)
            for n, p in pairs.items()
        ],
        {"N": points, "D": dimensions, "C": components, "iterations": steps},
        times,
        "float64",
        setting.repeats,
    )


def against_scikit_learn(size: tuple[int, int, int], steps: int, setting: Setting) -> Measured:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture as Mixture

    points, dimensions, components = setting.pick(size, (300, 3, 2))
    model, parameters, x = problem(points, dimensions, components)
    data = x.numpy()

    def theirs() -> Any:
        weights = torch.softmax(parameters["prior_logits"], 0).numpy()
        mixture = Mixture(
            components,
            tol=0.0,
            reg_covar=FLOOR,
            max_iter=steps,
            weights_init=weights / weights.sum(),
            means_init=parameters["means"].numpy(),
            precisions_init=np.linalg.inv(model.covariance_matrices(parameters).numpy()),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return mixture.fit(data)

    ours = partial(em_steps, model, parameters, x, steps=steps, floor=FLOOR)
    pair = alternate(ours, theirs, setting.repeats)
    run, mixture = pair.results
    mine = float(model.log_likelihood(run.parameters, x))
    return Measured(
        {"ratio": pair.ratio},
        [Check("log-likelihood", mine, float(mixture.score(data)), 1e-9)],
        {"N": points, "D": dimensions, "C": components, "iterations": steps},
        pair.times,
        "float64",
        setting.repeats,
    )


SIZES: tuple[tuple[tuple[int, int, int], int], ...] = (
    ((1_000, 2, 2), 20),
    ((1_000, 16, 10), 20),
    ((10_000, 2, 10), 5),
    ((10_000, 64, 2), 5),
    ((10_000, 64, 10), 2),
    ((10_000, 128, 2), 3),
    ((10_000, 128, 50), 1),
    ((100_000, 2, 2), 3),
)
LIMITS = (
    "At few points the overhead of PyTorch's calls, some fifty of them in a step. Where there are "
    "few components for the columns, or few points for each, the data are whitened for each "
    "component, as the peer does."
)
ROWS = (
    Row(
        name="mixture-by-hand",
        title="Gaussian mixture EM, full covariances, against NumPy and JAX by hand",
        peer="NumPy and JAX, a Cholesky whitening for each component",
        work="The same EM iterations from the same start, to the same log-likelihood.",
        targets=(
            Target("NumPy", "times as fast as NumPy", at_least=2.5),
            Target("JAX", "times as fast as JAX", at_least=5),
        ),
        limits="Two matrix products with the quadratic features of each point.",
        measure=against_hand,
        needs=("jax",),
        packages=("torch", "numpy", "jax"),
    ),
    *(
        Row(
            name=f"mixture-grid-{n}-{d}-{c}",
            title=f"Gaussian mixture EM, N = {n}, D = {d}, C = {c}",
            peer="scikit-learn, GaussianMixture",
            work="The same EM iterations from the same start, to the same log-likelihood.",
            targets=(Target("ratio", "times as fast", at_least=1.0),),
            limits=LIMITS,
            measure=partial(against_scikit_learn, (n, d, c), steps),
            packages=("torch", "numpy", "scikit-learn"),
        )
        for (n, d, c), steps in SIZES
    ),
)

"""Measure how time and memory grow with the problem: `python -m benchmarks.growth [--quick]`."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.harness import HOME
from workflow.project import dump, write

__all__ = ["CURVES", "GROWTH", "exponent", "main"]

GROWTH = HOME / "benchmarks" / "growth.json"
RING = HOME / "companion" / "studies" / "full_size" / "ring.json"
#: Of one timing of training.
STEPS = 10
Sides = dict[str, Callable[[], Any]]


def mixture_em(points: int = 10_000, dimensions: int = 8, components: int = 5) -> Sides:
    """One step of EM of a full Gaussian mixture."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture as Theirs

    from benchmarks.em import em_steps
    from benchmarks.rows.mixture_grid import problem

    model, start, x = problem(points, dimensions, components)
    covariances = model.component_covariance(start)
    given = {"precisions_init": covariances.inverse().numpy(), "means_init": start["means"].numpy()}
    weights = start["prior_logits"].softmax(0).numpy()
    theirs = Theirs(components, max_iter=1, weights_init=weights, reg_covar=0, **given)
    data = x.numpy()

    def peer() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return theirs.fit(data)

    return {"ours": partial(em_steps, model, start, x, steps=1), "scikit-learn": peer}


def verify_mixture(points: int = 10_000, dimensions: int = 8, components: int = 5) -> Sides:
    """Verifying the identity for a full Gaussian mixture."""
    from benchmarks.rows.mixture_grid import problem
    from companion import verify

    model, start, x = problem(points, dimensions, components)
    return {"ours": partial(verify, model, start, None, x)}


def hidden_markov(steps: int = 10_000, states: int = 3) -> Sides:
    """One step of EM of a hidden Markov model with Gaussian components."""
    import torch

    from companion.models import GaussianMixture, HiddenMarkov

    draws = torch.Generator().manual_seed(0)
    x = torch.randn(1, steps, 2, generator=draws, dtype=torch.float64)
    model = HiddenMarkov(GaussianMixture(2, states, "diagonal"))
    return {"ours": partial(model.em_map(x), model.random_start(x, draws))}


def linear_dynamical(steps: int = 10_000, latent: int = 2) -> Sides:
    """One step of EM of a linear dynamical system, on two series."""
    import torch

    from companion.models import LinearDynamical

    draws = torch.Generator().manual_seed(0)
    x = torch.randn(2, steps, 3, generator=draws, dtype=torch.float64)
    model = LinearDynamical(3, latent)
    return {"ours": partial(model.em_map(x), model.initial_parameters(draws))}


def factor_analysis(points: int = 10_000, columns: int = 50) -> Sides:
    """One step of EM of factor analysis with eight factors."""
    import warnings

    from sklearn.decomposition import FactorAnalysis as Theirs
    from sklearn.exceptions import ConvergenceWarning

    from benchmarks.em import em_steps
    from benchmarks.rows.linear_gaussian import begin, draw
    from companion.models import FactorAnalysis

    x, model = draw(points, columns, 8), FactorAnalysis(columns, 8)
    data = x.numpy()

    def peer() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return Theirs(8, max_iter=1).fit(data)

    return {"ours": partial(em_steps, model, begin(model), x, steps=1), "scikit-learn": peer}


def ppca(points: int = 10_000, columns: int = 50) -> Sides:
    """The maximum of probabilistic PCA with eight latents."""
    from sklearn.decomposition import PCA

    from benchmarks.rows.linear_gaussian import draw
    from companion.models import PPCA

    x = draw(points, columns, 8)
    ours = partial(PPCA(columns, 8).maximum_likelihood, x)
    return {"ours": ours, "scikit-learn": partial(PCA(8).fit, x.numpy())}


def belief_net(states: int = 256) -> Sides:
    """Verifying the identity for a sigmoid belief net, every state enumerated."""
    import torch

    from companion import datasets, verify
    from companion.models import SigmoidBeliefNet

    x = datasets.bars(500, size=5)
    model = SigmoidBeliefNet(x.shape[1], states.bit_length() - 1)
    start = model.initial_parameters(torch.Generator().manual_seed(0))
    return {"ours": partial(verify, model, start, None, x)}


def verify_vae(points: int = 10_000, units: int = 50) -> Sides:
    """Verifying the identity for VAE-1 with two layers of units."""
    import torch

    from companion import datasets, verify
    from companion.models import Encoder, GaussianVAE

    draws, hidden = torch.Generator().manual_seed(0), (units, units)
    model, encoder = GaussianVAE(10, 2, hidden), Encoder(10, 2, hidden)
    x, start = datasets.pca_ring(points), model.initial_parameters(draws)
    q = encoder.posterior(encoder.initial_parameters(draws), x)
    return {"ours": partial(verify, model, start, q, x)}


def train_ring(seeds: int = 4, units: int = 50) -> Sides:
    """Ten steps of VAE-3 on the ring, all seeds, as published but with one sample."""
    from companion import datasets
    from companion.models import Encoder, GaussianVAE
    from companion.training import Plan, train_vae

    hidden, x = (units, units), datasets.pca_ring(10_000)
    model = GaussianVAE(10, 2, hidden, "softplus", activation="relu")
    encoder = Encoder(10, 2, hidden, "relu", "softplus")
    size = {"batch_size": 2000, "samples": 1, "precision": "float32", "device": "cpu"}
    plan = Plan(steps=STEPS, decay=False, log_every=STEPS, **size)  # type: ignore[arg-type]
    return {"ours": partial(train_vae, model, encoder, x, range(seeds), plan, nodes=1)}


def on_a_gpu() -> dict[str, Any] | None:
    """What the runs of the same work on a GPU took, as the records of full size say."""
    cases = json.loads(RING.read_text(encoding="utf-8"))["cases"]
    for case, made in ((one, made) for one in cases for made in one["machines"]):
        chosen = {"samples": 1, "learning_rate": 1e-3, "activation": "relu"}
        same = all(case["settings"][name] == value for name, value in chosen.items())
        if same and made["device"] == "cuda" and "seconds" in made:
            step = made["seconds"] * made["together"] / case["settings"]["steps"]
            return {"processor": made["processor"], "seeds": made["together"], "step": step}
    return None


#: Work, what grows, its argument, and the sizes.
CURVES: tuple[tuple[Callable[..., Sides], str, str, tuple[int, ...]], ...] = (
    (mixture_em, "N", "points", (8_000, 32_000, 128_000)),
    (mixture_em, "D", "dimensions", (8, 16, 32, 64)),
    (mixture_em, "C", "components", (8, 16, 32)),
    (verify_mixture, "N", "points", (8_000, 32_000, 128_000)),
    (verify_mixture, "D", "dimensions", (8, 16, 32)),
    (verify_mixture, "C", "components", (8, 16, 32)),
    (hidden_markov, "T", "steps", (8_000, 32_000, 128_000)),
    (hidden_markov, "K", "states", (4, 8, 16)),
    (linear_dynamical, "T", "steps", (8_000, 32_000, 128_000)),
    (linear_dynamical, "H", "latent", (2, 4, 8)),
    (factor_analysis, "N", "points", (10_000, 40_000, 160_000)),
    (factor_analysis, "D", "columns", (64, 128, 256, 512)),
    (ppca, "N", "points", (10_000, 40_000, 160_000)),
    (ppca, "D", "columns", (64, 128, 256, 512)),
    (belief_net, "2ᴴ", "states", (64, 256, 1024, 4096)),
    (verify_vae, "N", "points", (4_000, 16_000, 64_000)),
    (verify_vae, "K", "units", (50, 100, 200)),
    (train_ring, "S", "seeds", (1, 4, 16)),
    (train_ring, "K", "units", (50, 100, 200)),
)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """b of value ∝ size^b: the slope of logarithms over the largest three sizes, by least squares.

    Small problems cost what calls cost, so that they say nothing about growth.

    Raises
    ------
    ValueError
        For fewer than two sizes, or numbers that are not positive.

    >>> round(exponent([1, 10, 20, 40], [9, 100, 400, 1600]), 12)
    2.0
    """
    if len(sizes) != len(values) or len(sizes) < 2 or min(*sizes, *values) <= 0:
        raise ValueError(
            f"sizes and values must be two or more, and positive: got {sizes} and {values}"
        )
    x, y = ([math.log(value) for value in each[-3:]] for each in (sizes, values))
    middle, centre = sum(x) / len(x), sum(y) / len(y)
    rise = sum((a - middle) * (b - centre) for a, b in zip(x, y, strict=True))
    return rise / sum((a - middle) ** 2 for a in x)


def point(work: str, argument: str, size: int) -> dict[str, dict[str, float]]:
    """Seconds of the processor, the best of three calls, and MB added at the peak, of each side."""
    import torch

    from benchmarks.memory import added

    torch.set_num_threads(1)
    found = {}
    for name, side in globals()[work](**{argument: size}).items():
        megabytes, seconds = added(side), []
        for _ in range(3):
            begin = time.process_time()
            side()
            seconds.append(time.process_time() - begin)
        found[name] = {"seconds": min(seconds), "megabytes": megabytes}
    return found


def _measured(work: str, argument: str, size: int) -> dict[str, Any]:
    """:func:`point` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.growth", "--point", work, argument, str(size)]
    environment = os.environ | machine.ONE_THREAD | {"PYTHONPATH": str(HOME)}
    ended = subprocess.run(command, cwd=HOME, env=environment, text=True, capture_output=True)
    if ended.returncode:
        raise RuntimeError(f"{work} at {argument}={size} failed: {ended.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answer


def _curve(sizes: Sequence[int], made: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    seconds, megabytes = ([each[key] for each in made] for key in ("seconds", "megabytes"))
    return {"seconds": seconds, "megabytes": megabytes, "exponent": exponent(sizes, seconds)}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two small sizes of each, for tests")
    parser.add_argument("--output", type=Path, default=GROWTH, help="file of results")
    parser.add_argument("--point", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.point:
        work, argument, size = options.point
        print(json.dumps(point(work, argument, int(size))))
        return 0
    curves: list[Mapping[str, Any]] = []
    others = machine.Others()
    about = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": machine.versions(("torch", "numpy", "scikit-learn")),
        "processor": machine.processor(),
        "gpu": on_a_gpu(),
        "steps": STEPS,
    }
    for work, letter, argument, sizes in CURVES:
        chosen = sizes[:2] if options.quick else sizes
        print(f"{work.__name__} against {letter}", flush=True)
        made = [_measured(work.__name__, argument, size) for size in chosen]
        curves.append(
            {
                "work": (work.__doc__ or "").rstrip("."),
                "letter": letter,
                "sizes": list(chosen),
                "sides": {name: _curve(chosen, [each[name] for each in made]) for name in made[0]},
            }
        )
        missing = [f"{(w.__doc__ or '').rstrip('.')}, against {a}" for w, a, *_ in CURVES]
        about["others"] = round(others.cores(), 2)
        kept = {**about, "curves": curves, "missing": missing[len(curves) :]}
        write(options.output, dump(kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What checking the identity costs: beside one gradient, and inside EM."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.em import em_steps
from benchmarks.harness import Check, Measured, Row, Setting, Target, alternate, command, spread
from benchmarks.rows.mixture_grid import problem
from companion import datasets, elbo, entropy_sum, fit, verify
from companion.models import PPCA, Encoder, GaussianVAE, SigmoidBeliefNet
from companion.theory.variational import samples


def cases(quick: bool) -> dict[str, tuple[Any, dict[str, Tensor], Any, Tensor]]:
    """Model, parameters, q and data of each kind."""
    draws = torch.Generator().manual_seed(0)
    mixture, start, x = problem(300 if quick else 20_000, 4 if quick else 16, 3 if quick else 10)
    plane = datasets.pca(100 if quick else 20_000, latent=2)
    ppca = PPCA(plane.shape[1], 2)
    ring = datasets.pca_ring(50 if quick else 2000)
    vae = GaussianVAE(ring.shape[1], 2, (50, 50), activation="relu")
    encoder = Encoder(ring.shape[1], 2, (50, 50), "relu")
    rule = samples(len(ring), 10, 2, draws)
    q = encoder.posterior(encoder.initial_parameters(draws), ring, rule)
    bars = datasets.bars(20 if quick else 500, size=3 if quick else 5)
    net = SigmoidBeliefNet(bars.shape[1], 4 if quick else 8)
    return {
        "mixture": (mixture, start, None, x),
        "PPCA": (ppca, ppca.initial_parameters(draws), None, plane),
        "VAE": (vae, vae.initial_parameters(draws), q, ring),
        "belief net": (net, net.initial_parameters(draws), None, bars),
    }


def apart(model: Any, parameters: dict[str, Tensor], q: Any, x: Tensor) -> Callable[[], float]:
    """One gradient of the ELBO and the sum of entropies, each by itself; gives their difference."""

    def run() -> float:
        at = {k: v.detach().requires_grad_() for k, v in parameters.items()}
        posterior = model.posterior(parameters, x) if q is None else q
        bound = elbo(model, at, posterior, x)
        torch.autograd.grad(bound, list(at.values()), allow_unused=True)
        return float(bound.detach()) - float(entropy_sum(model, parameters, posterior, x).total)

    return run


def against_gradient(setting: Setting) -> Measured:
    quantities, checks, times = {}, [], {}
    for name, given in cases(setting.quick).items():
        pair = alternate(partial(verify, *given), apart(*given), setting.repeats)
        report, difference = pair.results
        quantities[name] = type(pair.ratio)(
            1 / pair.ratio.median, 1 / pair.ratio.high, 1 / pair.ratio.low, "×"
        )
        checks.append(Check(f"ELBO − entropy sum, {name}", report.gap, difference, 1e-9))
        times |= {f"verify, {name}": pair.times["ours"], f"peer, {name}": pair.times["peer"]}
    return Measured(quantities, checks, {}, times, "float64", setting.repeats)


#: Processor seconds of the import and of two verifications, and what these gave.
FIRST = """
import json, sys, time
clock = time.process_time
start = clock()
import companion
imported, early = clock() - start, "torch" in sys.modules
import torch
from companion import datasets, verify
from companion.models import PPCA
x = datasets.pca(1000, latent=2)
model = PPCA(x.shape[1], 2)
at = model.initial_parameters(torch.Generator().manual_seed(0))
seconds, gaps = [imported], []
for _ in range(2):
    start = clock()
    gaps.append(verify(model, at, None, x).gap)
    seconds.append(clock() - start)
print(json.dumps([seconds, gaps, early]))
"""


def first(setting: Setting) -> Measured:
    """What a new process pays once: importing the package, and the first verification."""
    imports, extra = [], []
    for _ in range(setting.repeats):
        printed = command([sys.executable, "-c", FIRST])[1]
        (imported, one, two), gaps, early = json.loads(printed)
        imports.append(imported)
        extra.append(one - two)
    found = {"import": spread(imports, " s"), "first": spread(extra, " s")}
    return Measured(
        found,
        [
            Check("ELBO − entropy sum, first and second", *gaps, 0.0),
            Check("torch was loaded by the import (0 = no)", float(early), 0.0, 0.0),
        ],
        {"N": 1000},
        {
            "importing the package": spread(imports, "s"),
            "the first verification beyond the second": spread(extra, "s"),
        },
        "float64",
        setting.repeats,
    )


def logged(setting: Setting) -> Measured:
    """EM that verifies the identity in every step, beside its steps alone."""
    size = setting.pick((20_000, 16, 10), (300, 3, 2))
    model, start, x = problem(*size)
    steps = setting.pick(5, 2)
    pair = alternate(
        lambda: fit.em(model, start, x, steps=steps, tolerance=None),
        lambda: em_steps(model, start, x, steps=steps),
        setting.repeats,
    )
    result, run = pair.results
    ratio = type(pair.ratio)(1 / pair.ratio.median, 1 / pair.ratio.high, 1 / pair.ratio.low, "×")
    values = [float(model.log_likelihood(p, x)) for p in (result.parameters, run.parameters)]
    return Measured(
        {"ratio": ratio},
        [Check("log-likelihood", *values, 1e-12)],
        dict(zip("NDC", size, strict=True)) | {"steps": steps},
        pair.times,
        "float64",
        setting.repeats,
    )


ROWS = (
    Row(
        name="verify",
        title="Verifying the identity, beside one gradient and the entropies",
        peer="one gradient of the ELBO and the sum of entropies",
        work="Ours adds the slope along v and the norms; both must give the same gap.",
        targets=tuple(
            Target(name, f"times the work, {words}", at_most=1.15)
            for name, words in (
                ("mixture", "Gaussian mixture"),
                ("PPCA", "probabilistic PCA"),
                ("VAE", "VAE"),
                ("belief net", "sigmoid belief net"),
            )
        ),
        limits=(
            "The checks of every argument, the products with v, and for a VAE the gradient in all "
            "of q's parameters too, which v rescales and the peer leaves out."
        ),
        measure=against_gradient,
    ),
    Row(
        name="first-verify",
        title="What a new process pays once",
        peer="none; times are absolute",
        work=(
            "Processor time of `import companion`, which loads nothing else until something is "
            "used, and of the first `verify` beyond that of the second, torch being loaded."
        ),
        targets=(
            Target("import", "seconds, import", at_most=0.1),
            Target("first", "seconds, first verification beyond the second", at_most=0.2),
        ),
        limits="Loading the models and their families, and what torch prepares for its first call.",
        measure=first,
    ),
    Row(
        name="em-logged",
        title="EM that verifies every step, beside its steps alone",
        peer="the same steps without a verification",
        work="The same steps from the same start; ours verifies the identity after each.",
        targets=(Target("ratio", "times the work", at_most=3.0),),
        limits=(
            "The entropy of the responsibilities, the gradient through the moments, and the "
            "posterior at the end, a table over all data."
        ),
        measure=logged,
    ),
)

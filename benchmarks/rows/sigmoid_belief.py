"""Sigmoid belief networks with every latent state enumerated, against Pyro."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.harness import (
    Check,
    Measured,
    Row,
    Setting,
    Target,
    alternate,
    constant,
    peak_memory,
)
from companion import datasets
from companion.models import SigmoidBeliefNet


def sides(quick: bool) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """One value and gradient of the log-likelihood: ours, and Pyro's."""
    import pyro
    import pyro.distributions as dist
    from pyro.infer import TraceEnum_ELBO

    x = datasets.bars(20 if quick else 500, size=3 if quick else 5)
    model = SigmoidBeliefNet(x.shape[1], 4 if quick else 10)
    parameters = model.initial_parameters(torch.Generator().manual_seed(0))
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}

    def network() -> None:
        with pyro.plate("data", len(x)):
            logits = leaves["bias"]
            for h, prior in enumerate(leaves["prior_logits"]):
                z = pyro.sample(
                    f"z{h}", dist.Bernoulli(logits=prior), infer={"enumerate": "parallel"}
                )
                logits = logits + z[..., None] * leaves["weights"][:, h]
            pyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)

    bound = TraceEnum_ELBO(max_plate_nesting=1)

    def theirs() -> tuple[float, dict[str, torch.Tensor]]:
        loss = bound.differentiable_loss(network, lambda: None) / len(x)
        slopes = torch.autograd.grad(loss, list(leaves.values()))
        return -float(loss), {k: -g for k, g in zip(leaves, slopes, strict=True)}

    return lambda: model.likelihood_gradient(parameters, x), theirs


def gradient(setting: Setting) -> Measured:
    ours, peer = sides(setting.quick)
    pair = alternate(ours, peer, setting.repeats)
    (value, slopes), (reference, expected) = pair.results
    apart = max(float((slopes[name] - expected[name]).abs().max()) for name in expected)
    megabytes = [peak_memory(__name__, "sides", side, setting.quick) for side in (0, 1)]
    memory = {"our peak in MB": round(megabytes[0], 1), "its peak in MB": round(megabytes[1], 1)}
    sizes = {"N": setting.pick(500, 20), "D": setting.pick(25, 9), "H": setting.pick(10, 4)}
    return Measured(
        {
            "ratio": pair.ratio,
            "memory": constant(megabytes[0] / megabytes[1]),
        },
        [
            Check("log-likelihood", float(value), reference, 1e-10),
            Check("largest difference of the gradients", apart, 0.0, 1e-10),
        ],
        sizes | memory,
        pair.times,
        "float64",
        setting.repeats,
    )


ROWS = (
    Row(
        name="sbn",
        title="Sigmoid belief network, one EM gradient by enumeration",
        peer="Pyro, TraceEnum_ELBO with its gradient",
        work=(
            "The log-likelihood and its gradient, which is the ELBO's at the exact posterior, by "
            "enumerating all states of the latents. Both values and gradients must agree. "
            "Memory is what one call adds at its peak, each side in a process of its own."
        ),
        targets=(
            Target("ratio", "times as fast", at_least=100),
            Target("memory", "of its memory", at_most=0.1),
        ),
        limits="Three matrix products and the exponentials of states times data points.",
        measure=gradient,
        needs=("pyro",),
        packages=("torch", "numpy", "pyro-ppl"),
    ),
)

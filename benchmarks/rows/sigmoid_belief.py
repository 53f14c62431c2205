"""Sigmoid belief networks with every latent state enumerated, against Pyro."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

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
from companion.families import Bernoulli
from companion.models import SigmoidBeliefNet
from companion.models.enumerated import normalized

#: Entries of one block of posteriors p(z_p | x_n): 2 MiB of float64, which a core's cache holds.
BLOCK = 2**18


def likelihood_gradient(
    model: SigmoidBeliefNet, parameters: Mapping[str, Tensor], x: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """The log-likelihood per data point and its gradient, ∇ℓ = E_p(z|x)[∇ log p(x, z)].

    That is the gradient of the ELBO at the exact posterior, a gradient step of EM. With the
    posterior's sums over the data for each state, r_p = Σ_n p(z_p | x_n) and
    s_p = Σ_n p(z_p | x_n) x_n, it needs only e_p = s_p − r_p σ(Wz_p + b):

        ∇ψ = (1/N) Σ_p r_p z_p − σ(ψ),   ∇W = (1/N) Σ_p e_p z_pᵀ,   ∇b = (1/N) Σ_p e_p.

    Blocks of data points and matrix products: no array is larger than ``(2**H, D)`` or 2 MiB,
    whatever N. H at most 16.
    """
    data = model.check(parameters, x)
    states, family = model.states, Bernoulli()
    logits = states @ parameters["weights"].T + parameters["bias"]
    log_prior = family.log_prob(states, parameters["prior_logits"])
    constant = log_prior - family.log_partition(logits)
    shares, sums = torch.zeros_like(constant), torch.zeros_like(logits)
    total = torch.zeros_like(constant[0])
    for block in data.split(max(1, BLOCK // len(states))):
        posterior, log_marginal = normalized(torch.addmm(constant, block, logits.T), 1)
        shares += posterior.sum(0)
        sums.addmm_(posterior.T, block)
        total += log_marginal.sum()
    points = len(data)
    errors = (sums - shares[:, None] * torch.sigmoid(logits)) / points
    return total / points, {
        "prior_logits": shares @ states / points - torch.sigmoid(parameters["prior_logits"]),
        "weights": errors.T @ states,
        "bias": errors.sum(0),
    }


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

    return lambda: likelihood_gradient(model, parameters, x), theirs


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

"""The parameterization criterion of a large decoder."""

from __future__ import annotations

import time

import torch

from benchmarks.harness import Check, Measured, Row, Setting, Target, alternate, spread
from companion import check_criterion
from companion.models import GaussianVAE


def large_decoder(setting: Setting) -> Measured:
    latent, observed, width = setting.pick((16, 784, 105), (3, 20, 12))
    model = GaussianVAE(observed, latent, (width,))
    draws = torch.Generator().manual_seed(0)
    parameters = model.initial_parameters(draws)
    nodes = torch.randn(16, latent, dtype=torch.float64, generator=draws)
    natural = model.factors[-1].natural

    def ours() -> object:
        return check_criterion(natural, parameters, nodes)

    # PyTorch loads much of itself when derivatives are first taken forwards, once a process.
    small = GaussianVAE(4, 2, (3,))
    check_criterion(small.factors[-1].natural, small.initial_parameters(draws), nodes[:, :2])
    first = time.perf_counter()
    found = check_criterion(natural, parameters, nodes)
    first = time.perf_counter() - first
    pair = alternate(ours, lambda: natural(parameters, nodes), setting.repeats)
    without = {name: value for name, value in parameters.items() if name != "log_variance"}
    refused = check_criterion(natural, parameters, nodes[:4], ["mean.bias"])
    count = sum(value.numel() for value in parameters.values())
    seconds = [*pair.ours, first]
    return Measured(
        {"seconds": spread(seconds, " s")},
        [
            Check("relative residual on held-out nodes", found.residual, 0.0, 1e-8),
            Check("criterion passes (1 = yes)", float(found.verdict == "pass"), 1.0, 0.0),
            Check(
                "passes with the last bias alone (1 = yes)",
                float(refused.verdict == "pass"),
                0.0,
                0.0,
            ),
        ],
        {"parameters": count, "tensors": len(without) + 1, "nodes": len(nodes), "D": observed},
        {"ours": spread(seconds, "s")},
        "float64",
        len(seconds),
    )


ROWS = (
    Row(
        name="criterion",
        title="Parameterization criterion, 85 000 parameters",
        peer="none; the time is absolute",
        work=(
            "From the natural parameters of a decoder with one hidden layer to a direction that "
            "fulfils the criterion on nodes that were not used to find it; a set of parameters "
            "that can't fulfil it must be refused. The first call for the decoder counts as well; "
            "what PyTorch loads at the first such call in a process does not."
        ),
        targets=(Target("seconds", "seconds", at_most=1.0),),
        limits="Two Jacobian–vector products for each tensor of parameters.",
        measure=large_decoder,
    ),
)

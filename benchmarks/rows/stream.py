"""Linear VAEs that follow a stream, against the official streaming code."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import official
from benchmarks.harness import Check, Measured, Pair, Row, Setting, Target, alternate
from companion.studies.streaming import SwitchingStream, closed_form, follow

RATE, LATENT = 2e-3, (2, 4, 6)


def streaming(setting: Setting) -> Measured:
    stream = SwitchingStream(batches=setting.pick(400, 10))
    module = official.load(setting.official, official.STREAMING)
    module.args.log_interval = 10**9  # it prints; that is not part of the work
    batches = np.concatenate(list(stream.blocks(0)))
    data = [(None, torch.from_numpy(batch).float()) for batch in batches]
    samples = setting.pick(100, 3)

    def theirs() -> tuple[list[Any], Any]:
        torch.manual_seed(0)
        elbos = []
        with contextlib.redirect_stdout(io.StringIO()):
            for size in LATENT:
                model = module.LinearVAE(H=size, D=stream.observed, num_samples=samples)
                optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
                elbos.append(np.array(module.train(model, data, optimizer)[0]))
        return elbos, model

    def ours() -> Any:
        return follow(stream, LATENT, learning_rate=RATE, likelihood=False)

    pair = alternate(ours, theirs, setting.repeats)
    count = stream.length * len(LATENT)
    runs, (elbos, model) = pair.results
    last = max(1, stream.length // 10)
    mine = float(runs.elbo[0, :, -last:].mean())
    learned = float(np.mean(elbos, 0)[-last:].mean()) / stream.batch_size
    checks = [
        Check("mean ELBO in the last tenth of the stream", mine, learned, setting.pick(0.05, 1.0)),
        _same_value(model, torch.from_numpy(np.concatenate(batches[-last:]))),
    ]
    pair = Pair([s / count for s in pair.ours], [s / count for s in pair.peer])
    return Measured(
        {"ratio": pair.ratio},
        checks,
        {
            "batches": stream.length,
            "batch": stream.batch_size,
            "D": stream.observed,
            "H": ", ".join(map(str, LATENT)),
            "official samples": samples,
        },
        pair.times,
        "float64 ours, float32 official",
        setting.repeats,
    )


def _same_value(model: Any, x: Tensor) -> Check:
    """Their ELBO, from samples, and ours, in closed form, of the same network on the same data."""
    softplus = torch.nn.functional.softplus
    with torch.no_grad():
        draws = torch.stack([model(x.float())[0] for _ in range(20)]).double() / len(x)
        own = {
            "mean.weights": model.decoder.weight.double(),
            "mean.bias": model.decoder.bias.double(),
            "log_variance": 2 * softplus(model.sigma_param[0].double()).log(),
        }
        phi = {
            "mean.weights": model.encoder.weight.double(),
            "mean.bias": model.encoder.bias.double(),
            "log_std.weights": torch.zeros(model.H, model.D, dtype=torch.float64),
            "log_std.bias": softplus(model.tau_param.double()).log(),
        }
    value, mean = closed_form(own, phi, x).elbo, float(draws.mean())
    error = float(draws.std()) / len(draws) ** 0.5
    tolerance = (6 * error + 1e-5) / max(1.0, abs(mean))
    return Check("ELBO of the network that the peer learned, by both", value, mean, tolerance)


ROWS = (
    Row(
        name="streaming",
        title="Streaming linear VAE, exact gradients against 100 samples",
        peer="official streaming linear VAE",
        work=(
            "One Adam step per batch for each of three sizes, with ELBO and entropies before the "
            "step, on the same stream. Theirs draws 100 samples for each point and takes the sizes "
            "one after another; ours takes the exact gradient, of all sizes in one array, and also "
            "draws the data. For the last network that theirs learned, both must give the same "
            "ELBO; along the stream, their mean ELBOs must lie within 5 % of each other."
        ),
        targets=(Target("ratio", "times as fast", at_least=20),),
        differs=(
            "Theirs draws 100 samples for each point; ours takes the exact gradient. They start "
            "from networks drawn in other ways, and theirs takes its steps in other parameters, "
            "softplus of which are the standard deviations, where ours has their logarithms. So "
            "the same rate leads elsewhere: the two ELBOs along the stream are below, of which the "
            "lower one may be ours. The ratio is of the time of a step, not to an equal ELBO."
        ),
        limits="The call overhead of some forty small array operations for each batch.",
        measure=streaming,
        official=True,
    ),
)

"""Linear VAEs that follow a stream, against the official streaming code."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import torch

from benchmarks import official
from benchmarks.harness import Check, Measured, Pair, Row, Setting, Target, alternate

RATE, LATENT = 2e-3, (2, 4, 6)


def streaming(setting: Setting) -> Measured:
    from companion.streaming import SwitchingStream, follow

    stream = SwitchingStream(batches=setting.pick(400, 10))
    module = official.load(setting.official, official.STREAMING)
    module.args.log_interval = 10**9  # it prints; that is not part of the work
    batches = np.concatenate(list(stream.blocks(0)))
    data = [(None, torch.from_numpy(batch).float()) for batch in batches]
    samples = setting.pick(100, 3)

    def theirs() -> dict[int, Any]:
        torch.manual_seed(0)
        elbos = {}
        with contextlib.redirect_stdout(io.StringIO()):
            for size in LATENT:
                model = module.LinearVAE(H=size, D=stream.observed, num_samples=samples)
                optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
                elbos[size] = np.array(module.train(model, data, optimizer)[0])
        return elbos

    pair = alternate(lambda: follow(stream, LATENT, learning_rate=RATE), theirs, setting.pick(3, 2))
    count = stream.length * len(LATENT)
    runs, elbos = pair.results
    last = max(1, stream.length // 10)
    checks = [
        Check(
            f"mean ELBO in the last tenth of the stream, H = {size}, ours at least the official",
            float(runs.elbo[0, index, -last:].mean()),
            float(elbos[size][-last:].mean() / stream.batch_size),
            setting.pick(0.02, 1.0),
            "at least",
        )
        for index, size in enumerate(LATENT)
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
        setting.pick(3, 2),
    )


ROWS = (
    Row(
        name="streaming",
        title="Streaming linear VAE, per batch",
        peer="official streaming linear VAE",
        work=(
            "One Adam step per batch for each of three sizes, with ELBO and entropies before the "
            "step, on the same stream. Theirs draws 100 samples for each point and takes the sizes "
            "one after another; ours takes the exact gradient, of all sizes in one array, and the "
            "exact log-likelihood as well."
        ),
        targets=(Target("ratio", "times as fast", at_least=20),),
        limits="The call overhead of some forty small array operations for each batch.",
        measure=streaming,
        official=True,
    ),
)

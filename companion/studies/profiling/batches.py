"""Variances from a mini-batch: the mean of a maximum is more than the maximum of a mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.models.vae.gaussian import GaussianVAE
from companion.studies.profiling.envelope import nodes_of, profiled_names
from companion.support.checks import all_finite, positive_integer
from companion.support.doors import door
from companion.support.tables import Record
from companion.theory.model import Parameters
from companion.theory.variational import Amortized, Nodes
from companion.training import batch_elbo
from companion.training.elbo import with_best_variances

__all__ = ["BatchBias", "batch_bias"]

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, repr=False)
class BatchBias(Record):
    """Mean of G over random batches less G of all data, in nats per data point, by batch size.

    ``predicted`` is the leading order (1/B − 1/N) c, with c from the spread over data points of
    squared residuals and squared latents; ``standard_error`` is that of ``measured``.
    """

    sizes: Array
    measured: Array
    standard_error: Array
    predicted: Array

    columns = ("batch size", "measured", "standard error", "predicted")

    def rows(self) -> list[tuple[int, float, float, float]]:
        """One row for each batch size."""
        columns = (self.measured, self.standard_error, self.predicted)
        return list(
            zip(self.sizes.astype(int).tolist(), *(c.tolist() for c in columns), strict=True)
        )


@door
def batch_bias(
    model: GaussianVAE,
    parameters: Parameters,
    q: Amortized,
    x: Tensor,
    *,
    sizes: Sequence[int],
    draws: int,
    profile: tuple[str, ...] = ("noise", "prior"),
    generator: torch.Generator | None = None,
) -> BatchBias:
    """How much larger the profiled ELBO is, on average, on batches than on all data.

    E[G_batch] − G ≈ (1/B − 1/N) (D v(e) + Σ_h v(a_h)) / 4 for batches of B of the N points, drawn
    without replacement; e_n is a point's expected squared residual, a_nh = E[z_h²], and v is the
    variance over data points divided by the squared mean. What is averaged is the gain of each
    batch over its own ELBO at the best variances of all data, whose mean over batches is G: this
    has the same mean, far less noise, and is never negative.

    Parameters
    ----------
    model, parameters, q, x, profile
        As for :func:`envelope_gradients`.
    sizes
        Of the batches, one B after another.
    draws
        How many batches of each size.
    generator
        Draws the batches.

    Raises
    ------
    ValueError
        For noise other than one scalar variance, a batch size above the number of points, or as
        :func:`envelope_gradients`.

    Source: this companion.
    """
    if model.noise_type != "scalar":
        raise ValueError(f'model must have noise_type="scalar" here: got {model.noise_type!r}')
    x = model.check(parameters, x).detach()
    profiled_names(parameters, profile)
    positive_integer(draws, "draws")
    for size in sizes:
        positive_integer(size, "every entry of sizes")
        if size > len(x):
            raise ValueError(f"sizes must be at most {len(x)}, the number of points: got {size}")
    best, rule = with_best_variances(model, parameters, q, x, profile), nodes_of(q)

    def excess(index: Tensor) -> Tensor:
        z = rule.z if rule.z.dim() == 2 else rule.z[index]
        nodes, batch = Nodes(z, rule.weights), x[index]
        inserted, held = (
            batch_elbo(model, own, q.on(batch, nodes), batch, profile=scales)
            for own, scales in ((parameters, profile), (best, ()))
        )
        return inserted - held

    columns = []
    for size in sizes:
        order = torch.rand(draws, len(x), generator=generator).argsort(1)[:, :size]
        columns.append(torch.vmap(excess, chunk_size=64)(order))
    if not all(map(all_finite, columns)):
        raise ValueError("x must have residuals whose squares are finite: found NaN or infinity")
    values, counts = torch.stack(columns).detach(), np.asarray(sizes, dtype=np.float64)
    spread = _spread(model, parameters, q, x, profile)
    return BatchBias(
        sizes=counts,
        measured=values.mean(1).numpy(),
        standard_error=(values.std(1) / draws**0.5).numpy(),
        predicted=(1 / counts - 1 / len(x)) * spread,
    )


def _spread(
    model: GaussianVAE, parameters: Parameters, q: Amortized, x: Tensor, profile: tuple[str, ...]
) -> float:
    """The constant of :func:`batch_bias`: relative variances of residuals and latents, over 4."""
    mean, std = q.encoder(q.parameters, x)
    z, weights = q.nodes()
    squares = ((x[:, None] - model.decode(parameters, z)) ** 2).sum(-1)
    total = 0.0
    if "noise" in profile:
        total += model.observed * float(_relative_variance((weights * squares).sum(-1)))
    if "prior" in profile:
        total += float(_relative_variance(mean**2 + std**2).sum())
    return total / 4


def _relative_variance(values: Tensor) -> Tensor:
    return values.var(0) / values.mean(0) ** 2

"""The ELBO with its best variances inserted: gradients, curvature, batches, and what runs away.

Where the variances s = (log σ², log α) of a Gaussian VAE take their best values given all other
variables ω, the ELBO F(ω, s) becomes G(ω) = max_s F(ω, s). This package measures what that does.
"""

from __future__ import annotations

from companion.studies.profiling.ascent import ascend_entropy_sum, steps_until
from companion.studies.profiling.batches import BatchBias, batch_bias
from companion.studies.profiling.envelope import (
    ProfiledCurvature,
    envelope_gradients,
    profiled_curvature,
)

__all__ = [
    "BatchBias",
    "ProfiledCurvature",
    "ascend_entropy_sum",
    "batch_bias",
    "envelope_gradients",
    "profiled_curvature",
    "steps_until",
]

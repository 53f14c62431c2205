"""Gaussian VAEs trained by Adam, all seeds at once: on CPU or GPU, verified in float64.

The runs of several seeds share no parameter, only the tensors that hold them: one stacked tensor
for each parameter, and one vectorised step for all. Each seed draws its own initial parameters,
batches and noise, so that a run can be repeated alone, to round-off.
"""

from __future__ import annotations

from companion.training.elbo import batch_elbo
from companion.training.ensemble import Ensemble
from companion.training.plan import Plan
from companion.training.run import train_vae

__all__ = ["Ensemble", "Plan", "batch_elbo", "train_vae"]

"""The ELBO of a linear Gaussian model on a whole population, whose covariance is known."""

from __future__ import annotations

import torch
from torch import Tensor

from companion.models import PPCA
from companion.support.doors import door
from companion.theory.model import Parameters

__all__ = ["population_elbo"]


@door
def population_elbo(model: PPCA, parameters: Parameters, covariance: Tensor) -> Tensor:
    """E_data of the ELBO with the exact posterior, −½ log det 2πC − ½ tr C⁻¹Σ; nats per point.

    ``covariance`` is Σ = E_data (x − μ)(x − μ)ᵀ around the model's mean, ``(D, D)``; C is the
    model's own. Nothing else of the population enters, which need not be Gaussian.

    Source: this companion.

    >>> model = PPCA(observed=2, latent=1)
    >>> zero, eye = torch.zeros(2, 1).double(), torch.eye(2).double()
    >>> at = {"weights": zero, "mean": zero[:, 0], "log_variance": zero[0, 0]}
    >>> population_elbo(model, at, eye) + torch.log(2 * torch.pi * torch.ones(1).exp())
    tensor([0.])
    """
    own = model.covariance(parameters)
    return -0.5 * (torch.logdet(2 * torch.pi * own) + torch.linalg.solve(own, covariance).trace())

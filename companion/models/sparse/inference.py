"""The variational step of sparse coding: Newton ascent over Gaussian q, all data at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from companion.families.laplace import folded_normal_mean
from companion.models.sparse.expectations import expected_square_error, marginal_std
from companion.support.checks import positive_integer
from companion.support.doors import Guarded
from companion.theory.model import Parameters
from companion.theory.variational import Gaussian

__all__ = ["EntropyWeights", "WeightedELBO"]

_HALVINGS = 12


@dataclass(frozen=True)
class EntropyWeights(Guarded):
    """Weights of the three entropies: ``posterior``·H[q] − ``prior``·H[p(z)] − ``observable``·….

    All 1 is the entropy sum itself. A small weight on the observable's entropy tolerates noise,
    and with it a coarse code, as a high temperature does. With learnable prior scales, more weight
    on the prior's entropy than on that of q shrinks latents that the data do not need, without a
    lower bound: keep such weights close to 1 and their number small.

    >>> EntropyWeights(observable=0.5)
    EntropyWeights(posterior=1.0, prior=1.0, observable=0.5)
    """

    posterior: float = 1.0
    prior: float = 1.0
    observable: float = 1.0

    def __post_init__(self) -> None:
        for name in ("posterior", "prior", "observable"):
            weight = getattr(self, name)
            if not 0 < weight < math.inf:
                raise ValueError(f"{name} must be a positive weight: got {weight}")

    def ramp(self, steps: int) -> list[EntropyWeights]:
        """``steps`` weights on the straight way from these to 1, the last one step short of it.

        >>> [w.prior for w in EntropyWeights(prior=3.0).ramp(4)]
        [3.0, 2.5, 2.0, 1.5]
        """
        positive_integer(steps, "steps")
        rates = [step / steps for step in range(steps)]
        start = (self.posterior, self.prior, self.observable)
        return [EntropyWeights(*(w + rate * (1 - w) for w in start)) for rate in rates]


@dataclass(frozen=True)
class WeightedELBO:
    """Weighted E log p(x|z), E log p(z) and H[q] of every q_n, up to constants, as functions of q.

    With a = E‖x − Wz − μ‖²/2σ² + Σ_h E|z_h|/λ_h, both parts with their weights, the curvature of a
    in the mean of q_n is Λ_n = WᵀW/σ² + diag(2φ(m_h/s_h)/(s_h λ_h)), and the best covariance is its
    inverse (the inverse of its diagonal for a diagonal q).

    Parameters
    ----------
    parameters
        The model's, which are held.
    scale
        The scales λ of the prior, ``(H,)``.
    x
        Data, ``(N, D)``.
    weights
        Weights on the three terms.
    """

    parameters: Parameters
    scale: Tensor
    x: Tensor
    weights: EntropyWeights

    def value(self, q: Gaussian) -> Tensor:
        """The objective of every q_n, ``(N,)``."""
        error = expected_square_error(self.parameters, q, self.x)
        error = error * (-self.parameters["log_variance"]).exp()
        size = (folded_normal_mean(q.mean, marginal_std(q)) / self.scale).sum(-1)
        w = self.weights
        return w.posterior * q.entropy() - w.prior * size - 0.5 * w.observable * error

    def newton(self, q: Gaussian) -> tuple[Tensor, Tensor]:
        """The Newton step of the mean, ``(N, H)``, and the precision that is best there."""
        W, std = self.parameters["weights"], marginal_std(q)
        weighted = self.weights.observable * (-self.parameters["log_variance"]).exp() * W
        ratio, rate = q.mean / std, self.weights.prior / self.scale
        residual = self.x - self.parameters["mean"] - q.mean @ W.T
        gradient = residual @ weighted - rate * torch.erf(ratio / math.sqrt(2))
        kink = rate * math.sqrt(2 / math.pi) * torch.exp(-0.5 * ratio * ratio) / std
        curvature = W.T @ weighted + torch.diag_embed(kink)
        # Scaled to a diagonal of ones: rarely used latents have far larger curvature than others.
        unit = curvature.diagonal(dim1=1, dim2=2).rsqrt()
        factor = torch.linalg.cholesky(curvature * unit[:, :, None] * unit[:, None, :])
        move = torch.cholesky_solve((unit * gradient)[..., None], factor)[..., 0] * unit
        best = curvature.diagonal(dim1=1, dim2=2) if q.diagonal else curvature
        return move, best / self.weights.posterior

    def raised(self, q: Gaussian, steps: int) -> Gaussian:
        """The q_n after so many steps: the objective, which is concave, never falls for any n.

        A step goes from (m, S⁻¹) towards (m + Λ⁻¹∇, Λ), halved for each n on its own until the
        objective does not fall.
        """
        state = replace(q, scale=marginal_std(q)) if q.diagonal else q
        values = self.value(state)
        for _ in range(steps):
            move, precision = self.newton(state)
            old_precision = _precision(state)
            open_rows, rate = torch.arange(len(self.x)), 1.0
            mean, spread, new_values = state.mean.clone(), state.scale.clone(), values.clone()
            for _ in range(_HALVINGS):
                part = (1 - rate) * old_precision[open_rows] + rate * precision[open_rows]
                trial = replace(
                    state,
                    mean=state.mean[open_rows] + rate * move[open_rows],
                    scale=_scale(part, state.diagonal),
                )
                trial_values = replace(self, x=self.x[open_rows]).value(trial)
                good = trial_values >= values[open_rows]
                rows = open_rows[good]
                mean[rows], spread[rows] = trial.mean[good], trial.scale[good]
                new_values[rows] = trial_values[good]
                open_rows, rate = open_rows[~good], rate / 2
                if len(open_rows) == 0:
                    break
            state, values = replace(state, mean=mean, scale=spread), new_values
        return state


def _precision(q: Gaussian) -> Tensor:
    if q.diagonal:
        return 1 / (q.scale * q.scale)
    return torch.cholesky_inverse(torch.tril(q.scale))


def _scale(precision: Tensor, diagonal: bool) -> Tensor:
    if diagonal:
        return precision.rsqrt()
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(precision)))

"""Models that satisfy the criterion, learned with something held where it was."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from companion import fit
from companion.models import GaussianMixture, SigmoidBeliefNet
from companion.studies.what_breaks.record import Counterexample
from companion.theory.identity import verify
from companion.theory.objective import Problem

__all__ = ["constant_weights", "frozen_net", "variance_floor"]


def constant_weights(case: str, x: Tensor, weights: Sequence[float], seed: int) -> Counterexample:
    """A spherical Gaussian mixture whose mixing weights π are given, not learned.

    The gap is Σ_c (q̄_c − π_c) log π_c.

    Parameters
    ----------
    case
        Its name in the table.
    x
        Data, ``(N, D)``.
    weights
        π, one for each component.
    seed
        Draws the start.
    """
    model = GaussianMixture(x.shape[-1], len(weights), "spherical")
    pi = torch.tensor(weights, dtype=x.dtype)
    start = model.random_start(x, torch.Generator().manual_seed(seed)) | {"prior_logits": pi.log()}
    rough = fit.lbfgs(model, start, None, x, fixed=["prior_logits"], tolerance=1e-4)
    end = fit.newton(model, rough.parameters, None, x, fixed=["prior_logits"], tolerance=1e-10)
    share = model.posterior(end.parameters, x).probabilities.mean(0)
    predicted = float(((share - pi) * pi.log()).sum())
    return Counterexample(case, end.final.gap, predicted, end.gradient_norm)


def variance_floor(
    case: str, x: Tensor, components: int, floor: float, seed: int, steps: int = 3000
) -> Counterexample:
    """A diagonal Gaussian mixture by EM, no variance below ``floor``.

    With s² the variance that the M-step would like, the gap is ½ Σ q̄_c (1 − s²_cd/floor) over the
    variances on the floor. The gradient norm is that over all other parameters.

    Parameters
    ----------
    case
        Its name in the table, which then tells how many variances are on the floor.
    x
        Data, ``(N, D)``.
    components, floor
        How many, and the lowest variance.
    seed
        Draws the start.
    steps
        At most so many of EM; it ends where the parameters do not change any more.
    """
    model = GaussianMixture(x.shape[-1], components, "diagonal")
    parameters = model.random_start(x, torch.Generator().manual_seed(seed))
    lowest = torch.tensor(floor, dtype=x.dtype).log()
    for _ in range(steps):
        wanted = model.m_step(parameters, None, x)
        new = wanted | {"log_variance": wanted["log_variance"].clamp(min=lowest)}
        change = max(float((new[name] - parameters[name]).abs().max()) for name in new)
        parameters = new
        if change < 1e-15:
            break
    q = model.posterior(parameters, x)
    wanted = model.m_step(parameters, q, x)
    active = wanted["log_variance"] < lowest
    excess = 0.5 * (1 - wanted["log_variance"].exp() / floor)
    predicted = float((q.probabilities.mean(0)[:, None] * excess)[active].sum())
    gradient = torch.func.grad(Problem.of(model, parameters, None, x).value)(parameters)
    gradient["log_variance"] = gradient["log_variance"].masked_fill(active, 0.0)
    norm = sum(float((part**2).sum()) for part in gradient.values()) ** 0.5
    name = f"{case} ({int(active.sum())} of {active.numel()} on it)"
    return Counterexample(name, verify(model, parameters, q, x).gap, predicted, norm)


def frozen_net(
    case: str, x: Tensor, prior_logits: Sequence[float], fixed: Sequence[str], seed: int
) -> Counterexample:
    """A sigmoid belief net with exact posteriors, the parameters named in ``fixed`` not learned.

    The gap is ⟨θ, mean of T under data and q − mean under the model⟩ over the fixed parameters θ:
    Σ ψ(q̄ − σ(ψ)) for the prior, Σ W(mean of xzᵀ − E_q̄[σ(Wz + b) zᵀ]) for the weights.

    Parameters
    ----------
    case
        Its name in the table.
    x
        Binary data, ``(N, D)``.
    prior_logits
        Those of the start, one for each latent.
    fixed
        Names of parameters that are not learned.
    seed
        Draws the other parameters of the start.
    """
    model = SigmoidBeliefNet(x.shape[-1], len(prior_logits))
    start = model.initial_parameters(torch.Generator().manual_seed(seed))
    start |= {"prior_logits": torch.tensor(prior_logits, dtype=x.dtype)}
    rough = fit.lbfgs(model, start, None, x, fixed=fixed, tolerance=1e-5)
    end = fit.newton(model, rough.parameters, None, x, fixed=fixed, tolerance=1e-10, steps=100)
    psi, W, b = (end.parameters[name] for name in ("prior_logits", "weights", "bias"))
    z, q = model.posterior(end.parameters, x).nodes()
    means = torch.sigmoid(z @ W.T + b)
    share = q.mean(0)
    parts = {
        "prior_logits": psi * (share @ z - torch.sigmoid(psi)),
        "weights": W * (x.T @ (q @ z) / len(x) - (means * share[:, None]).T @ z),
        "bias": b * (x.mean(0) - share @ means),
    }
    predicted = sum(float(parts[name].sum()) for name in fixed)
    return Counterexample(case, end.final.gap, predicted, end.gradient_norm)

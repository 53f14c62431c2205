"""Why a gap is not zero: the parts that known departures from a stationary point predict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.support import tree
from companion.support.checks import as_names
from companion.support.doors import door
from companion.support.tables import Record
from companion.theory.criterion import check_criterion
from companion.theory.identity import Verification, evaluate, full_direction, verification
from companion.theory.model import Model, Parameters
from companion.theory.variational import Variational

__all__ = ["Explanation", "beyond_gradient", "explain_gap", "nearest_direction"]


@dataclass(frozen=True, repr=False)
class Explanation(Record):
    """A gap as a sum of parts, in nats per data point.

    ``weight_decay`` = λ⟨θ, v⟩ over the decayed parameters, a *prediction*: it does not use the
    gradient. ``fixed`` and ``floors`` are the slopes of what could not move. ``not_converged`` is
    what is left, the slope along v of what was maximised, over the parameters free to move: zero
    when learning is done.
    """

    verification: Verification
    weight_decay: float
    fixed: Mapping[str, float]
    floors: Mapping[str, float]

    columns = ("cause", "nats per data point")

    @property
    def gap(self) -> float:
        """ELBO − entropy sum."""
        return self.verification.gap

    @property
    def not_converged(self) -> float:
        """The part that further learning would take away."""
        return self.gap - self.weight_decay - sum(self.fixed.values()) - sum(self.floors.values())

    def rows(self) -> list[tuple[str, float]]:
        """Cause and part, with their sum."""
        return [
            ("weight decay (predicted)", self.weight_decay),
            *((f"fixed parameter {name}", part) for name, part in self.fixed.items()),
            *((f"active bound on {name}", part) for name, part in self.floors.items()),
            ("not converged", self.not_converged),
            ("gap", self.gap),
        ]


@door
def explain_gap(
    model: Model,
    parameters: Parameters,
    q: Variational | None,
    x: Any,
    *,
    weight_decay: float = 0.0,
    decayed: Iterable[str] = (),
    fixed: Iterable[str] = (),
    at_bound: Mapping[str, Any] | None = None,
) -> Explanation:
    """Split ELBO − entropy sum into what the way of learning predicts.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`companion.verify`.
    weight_decay, decayed
        Learning maximised ELBO − (λ/2)‖θ‖² with λ = ``weight_decay`` over the parameters named in
        ``decayed`` (those of q as ``q.<name>``). At its stationary point the gap is λ⟨θ, v⟩.
    fixed
        Parameters that were not learned; their part is ⟨∇_b ELBO, v_b⟩.
    at_bound
        For each parameter with an active bound, for example a variance floor, a boolean mask of its
        entries that sit on it. Their part is ⟨∇ELBO, v⟩ over those entries.

    Raises
    ------
    ValueError
        For unknown names, a mask of another shape, a negative ``weight_decay``, a parameter that is
        listed twice, or a model without a gap direction.

    Source: this companion.

    >>> from companion import datasets, models
    >>> model, x = models.PPCA(observed=4, latent=2), datasets.iris()
    >>> best = model.maximum_likelihood(x)
    >>> warm = best | {"log_variance": best["log_variance"] + 0.1}
    >>> found = explain_gap(model, warm, None, x, fixed=["log_variance"])
    >>> gap = found.not_converged + found.fixed["log_variance"]
    >>> abs(gap - found.verification.gap) < 1e-9
    True
    """
    q, data = model.checked(parameters, q, x)
    variables, fixed, decayed = q.join(parameters), as_names(fixed), as_names(decayed)
    masks = dict(at_bound or {})
    _check_names(variables, [*fixed, *decayed, *masks], masks)
    if not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay must be finite and at least 0: got {weight_decay}")
    v = full_direction(model, *q.split(variables))
    point = evaluate(model, parameters, q, data)
    part = {name: point.gradient[name] * v[name] for name in v}
    return Explanation(
        verification=point.report(v),
        weight_decay=weight_decay
        * sum(float((variables[name] * v[name]).sum()) for name in decayed),
        fixed={name: float(part[name].sum()) for name in fixed},
        floors={name: float(part[name][mask].sum()) for name, mask in masks.items()},
    )


def _check_names(
    variables: Mapping[str, Tensor], listed: Sequence[str], masks: Mapping[str, Tensor]
) -> None:
    """Each name is one of the ``variables`` and stands once; masks have the shapes of theirs."""
    unknown = sorted(set(listed) - set(variables))
    if unknown:
        raise ValueError(f"parameters must be among {sorted(variables)}: got {unknown}")
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        raise ValueError(f"each parameter has one cause, give it once: got {twice} twice")
    for name, mask in masks.items():
        shape = tuple(variables[name].shape)
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != shape:
            found = (
                f"{mask.dtype} of shape {tuple(mask.shape)}" if isinstance(mask, Tensor) else mask
            )
            raise ValueError(
                f"at_bound[{name!r}] must be a boolean mask of shape {shape}: got {found}"
            )


@door
def nearest_direction(
    model: Model, parameters: Parameters, q: Variational, nodes: int = 200
) -> dict[str, Tensor]:
    """The direction that comes nearest to v, for a model whose observable factor may have none.

    For the observable factor the least-squares solution β of η(z) = ∂η(z)/∂θᵀ β, on points z of q;
    for the prior, which has to be N(0, I), the rescaling of q and its absorption as in v. Given to
    ``verify`` as ``direction``: if the criterion holds, gap and slope agree to round-off; otherwise
    they differ by a part of the gap that this gradient does not account for. Where the gradient
    vanishes, that part is the whole gap.

    Parameters
    ----------
    model, parameters, q
        A model, its parameters by name, and a distribution over the latents; not checked.
    nodes
        On how many points z: more are taken if there are many parameters, always the same ones.

    Raises
    ------
    ValueError
        If the model does not have a fixed continuous prior whose rescaling it can absorb.

    Source: this companion.

    >>> from companion import datasets, models, verify
    >>> draws, x = torch.Generator().manual_seed(0), datasets.pca_ring(50)
    >>> vae, encoder = models.GaussianVAE(10, 2, (4,), noise_type="head"), models.Encoder(10, 2)
    >>> parameters, q = vae.initial_parameters(draws), encoder.initial_parameters(draws)
    >>> q = encoder.posterior(q, x)
    >>> v = nearest_direction(vae, parameters, q)
    >>> verify(vae, parameters, q, x, direction=v).relative_residual < 1e-12
    True
    """
    rate = torch.as_tensor(model.latent_rescaling, dtype=torch.float64)
    absorbed = model.absorption(parameters, rate)
    if not bool(rate.any()) or absorbed is None or len(model.factors) > 2:
        raise ValueError(
            "model must have a fixed prior N(0, I) and absorb its rescaling in the decoder: "
            f"got {model!r}"
        )
    z = q.nodes().z.detach()
    z = z.reshape(-1, z.shape[-1])
    natural = model.factors[-1].natural
    # Half of the points give the equations, L each: take twice as many as there are unknowns.
    unknowns, equations = len(tree.flatten(parameters)), natural(parameters, z[:1]).shape[-1]
    count = max(nodes, 4 * unknowns // equations)
    drawn = torch.randperm(len(z), generator=torch.Generator().manual_seed(0))[:count]
    found = check_criterion(natural, parameters, z[drawn]).direction
    own = {
        name: found[name] + absorbed.get(name, torch.zeros_like(value))
        for name, value in parameters.items()
    }
    return tree.merge(own, q.rescaling(model.latent_rescaling))


@door
def beyond_gradient(model: Model, parameters: Parameters, q: Variational | None, x: Any) -> float:
    """|gap − ⟨∇ELBO, v̂⟩| in nats, v̂ the :func:`nearest_direction`: zero if the criterion holds.

    It is what remains of the gap where the gradient vanishes.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`companion.verify`.

    Raises
    ------
    ValueError
        As :func:`nearest_direction` and ``verify``.
    """
    q, data = model.checked(parameters, q, x)
    nearest = nearest_direction(model, parameters, q)
    return verification(model, parameters, q, data, nearest).residual

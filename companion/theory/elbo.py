"""The ELBO and the entropy sum, from the same nodes; in nats per data point."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from companion.theory.model import Model, Parameters
from companion.theory.variational import Nodes, Variational

__all__ = ["EntropySum", "elbo", "entropy_sum"]

Form = Literal["auto", "true", "pseudo"]


def expectation(weights: Tensor, values: Tensor) -> Tensor:
    """(1/N) Σ_n Σ_p w_np f_np, where both may lack the axis n."""
    total = (weights * values).sum(-1)
    return total.mean() if total.dim() else total


def elbo(model: Model, parameters: Parameters, q: Variational, x: Tensor) -> Tensor:
    """F = (1/N) Σ_n E_{q_n}[log p(x_n, z)] + (1/N) Σ_n H[q_n], a scalar in nats per data point.

    Differentiable in ``parameters`` and in ``q.parameters``. ``x`` is ``(N, D)``; it is not checked
    here (:func:`companion.verify` and the functions of :mod:`companion.fit` check it).
    """
    terms = expected_log_probs(model, parameters, q, x)
    return torch.stack(list(terms.values())).sum() + q.entropy().mean()


def expected_log_probs(
    model: Model, parameters: Parameters, q: Variational, x: Tensor
) -> dict[str, Tensor]:
    """(1/N) Σ_n E_{q_n}[log p_k] of every factor k by name: in closed form or by the nodes of q."""
    terms: dict[str, Tensor] = {}
    nodes: Nodes | None = None
    for factor in model.factors:
        closed = None if factor.closed_form is None else factor.closed_form(parameters, x, q)
        if closed is not None:
            terms[factor.name] = closed.mean()
            continue
        nodes = q.nodes() if nodes is None else nodes
        values = torch.atleast_1d(factor.log_prob(parameters, x, nodes.z))
        terms[factor.name] = expectation(nodes.weights, values)
    return terms


@dataclass(frozen=True)
class EntropySum:
    """The three entropies and their sum, in nats per data point.

    total = posterior − prior − observable − Σ hidden + base_measure. ``hidden`` is empty unless the
    model has hidden layers between prior and observable; ``base_measure`` is zero unless
    ``form`` is ``"pseudo"`` and a base measure is not constant.

    The total equals the ELBO where ⟨∇ELBO, v⟩ = 0, in particular at every stationary point; it is
    not a bound on anything.
    """

    posterior: Tensor
    prior: Tensor
    observable: Tensor
    base_measure: Tensor
    total: Tensor
    form: Literal["true", "pseudo"]
    hidden: dict[str, Tensor] = field(default_factory=dict)


def entropy_sum(
    model: Model, parameters: Parameters, q: Variational, x: Tensor, form: Form = "auto"
) -> EntropySum:
    """S = (1/N) Σ_n H[q_n] − H[p(z)] − E_q̄ H[p(x|z)], with q̄ the aggregate posterior.

    ``form="pseudo"`` takes entropies relative to the base measures and adds
    E_q̄ log h(z) + (1/N) Σ_n log g(x_n), which is the form that the identity holds for whatever
    the base measures; ``"true"`` takes true entropies; ``"auto"`` takes the true form where both
    are the same (constant base measures) and the pseudo form otherwise.

    Source: Lücke & Warnken (arXiv:2209.03077), Theorems 1 (constant base measures) and 2.

    Raises
    ------
    ValueError
        For an unknown ``form``.
    """
    if form not in ("auto", "true", "pseudo"):
        raise ValueError(f"form must be 'auto', 'true' or 'pseudo': got {form!r}")
    constant = all(factor.family.constant_base_measure for factor in model.factors)
    pseudo = form == "pseudo" or (form == "auto" and not constant)
    z, weights = q.nodes()
    posterior = q.entropy().mean()
    base = torch.zeros_like(posterior)
    entropies: dict[str, Tensor] = {}
    for factor in model.factors:
        natural = factor.natural(parameters, z)
        family = factor.family
        values = family.pseudo_entropy(natural) if pseudo else family.entropy(natural)
        entropies[factor.name] = expectation(weights, torch.atleast_1d(values))
        if pseudo and not family.constant_base_measure:
            base = base + expectation(weights, factor.log_base_measure(x, z))
    total = posterior - torch.stack(list(entropies.values())).sum() + base
    hidden = {k: v for k, v in entropies.items() if k not in ("prior", "observable")}
    return EntropySum(
        posterior=posterior,
        prior=entropies["prior"],
        observable=entropies["observable"],
        base_measure=base,
        total=total,
        form="pseudo" if pseudo else "true",
        hidden=hidden,
    )

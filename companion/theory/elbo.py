"""The ELBO and the entropy sum, from the same nodes; in nats per data point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from companion.support.doors import door
from companion.support.tables import Record
from companion.theory.model import Factor, Model, Parameters
from companion.theory.terms import entropy_terms, expectation
from companion.theory.variational import Nodes, Variational

__all__ = ["EntropySum", "elbo", "entropy_sum"]

Form = Literal["auto", "true", "pseudo"]


@door
def elbo(model: Model, parameters: Parameters, q: Variational | None, x: Any) -> Tensor:
    """F = (1/N) Σ_n E_{q_n}[log p(x_n, z)] + (1/N) Σ_n H[q_n], a scalar in nats per data point.

    Differentiable in ``parameters``, in ``q.parameters`` and in ``x``.

    Parameters
    ----------
    model, parameters
        A model and its parameters by name.
    q
        A distribution over the latents for every data point. ``None`` stands for the exact
        posterior, which follows the parameters: then F is the log-likelihood.
    x
        Data, ``(N, D)``: a tensor, an array or nested lists.

    Raises
    ------
    ValueError
        For invalid data, parameters or q, or for ``None`` if the model has no posterior in closed
        form.

    >>> from companion import models
    >>> model, one = models.PPCA(observed=2, latent=1), torch.ones((), dtype=torch.float64)
    >>> parameters = {"weights": one.expand(2, 1), "mean": one.expand(2), "log_variance": 0 * one}
    >>> elbo(model, parameters, None, one.expand(5, 2))     # at the mean: −log 2π − ½ log 3
    tensor(-2.3872, dtype=torch.float64)
    """
    return expected_elbo(model, parameters, *seen(model, parameters, q, x))


def seen(
    model: Model, parameters: Parameters, q: Variational | None, x: Any
) -> tuple[Variational, Tensor]:
    """q, run once, and x as a tensor, with their graphs, found to be valid."""
    data = model.check(parameters, x)
    q = model.resolved(parameters, q, data)
    if isinstance(q, Variational):
        q = q.evaluated()
    model.check_q(q, len(data))
    return q, data


def expected_elbo(model: Model, parameters: Parameters, q: Variational | None, x: Tensor) -> Tensor:
    """:func:`elbo` for what is known to be valid, as learning repeats it."""
    q = model.resolved(parameters, q, x).evaluated()
    terms = expected_log_probs(model, parameters, q, x)
    return torch.stack(list(terms.values())).sum() + q.entropy().mean()


def expected_log_probs(
    model: Model, parameters: Parameters, q: Variational | None, x: Tensor
) -> dict[str, Tensor]:
    """(1/N) Σ_n E_{q_n}[log p_k] of every factor k by name: in closed form or by the nodes of q.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`elbo`; they are not checked.
    """
    q = model.resolved(parameters, q, x)
    terms: dict[str, Tensor] = {}
    nodes: Nodes | None = None
    for factor in model.factors:
        closed = None if factor.closed_form is None else factor.closed_form(parameters, q, x)
        if closed is not None:
            terms[factor.name] = closed.mean()
            continue
        if nodes is None and factor.marginal is None:
            nodes = q.nodes()
        z, weights = factor.nodes(q, nodes)
        terms[factor.name] = expectation(weights, factor.log_prob(parameters, x, z))
    return terms


@dataclass(frozen=True, repr=False)
class EntropySum(Record):
    """The three entropies and their sum, in nats per data point.

    total = posterior − reweighting − prior − observable − Σ hidden + base_measure. ``hidden`` is
    empty unless the model has hidden layers between prior and observable, or is an undirected one,
    whose only entropy besides that of q is its "joint"; ``base_measure`` is zero
    unless ``form`` is ``"pseudo"``, not ``"true"``, and a base measure is not constant;
    ``reweighting`` is zero unless samples are reweighted (:func:`companion.iwae_entropy_sum`).

    The total equals the ELBO where ⟨∇ELBO, v⟩ = 0, in particular at every stationary point; it is
    not a bound on anything.
    """

    posterior: Tensor
    prior: Tensor
    observable: Tensor
    base_measure: Tensor
    total: Tensor
    form: str
    hidden: Mapping[str, Tensor] = field(default_factory=dict)
    reweighting: float | Tensor = 0.0

    decimals = 6

    def toward(self, other: EntropySum, share: float) -> EntropySum:
        """This, for 1 − ``share`` of the data, and another for the rest, as one."""

        def mixed(name: str) -> Any:
            return (1 - share) * getattr(self, name) + share * getattr(other, name)

        terms = ("posterior", "prior", "observable", "base_measure", "total", "reweighting")
        hidden = {k: (1 - share) * h + share * other.hidden[k] for k, h in self.hidden.items()}
        return replace(self, hidden=hidden, **{name: mixed(name) for name in terms})

    def rows(self) -> list[tuple[str, float]]:
        """Each entropy and the total, in reading order."""
        values = (self.posterior, self.prior, self.observable, self.base_measure, self.total)
        return entropy_rows(self.form, self.hidden, values, float(self.reweighting))


#: Factors that are no layers, as tables name their entropies.
_NAMED = {"joint": "entropy of latents and observables", "tied": "price of a tied q"}
_NAMED |= {"switches": "entropy of the switches"}


def entropy_rows(
    form: str, hidden: Mapping[str, Any], values: Iterable[Any], reweighting: float = 0.0
) -> list[tuple[str, float]]:
    """Labels and values of an entropy sum; ``values`` without the hidden layers, in its order."""
    posterior, prior, observable, base_measure, total = map(float, values)
    pseudo = "pseudo-" if form == "pseudo" else ""
    layer = f"average {pseudo}entropy of layer "
    hidden_rows = [(_NAMED.get(name, layer + name), float(h)) for name, h in hidden.items()]
    if "joint" in hidden:
        return [("average entropy of q", posterior), *hidden_rows, ("entropy sum", total)]
    return [
        ("average entropy of q", posterior),
        *([("cost of reweighting", reweighting)] if reweighting else []),
        (f"{pseudo}entropy of the prior", prior),
        *hidden_rows,
        (f"expected {pseudo}entropy of the observables", observable),
        *([("base measures", base_measure)] if pseudo else []),
        ("entropy sum", total),
    ]


@door
def entropy_sum(
    model: Model, parameters: Parameters, q: Variational | None, x: Any, form: Form = "auto"
) -> EntropySum:
    """S = (1/N) Σ_n H[q_n] − H[p(z)] − E_q̄ H[p(x|z)], with q̄ the aggregate posterior.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`elbo`.
    form
        ``"pseudo"`` takes entropies relative to the base measures and adds
        E_q̄ log h(z) + (1/N) Σ_n log g(x_n), which is the form that the identity holds for whatever
        the base measures; ``"true"`` takes true entropies; ``"auto"`` takes the true form where
        both are the same (constant base measures) and the pseudo form otherwise.

    Raises
    ------
    ValueError
        For invalid data, parameters or q, or an unknown ``form``.

    Source: Lücke & Warnken (arXiv:2209.03077), Theorems 1 (constant base measures) and 2.

    >>> from companion import models
    >>> model = models.PPCA(observed=2, latent=1)
    >>> one = torch.ones((), dtype=torch.float64)
    >>> parameters = {"weights": one.expand(2, 1), "mean": one.expand(2), "log_variance": 0 * one}
    >>> entropy_sum(model, parameters, None, one.expand(5, 2))
    average entropy of q                 0.869632
    entropy of the prior                 1.418939
    expected entropy of the observables  2.837877
    entropy sum                          -3.387183
    """
    if form not in ("auto", "true", "pseudo"):
        raise ValueError(f"form must be 'auto', 'true' or 'pseudo': got {form!r}")
    return expected_entropies(model, parameters, *seen(model, parameters, q, x), form)


def expected_entropies(
    model: Model, parameters: Parameters, q: Variational, x: Tensor, form: Form = "auto"
) -> EntropySum:
    """:func:`entropy_sum` for what is known to be valid."""
    q = q.evaluated()
    shared = q.nodes()

    def nodes(factor: Factor) -> Nodes:
        return factor.nodes(q, shared)

    return weighted_sum(model, parameters, x, form, q.entropy().mean(), nodes)


def weighted_sum(
    model: Model,
    parameters: Parameters,
    x: Tensor,
    form: Form,
    posterior: Tensor,
    nodes: Callable[[Factor], Nodes],
    reweighting: float | Tensor = 0.0,
) -> EntropySum:
    """The entropies of all factors at the ``nodes`` that each reads, with what belongs to q.

    Parameters
    ----------
    model, parameters, x, form
        As for :func:`entropy_sum`.
    posterior, reweighting
        The part of q, and what is subtracted for reweighted samples.
    nodes
        Where each factor is evaluated, with weights.
    """
    constant = all(factor.family.constant_base_measure for factor in model.factors)
    pseudo = form == "pseudo" or (form == "auto" and not constant)
    base = torch.zeros_like(posterior)
    entropies: dict[str, Tensor] = {}
    total = posterior - reweighting
    for factor in model.factors:
        terms = entropy_terms(factor, parameters, x, nodes(factor), pseudo)
        entropies[factor.name], base = terms.entropy, base + terms.base_measure
        total = total - terms.excess
    zero = torch.zeros_like(posterior)
    prior, observable = entropies.pop("prior", zero), entropies.pop("observable", zero)
    kind = "pseudo" if pseudo else "true"
    return EntropySum(posterior, prior, observable, base, total, kind, entropies, reweighting)

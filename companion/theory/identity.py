"""The identity ELBO − entropy sum = ⟨∇ELBO, v⟩ at any parameters, its certificate, its zero set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.support import tree
from companion.support.tables import record_html
from companion.theory.elbo import elbo, entropy_sum
from companion.theory.model import Model, Parameters
from companion.theory.variational import Variational

__all__ = ["Verification", "check_q", "full_direction", "verify"]


def full_direction(model: Model, parameters: Parameters, q: Variational) -> dict[str, Tensor]:
    """The direction v over model and variational parameters (the latter named ``q.<name>``).

    Its part on q is zero unless the model has a fixed continuous prior; then q is rescaled.
    """
    return tree.merge(model.gap_direction(parameters), q.rescaling(model.latent_rescaling))


@dataclass(frozen=True, repr=False)
class Verification:
    """The identity at one point: all values in nats per data point.

    ``gap`` is ELBO − entropy sum; ``slope`` is ⟨∇ELBO, v⟩, computed independently of it;
    ``residual`` = |gap − slope| is zero up to round-off, whatever the parameters, data and q.
    ``blocks`` splits the slope by parameter. Three bounds on |gap|, from tight to loose, with g
    the gradient and g_v its entries where v is not zero: ``certificate`` = Σ_b ‖g_b‖ ‖v_b‖ over
    parameters, ``support_certificate`` = ‖g_v‖ ‖v‖, ``full_certificate`` = ‖g‖ ‖v‖. They depend on
    the coordinates of the parameters; gap and slope do not.

    For a model without a gap direction, slope, residual and certificate are NaN: then nothing ties
    the ELBO to the entropy sum.
    """

    elbo: float
    posterior_entropy: float
    prior_entropy: float
    observable_entropy: float
    hidden_entropies: Mapping[str, float]
    base_measure: float
    entropy_sum: float
    form: str
    gap: float
    slope: float
    gradient_norm: float
    certificate: float
    blocks: Mapping[str, float]
    support_certificate: float
    full_certificate: float

    @property
    def residual(self) -> float:
        """|gap − slope|: the error of the identity."""
        return abs(self.gap - self.slope)

    @property
    def relative_residual(self) -> float:
        """The residual divided by 1 + |ELBO|: at most 1e-12 in float64 if all is right."""
        return self.residual / (1 + abs(self.elbo))

    def rows(self) -> list[tuple[str, float]]:
        """Label and value of everything, in reading order."""
        pseudo = "pseudo-" if self.form == "pseudo" else ""
        hidden = [
            (f"average {pseudo}entropy of layer {name}", value)
            for name, value in self.hidden_entropies.items()
        ]
        base = [("base measures", self.base_measure)] if self.form == "pseudo" else []
        return [
            ("ELBO", self.elbo),
            ("average entropy of q", self.posterior_entropy),
            (f"{pseudo}entropy of the prior", self.prior_entropy),
            *hidden,
            (f"expected {pseudo}entropy of the observables", self.observable_entropy),
            *base,
            ("entropy sum", self.entropy_sum),
            ("gap = ELBO − entropy sum", self.gap),
            ("slope = ⟨∇ELBO, v⟩", self.slope),
            ("residual |gap − slope|", self.residual),
            ("gradient norm", self.gradient_norm),
            ("certificate ≥ |gap|", self.certificate),
        ]

    def __str__(self) -> str:
        width = max(len(label) for label, _ in self.rows())
        return "\n".join(f"{label:<{width}}  {_format(value)}" for label, value in self.rows())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return record_html([(label, _format(value).strip()) for label, value in self.rows()])


def _format(value: float) -> str:
    return f"{value: .6f}" if value == 0 or 1e-4 <= abs(value) < 1e7 else f"{value: .2e}"


def _split(merged: Mapping[str, Tensor], q: Variational) -> tuple[dict[str, Tensor], Variational]:
    own, of_q = tree.split(merged)
    return own, q.with_parameters(of_q)


def check_q(model: Model, q: Variational, points: int) -> None:
    """Say in one sentence why ``q`` does not fit the model and its data, if it does not."""
    for name, value in q.parameters.items():
        if value.dtype != torch.float64:
            raise ValueError(f"q must hold float64 tensors: its {name} has dtype {value.dtype}")
    entropy = q.entropy()
    if len(entropy) != points:
        raise ValueError(
            f"q must have one distribution for each of the {points} data points: got {len(entropy)}"
        )
    nodes = q.nodes().z
    if not bool(torch.isfinite(entropy).all() and torch.isfinite(nodes).all()):
        raise ValueError(
            "q must have finite entropies and nodes: found NaN or infinity; are its parameters "
            "finite and its scales not zero?"
        )
    size = nodes.shape[-1]
    if model.latent_size not in (None, size):
        raise ValueError(f"q must be over the model's {model.latent_size} latents: got {size}")


def verify(
    model: Model,
    parameters: Parameters,
    q: Variational,
    x: Any,
    direction: Mapping[str, Tensor] | None = None,
    fixed: Iterable[str] = (),
) -> Verification:
    """Check ELBO − entropy sum = ⟨∇ELBO, v⟩ at the given parameters, q and data.

    No training is needed: the identity holds at every point where the parameterization criterion
    does, up to round-off; the gradient is taken with respect to the model's parameters and, for a
    fixed prior, the parameters of q. ``direction`` replaces v; it has one entry per parameter,
    those of q named ``q.<name>``.

    Raises
    ------
    ValueError
        For invalid data or parameters (see :meth:`companion.theory.model.Model.check`), a q for
        another number of data points, or a direction with other names than the parameters.

    Source: this companion; it contains Theorem 2 of Lücke & Warnken (arXiv:2209.03077) as the case
    of a vanishing gradient.

    >>> from companion import models
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = models.PPCA(observed=5, latent=2)
    >>> parameters = model.initial_parameters(generator)
    >>> x = torch.randn(20, 5, dtype=torch.float64, generator=generator)
    >>> report = verify(model, parameters, model.posterior(parameters, x), x)
    >>> report.relative_residual < 1e-12, abs(report.gap) > 0.05
    (True, True)
    """
    data = model.check(parameters, x)
    check_q(model, q, len(data))
    variables = {k: v.detach() for k, v in tree.merge(parameters, q.parameters).items()}
    constant = held(fixed, variables)
    v: dict[str, Tensor] | None = None
    if direction is not None:
        v = dict(direction)
    elif model.has_gap_direction:
        v = full_direction(model, *_split(variables, q))
    if v is not None and set(v) != set(variables):
        raise ValueError(
            f"direction must have exactly the entries {sorted(variables)}: got {sorted(v)}"
        )
    for name, tangent in (v or {}).items():
        if tangent.shape != variables[name].shape:
            raise ValueError(
                f"direction[{name!r}] must have shape {tuple(variables[name].shape)}: "
                f"got {tuple(tangent.shape)}"
            )

    def objective(merged: Mapping[str, Tensor]) -> Tensor:
        own, moved = _split(merged, q)
        return elbo(model, own, moved, data)

    gradient, value = torch.func.grad_and_value(objective)(variables)
    sums = entropy_sum(model, *_split(variables, q), data)
    blocks = {} if v is None else _blocks(gradient, v)
    return Verification(
        elbo=float(value),
        posterior_entropy=float(sums.posterior),
        prior_entropy=float(sums.prior),
        observable_entropy=float(sums.observable),
        hidden_entropies={name: float(term) for name, term in sums.hidden.items()},
        base_measure=float(sums.base_measure),
        entropy_sum=float(sums.total),
        form=sums.form,
        gap=float(value) - float(sums.total),
        slope=math.nan if v is None else math.fsum(blocks.values()),
        gradient_norm=float(tree.norm({k: v for k, v in gradient.items() if k not in constant})),
        certificate=math.nan if v is None else _certificate(gradient, v),
        blocks=blocks,
        support_certificate=math.nan if v is None else _whole_certificate(gradient, v, True),
        full_certificate=math.nan if v is None else _whole_certificate(gradient, v, False),
    )


def held(fixed: Iterable[str], variables: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The names in ``fixed``, if they are all variables; a ``ValueError`` otherwise."""
    names = (fixed,) if isinstance(fixed, str) else tuple(fixed)
    unknown = [name for name in names if name not in variables]
    if unknown:
        raise ValueError(f"fixed must name some of {sorted(variables)}: got {unknown}")
    return names


def _blocks(gradient: Mapping[str, Tensor], v: Mapping[str, Tensor]) -> dict[str, float]:
    """⟨∇_b ELBO, v_b⟩ for every parameter b on which v is not zero."""
    return {
        name: float((gradient[name] * v[name]).sum()) for name in v if bool((v[name] != 0).any())
    }


def _certificate(gradient: Mapping[str, Tensor], v: Mapping[str, Tensor]) -> float:
    """Σ_b ‖∇_b ELBO‖ ‖v_b‖, the gradient restricted to the entries where v is not zero."""
    return math.fsum(float((gradient[name] * (v[name] != 0)).norm() * v[name].norm()) for name in v)


def _whole_certificate(
    gradient: Mapping[str, Tensor], v: Mapping[str, Tensor], support: bool
) -> float:
    """‖∇ELBO‖ ‖v‖, with ``support`` the gradient restricted to the entries where v is not zero."""
    kept = {name: g * (v[name] != 0) if support else g for name, g in gradient.items()}
    return float(tree.norm(kept) * tree.norm(v))

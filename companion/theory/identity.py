"""The identity ELBO − entropy sum = ⟨∇ELBO, v⟩ at any parameters, its certificate, its zero set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from companion.support import tree
from companion.support.checks import as_names
from companion.support.doors import door
from companion.support.tables import Record
from companion.theory.elbo import EntropySum, entropy_rows, expected_elbo, expected_entropies
from companion.theory.importance import weighted_bound, weighted_entropies, with_samples
from companion.theory.model import Model, Parameters
from companion.theory.variational import Variational

__all__ = ["Verification", "full_direction", "verify"]


@door
def full_direction(model: Model, parameters: Parameters, q: Variational) -> dict[str, Tensor]:
    """The direction v over model and variational parameters (the latter named ``q.<name>``).

    Its part on q is zero unless the model has a fixed continuous prior; then q is rescaled.
    """
    return tree.merge(model.gap_direction(parameters), q.rescaling(model.latent_rescaling))


@dataclass(frozen=True, repr=False)
class Verification(Record):
    """The identity at one point: all values in nats per data point.

    ``gap`` is ELBO − entropy sum; ``slope`` is ⟨∇ELBO, v⟩, computed independently of it;
    ``residual`` = |gap − slope| is zero up to round-off, whatever the parameters, data and q.
    ``blocks`` splits the slope by parameter; ``norms`` has ‖g_b‖ and ‖v_b‖ for each of them, with
    g_b the entries of the gradient where v is not zero.

    Where model or q has no gap direction, slope, residual and certificate are NaN: then nothing
    ties the ELBO to the entropy sum.
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
    blocks: Mapping[str, float]
    norms: Mapping[str, tuple[float, float]]
    reweighting: float = 0.0

    decimals = 6

    @property
    def residual(self) -> float:
        """|gap − slope|: the error of the identity."""
        return abs(self.gap - self.slope)

    @property
    def relative_residual(self) -> float:
        """The residual divided by 1 + |ELBO|: at most 1e-12 in float64 if all is right."""
        return self.residual / (1 + abs(self.elbo))

    @property
    def certificate(self) -> float:
        """Σ_b ‖g_b‖ ‖v_b‖ ≥ |gap|: it depends on the coordinates of the parameters, gap doesn't."""
        bound = math.fsum(g * v for g, v in self.norms.values())
        return math.nan if math.isnan(self.slope) else bound

    def rows(self) -> list[tuple[str, float]]:
        """Label and value of everything, in reading order."""
        three = (self.posterior_entropy, self.prior_entropy, self.observable_entropy)
        values = (*three, self.base_measure, self.entropy_sum)
        bound = "bound" if self.reweighting else "ELBO"
        return [
            (bound, self.elbo),
            *entropy_rows(self.form, self.hidden_entropies, values, self.reweighting),
            (f"gap = {bound} − entropy sum", self.gap),
            (f"slope = ⟨∇{bound}, v⟩", self.slope),
            ("residual |gap − slope|", self.residual),
            ("gradient norm", self.gradient_norm),
            ("certificate ≥ |gap|", self.certificate),
        ]


@door
def verify(
    model: Model,
    parameters: Parameters,
    q: Variational | None,
    x: Any,
    direction: Mapping[str, Tensor] | None = None,
    fixed: Iterable[str] = (),
    samples: int | None = None,
) -> Verification:
    """Check ELBO − entropy sum = ⟨∇ELBO, v⟩ at the given parameters, q and data.

    No training is needed: the identity holds at every point where the parameterization criterion
    does, up to round-off; the gradient is taken with respect to the model's parameters and, for a
    fixed prior, the parameters of q.

    Parameters
    ----------
    model, parameters
        A model and its parameters by name.
    q
        A distribution over the latents for every data point; ``None`` is the exact posterior.
    x
        Data, ``(N, D)``: a tensor, an array or nested lists.
    direction
        What to take in place of v: one entry per parameter, those of q named ``q.<name>``.
    fixed
        Parameters that do not count in the gradient norm.
    samples
        K: what is checked is the importance-weighted bound of K frozen samples of a Gaussian q for
        each data point, against its four entropies, in place of the ELBO. A q with as many samples
        as its rule keeps them.

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
    q, data = model.checked(parameters, q, x)
    names = held(fixed, q.join(parameters))
    if samples is not None:
        q = with_samples(q, samples)
    return verification(model, parameters, q, data, direction, names, samples is not None)


def verification(
    model: Model,
    parameters: Parameters,
    q: Variational,
    x: Tensor,
    direction: Mapping[str, Tensor] | None = None,
    fixed: Iterable[str] = (),
    weighted: bool = False,
) -> Verification:
    """:func:`verify` for what is known to be valid, as within a fit; arguments as there."""
    variables = q.join(parameters)
    v = None if direction is None else dict(direction)
    followed = q.can_be_rescaled or not torch.as_tensor(model.latent_rescaling).any()
    if v is None and model.has_gap_direction and followed:
        v = full_direction(model, *q.split(variables))
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
    return evaluate(model, parameters, q, x, weighted).report(v, fixed)


class Evaluation(NamedTuple):
    """ELBO, its gradient in all variables, and entropy sum at one point."""

    value: Tensor
    gradient: Mapping[str, Tensor]
    sums: EntropySum

    def toward(self, other: Evaluation, share: float) -> Evaluation:
        """This, for 1 − ``share`` of the data, and another for the rest, as one: all are means."""
        gradient = {k: torch.lerp(g, other.gradient[k], share) for k, g in self.gradient.items()}
        value = torch.lerp(self.value, other.value, share)
        return Evaluation(value, gradient, self.sums.toward(other.sums, share))

    def finite(self) -> Evaluation:
        """This; a ``ValueError`` if a value overflowed, or is no number."""
        length = tree.norm(dict(self.gradient))
        if not bool(torch.isfinite(self.value + self.sums.total + length)):
            raise ValueError(
                "parameters must be where ELBO, entropy sum and gradient are finite: found ELBO "
                f"{float(self.value):.6g}, entropy sum {float(self.sums.total):.6g} and gradient "
                f"norm {float(length):.6g}"
            )
        return self

    def report(self, v: Mapping[str, Tensor] | None, fixed: Iterable[str] = ()) -> Verification:
        """The identity along v, ``None`` if there is none; ``fixed`` not in the gradient norm."""
        sums, gradient = self.sums, self.gradient
        moved = {name: step for name, step in (v or {}).items() if bool((step != 0).any())}
        blocks = {name: float((gradient[name] * step).sum()) for name, step in moved.items()}
        norms = {
            name: (float((gradient[name] * (step != 0)).norm()), float(step.norm()))
            for name, step in moved.items()
        }
        return Verification(
            elbo=float(self.value),
            posterior_entropy=float(sums.posterior),
            prior_entropy=float(sums.prior),
            observable_entropy=float(sums.observable),
            hidden_entropies={name: float(term) for name, term in sums.hidden.items()},
            base_measure=float(sums.base_measure),
            entropy_sum=float(sums.total),
            form=sums.form,
            gap=float(self.value) - float(sums.total),
            slope=math.nan if v is None else math.fsum(blocks.values()),
            gradient_norm=float(tree.norm({k: g for k, g in gradient.items() if k not in fixed})),
            blocks=blocks,
            norms=norms,
            reweighting=float(sums.reweighting),
        )


def evaluate(
    model: Model, parameters: Parameters, q: Variational, x: Tensor, weighted: bool = False
) -> Evaluation:
    """All that the identity is about, from one run of the model and of an encoder.

    The arguments are those of :func:`verify`, valid; ``q`` is held: the gradient is taken with
    respect to its parameters as variables of their own.

    Raises
    ------
    ValueError
        If a value overflows, or is no number.
    """
    leaves = {name: value.requires_grad_() for name, value in q.join(parameters).items()}
    with torch.enable_grad():
        own, moved = q.split(leaves)
        seen = model.resolved(own, moved, x).evaluated()
        value = (weighted_bound if weighted else expected_elbo)(model, own, seen, x)
    # Not torch.func.grad, whose first use in a process imports a compiler.
    gradient = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
    with torch.no_grad():
        sums = (weighted_entropies if weighted else expected_entropies)(model, own, seen, x)
    return Evaluation(value.detach(), dict(zip(leaves, gradient, strict=True)), sums).finite()


def held(fixed: Iterable[str], variables: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The names in ``fixed``, if they are all variables; a ``ValueError`` otherwise."""
    chosen = as_names(fixed)
    unknown = [name for name in chosen if name not in variables]
    if unknown:
        raise ValueError(f"fixed must name some of {sorted(variables)}: got {unknown}")
    return chosen

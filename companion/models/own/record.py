"""A VAE's ELBO, three entropies, gap and slope, and the verdict on its loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributions as td

from companion.models.own.outputs import per_point
from companion.models.own.temper import stripped, tempered
from companion.models.own.terms import shaped
from companion.support.tables import Cell, Record

__all__ = ["Entropies", "VAEVerification", "entropies"]

#: Round-off that is allowed, in units of eps · √(entries) · Σ|terms|.
ROUND_OFF = 64


@dataclass(frozen=True, repr=False)
class Entropies(Record):
    """F, and the entropies that it is the sum of where both slopes are zero; nats per data point.

    ``observable_entropy`` is relative to the base measure where ``form`` is "pseudo"; its mean log
    density is then ``base_measure``. ``prior_slope`` and ``observable_slope`` say how fast F grows
    as prior and noise become colder.
    """

    elbo: float
    posterior_entropy: float
    prior_entropy: float
    observable_entropy: float
    base_measure: float
    prior_slope: float
    observable_slope: float
    form: str
    tolerance: float

    decimals = 6

    @property
    def entropy_sum(self) -> float:
        """H[q] − H[p(z)] − E H[p(x|z)], plus what base measures contribute."""
        return (
            self.posterior_entropy
            - self.prior_entropy
            - self.observable_entropy
            + self.base_measure
        )

    @property
    def gap(self) -> float:
        """ELBO − entropy sum."""
        return self.elbo - self.entropy_sum

    @property
    def slope(self) -> float:
        """dF/dt, prior and noise becoming colder together."""
        return self.prior_slope + self.observable_slope

    @property
    def residual(self) -> float:
        """|gap − slope|."""
        return abs(self.gap - self.slope)

    @property
    def holds(self) -> bool:
        """Whether gap and slope agree up to round-off."""
        return self.residual <= self.tolerance

    def rows(self) -> list[tuple[str, Cell]]:
        """Label and value, in reading order."""
        pseudo = ", pseudo" if self.form == "pseudo" else ""
        return [
            ("ELBO", self.elbo),
            ("entropy of q(z|x)", self.posterior_entropy),
            ("entropy of the prior", self.prior_entropy),
            (f"entropy of p(x|z){pseudo}", self.observable_entropy),
            *([("base measure", self.base_measure)] if self.form == "pseudo" else []),
            ("entropy sum", self.entropy_sum),
            ("gap = ELBO − entropy sum", self.gap),
            ("slope, prior colder", self.prior_slope),
            ("slope, noise colder", self.observable_slope),
            ("residual |gap − slope|", self.residual),
        ]


@dataclass(frozen=True, repr=False)
class VAEVerification(Record):
    """What :func:`verify_vae` found.

    ``value_right`` and ``gradient_right`` say whether the loss is the negative ELBO, up to a factor
    that the notes name; ``None`` where no loss was given or nothing can be said. ``findings`` are
    what is wrong with it, ``notes`` what is good to know, one sentence each.
    """

    entropies: Entropies
    loss: float | None
    value_right: bool | None
    gradient_right: bool | None
    findings: tuple[str, ...]
    notes: tuple[str, ...]

    decimals = 6

    @property
    def passed(self) -> bool:
        """Whether the identity holds and, if a loss was given, its value and gradient are right."""
        judged = self.loss is None or (self.value_right is True and self.gradient_right is True)
        return self.entropies.holds and judged

    def rows(self) -> list[tuple[str, Cell]]:
        """Label and value of everything, in reading order."""
        rows = self.entropies.rows()
        if self.loss is not None:
            rows += [
                ("the loss", self.loss),
                ("its value", _verdict(self.value_right, "is the negative ELBO")),
                ("its gradient", _verdict(self.gradient_right, "is that of the negative ELBO")),
            ]
        rows += [("found", sentence) for sentence in self.findings]
        rows += [("note", sentence) for sentence in self.notes]
        if not self.entropies.holds:
            rows.append(("found", "Gap and slope differ: densities and entropies do not agree."))
        return rows


def _verdict(right: bool | None, words: str) -> str:
    if right is None:
        return "undecided"
    return words if right else words.replace("is", "is NOT", 1)


def entropies(
    q: td.Distribution,
    decode: Callable[[Tensor], td.Distribution],
    prior: td.Distribution,
    x: Tensor,
    samples: int,
) -> Entropies:
    """ELBO, entropies and slopes.

    Parameters
    ----------
    q
        q(z|x) of all data points.
    decode
        z to p(x|z).
    prior
        p(z), in the shape of q.
    x
        Data.
    samples
        How many z are drawn for each data point.
    """
    points = x.shape[0]
    q = stripped(q)
    colder = tempered(prior, free=True)
    one = torch.ones((), dtype=q.mean.dtype, device=q.mean.device)
    zs = [q.rsample() for _ in range(samples)]

    def mean_of(values: list[Tensor]) -> float:
        return math.fsum(float(per_point(v, points).detach()) for v in values) / len(values)

    def to_prior(t: Tensor) -> Tensor:
        return per_point(td.kl_divergence(q, colder.at(t)), points)

    try:
        kl = float(to_prior(one).detach())
        prior_slope = -float(torch.func.jvp(to_prior, (one,), (one,))[1].detach())
        entropy = mean_of([q.entropy()])
    except NotImplementedError:
        entropy = mean_of([-q.log_prob(z) for z in zs])
        kl = -entropy - mean_of([prior.log_prob(z) for z in zs])
        prior_slope = mean_of([colder.slope(z) for z in zs])
    reconstruction, observable, base, slope = [], [], [], []
    for z in zs:
        p = decode(z)
        target = shaped(p, x)
        single, cold = stripped(p), tempered(p)
        reconstruction.append(single.log_prob(target))
        observable.append(cold.entropy.expand(reconstruction[-1].shape))
        slope.append(cold.slope(target))
        if cold.log_base is not None:
            base.append(cold.log_base(target).expand(reconstruction[-1].shape))
    terms = (
        mean_of(reconstruction),
        -kl,
        entropy,
        mean_of(observable),
        mean_of(base) if base else 0.0,
    )
    size = math.fsum(map(abs, terms))
    if not math.isfinite(size):
        raise ValueError(
            "encoder and decoder must give finite densities and entropies at x: got "
            f"E log p(x|z) = {terms[0]:.6g}, KL = {kl:.6g}, H[q] = {entropy:.6g}; scale the data "
            "or bound the log-variances"
        )
    entries = x.numel() // points + q.mean.numel() // points
    return Entropies(
        elbo=terms[0] - kl,
        posterior_entropy=entropy,
        prior_entropy=mean_of([colder.entropy]),
        observable_entropy=terms[3],
        base_measure=terms[4],
        prior_slope=prior_slope,
        observable_slope=mean_of(slope),
        form="pseudo" if base else "true",
        tolerance=ROUND_OFF * torch.finfo(one.dtype).eps * math.sqrt(entries) * size,
    )

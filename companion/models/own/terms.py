"""The reconstruction's terms for a decoder's family, and what people write in their place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from torch import distributions as td
from torch.nn import functional as nnf

from companion.models.own.outputs import per_point
from companion.models.own.temper import stripped

__all__ = ["Stand", "Terms", "shaped", "terms_of"]

LOG_2PI = math.log(2 * math.pi)
#: A probability nearer than this to 0 or 1 is cut off by torch's binary cross-entropy.
SATURATED = 1e-12


@dataclass(frozen=True)
class Stand:
    """What stands where −log p(x|z) should: words for it, its value, and what of it is right."""

    words: str
    value: Callable[[], Tensor]
    right: bool = False
    constant: float = 0.0


@dataclass(frozen=True)
class Terms:
    """−E log p(x|z) = Σ parts + constant, in nats per data point; parts carry gradients.

    ``constants`` names what the constant is made of.
    """

    parts: dict[str, Tensor]
    constants: dict[str, float]
    others: dict[str, Stand] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def shaped(p: td.Distribution, x: Tensor) -> Tensor:
    """Data in the shape of the decoder's distribution.

    Raises
    ------
    ValueError
        If the numbers of entries differ.
    """
    shape = p.batch_shape + p.event_shape
    if x.numel() != shape.numel():
        raise ValueError(
            f"decoder must return one distribution for each entry of x: got shape {tuple(shape)} "
            f"for x of shape {tuple(x.shape)}"
        )
    return x.reshape(shape)


def terms_of(p: td.Distribution, x: Tensor) -> Terms:
    """The terms of −log p(x|z) for data x; see :class:`Terms`."""
    points = x.shape[0]
    x = shaped(p, x)
    p = stripped(p)
    observed = x.numel() // points
    if isinstance(p, td.Normal):
        return _normal(p, x, points, observed)
    if isinstance(p, td.Bernoulli):
        return _bernoulli(p, x, points)
    constants = {}
    if isinstance(p, td.Poisson):
        constants["log x!"] = float(per_point(torch.lgamma(x + 1), points).detach())
    try:
        nll = -per_point(p.log_prob(x), points)
    except ValueError as error:
        says = f"x must lie in the support of the decoder's {type(p).__name__}: {error}"
        raise ValueError(says.splitlines()[0]) from error
    others = {}
    if isinstance(p, td.ContinuousBernoulli):
        others["bce"] = Stand(
            "the cross-entropy without the continuous Bernoulli's normaliser,",
            lambda: _cross_entropy(p.logits, x, points),
        )
    if x.is_floating_point() and p.mean.shape == x.shape and type(p) is not td.OneHotCategorical:
        others |= _distances(p.mean, x, points)
    return Terms({"nll": nll - math.fsum(constants.values())}, constants, others)


def _cross_entropy(logits: Tensor, x: Tensor, points: int) -> Tensor:
    return per_point(nnf.binary_cross_entropy_with_logits(logits, x, reduction="none"), points)


def _distances(m: Tensor, x: Tensor, points: int) -> dict[str, Stand]:
    def total(entries: Tensor) -> Tensor:
        return per_point(entries, points)

    return {
        "mse": Stand("the squared error", lambda: total((x - m).square())),
        "l1": Stand("the absolute error", lambda: total((x - m).abs())),
        "huber": Stand("the Huber loss", lambda: total(nnf.smooth_l1_loss(m, x, reduction="none"))),
    }


def _normal(p: td.Normal, x: Tensor, points: int, observed: int) -> Terms:
    m, s = torch.broadcast_tensors(p.loc, p.scale)
    square = (x - m).square()

    def over(width: str, power: int) -> Stand:
        words = f"the squared error over {width}, not σ²,"
        return Stand(words, lambda: per_point(0.5 * square / s**power, points))

    parts = {"sq": per_point(0.5 * square / s.square(), points)}
    constants = {"(D/2) log 2π": observed / 2 * LOG_2PI}
    width = per_point(s.log(), points)
    others = _distances(m, x, points)
    if s.requires_grad:
        parts["lv"] = width
        others |= {"sq1": over("σ", 1), "sq4": over("σ⁴", 4)}
    else:
        if known := float(width.detach()):
            constants["D log σ"] = known
        del others["mse"]
    words = "the logarithm of the mean squared error (σ² at its optimum)"
    shared = observed / 2 * (LOG_2PI + 1)
    kinds = {
        "": (words, lambda: observed / 2 * square.mean().log()),
        "_d": (f"{words}, for each observable,", lambda: 0.5 * square.mean(0).log().sum()),
        "_n": (
            f"{words}, for each data point,",
            lambda: observed / 2 * square.reshape(points, -1).mean(1).log().mean(),
        ),
    }
    for key, (name, value) in kinds.items():
        others[f"profiled{key}"] = Stand(name, value, right=True, constant=shared)
    if bool(((m > 0) & (m < 1) & (x >= 0) & (x <= 1)).all()):
        others["bce"] = Stand(
            "the binary cross-entropy",
            lambda: per_point(nnf.binary_cross_entropy(m, x, reduction="none"), points),
        )
    others["bcel"] = Stand(
        "the binary cross-entropy of a sigmoid",
        lambda: _cross_entropy(m, x, points),
    )
    return Terms(parts, constants, others)


def _bernoulli(p: td.Bernoulli, x: Tensor, points: int) -> Terms:
    def total(entries: Tensor) -> Tensor:
        return per_point(entries, points)

    notes: tuple[str, ...] = ()
    others: dict[str, Stand] = {}
    if not bool(((x == 0) | (x == 1)).all()):
        notes = (
            "x has values between 0 and 1, for which a Bernoulli density is not normalised: the "
            "value is no bound on a log-likelihood. With ContinuousBernoulli it is one.",
        )
        continuous = td.ContinuousBernoulli(logits=p.logits, validate_args=False)
        others["continuous"] = Stand(
            "that of a continuous Bernoulli (let the decoder return one),",
            lambda: -total(continuous.log_prob(x)),
        )
    if "probs" in p.__dict__:
        q = p.probs
        gone = int(((q * (1 - q)) < SATURATED).sum())
        if gone:
            notes += (
                f"{gone} of {q.numel()} probabilities are 0 or 1 to the last digit, where torch "
                "cuts logarithms off: return logits.",
            )
            exact = td.Bernoulli(probs=q, validate_args=False)
            others["exact"] = Stand(
                "the cross-entropy of clamped probabilities",
                lambda: -total(exact.log_prob(x)),
                right=True,
            )
        nll = total(nnf.binary_cross_entropy(q, x, reduction="none"))
        others["bcel"] = Stand(
            "the binary cross-entropy of a second sigmoid",
            lambda: _cross_entropy(q, x, points),
        )
        for power in range(2, 11):
            shift = 10.0**-power
            others[f"shift{power}"] = Stand(
                f"the cross-entropy with 1e-{power} added inside the logarithms",
                partial(_shifted, q, x, points, shift),
            )
        distances = _distances(q, x, points)
    else:
        nll = _cross_entropy(p.logits, x, points)
        distances = _distances(torch.sigmoid(p.logits), x, points)
        raw = _distances(p.logits, x, points)["mse"]
        others["mse_l"] = Stand(f"{raw.words} of the logits", raw.value)
    return Terms({"nll": nll}, {}, others | distances, notes)


def _shifted(q: Tensor, x: Tensor, points: int, shift: float) -> Tensor:
    """Cross-entropy with a small number added inside the logarithms."""
    return -per_point(x * (q + shift).log() + (1 - x) * (1 - q + shift).log(), points)

"""The pieces of an ELBO's gradient: each term, each path by which it reaches a parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

from companion.models.own.kl import closed, registered, sampled
from companion.models.own.looks import Look, Make, Noise, Sample
from companion.models.own.noise import set_state
from companion.models.own.outputs import encoded, matched, normal_parts
from companion.models.own.programs import Program
from companion.models.own.temper import stripped
from companion.models.own.terms import Terms

__all__ = ["look"]


def look(
    program: Program,
    given: Any,
    reading: str,
    observe: Callable[[Tensor], Terms],
    prior: td.Distribution | None,
    noise: Noise,
    make: Make,
    wide: bool = False,
    floors: Sequence[tuple[str, float]] = (),
) -> Look:
    """All pieces for one reading of the encoder's output and one way to make z.

    Parameters
    ----------
    program
        In whose parameters the gradients are.
    given
        What the encoder returned, with its graph.
    reading
        How its second tensor is read.
    observe
        Decodes z and gives the terms of the reconstruction.
    prior
        p(z); ``None`` is N(0, I).
    noise
        What z is made of.
    make
        How it is made.
    wide
        Whether to add what people write in place of the right terms.
    floors
        Floors under the KL divergence, by form.
    """
    q = stripped(encoded(given, reading))
    p = matched(prior, q)
    points = (q.batch_shape + q.event_shape)[0]
    mean, std = normal_parts(q) or (q.mean, None)
    normal = normal_parts(p)
    found = Look(program, mean[0].numel(), 0)
    if std is not None and normal is not None:
        closed(found, mean, std, normal, points, wide, floors)
    else:
        registered(found, q, p)
    for sample, after in _samples(q, mean, std, noise, make):
        sampled(found, q, p, sample)
        set_state(after)
        _observed(found, observe, sample, wide)
    return found


def _samples(
    q: td.Distribution, mean: Tensor, std: Tensor | None, noise: Noise, make: Make
) -> Iterator[tuple[Sample, tuple[Tensor, ...]]]:
    share = 1 / len(noise.values)
    for number, after in enumerate(noise.after):
        if std is None:
            set_state(noise.before[number])
            yield Sample(q.rsample(), mean, None, share), after
        else:
            m, t = (part.detach().requires_grad_() for part in (mean, std))
            z = make(m, t, noise.values[number].reshape(mean.shape).to(mean))
            yield Sample(z.detach(), mean, std, share, *torch.autograd.grad(z.sum(), (m, t))), after


def _observed(found: Look, observe: Callable[[Tensor], Terms], sample: Sample, wide: bool) -> None:
    z = sample.z.detach().requires_grad_()
    terms = observe(z)
    found.notes, parts = terms.notes, dict(terms.parts)
    if wide:
        found.stands = terms.others
        parts |= {f"other {name}": stand.value() for name, stand in terms.others.items()}
    for name, value in parts.items():
        found.follow(name, value, sample, z)
    for name, constant in terms.constants.items():
        found.constants[name] = found.constants.get(name, 0.0) + sample.share * constant

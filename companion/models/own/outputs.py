"""Reading what an encoder and a decoder return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

from companion.models.own.temper import stripped
from companion.support.checks import one_of

__all__ = [
    "LIKELIHOODS",
    "READINGS",
    "decoded",
    "encoded",
    "matched",
    "normal_parts",
    "other_readings",
    "per_point",
]

#: Readings of an encoder's second tensor, as the standard deviation that it stands for.
READINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "log-variance": lambda r: (r / 2).exp(),
    "standard deviation": lambda r: r,
    "log standard deviation": torch.exp,
    "variance": torch.sqrt,
}

#: What `likelihood` may say of a decoder that returns a tensor.
LIKELIHOODS = ("bernoulli", "bernoulli_logits", "gaussian", "laplace", "poisson", "categorical")

_PAIRS = (("mean", "mu", "loc", "z_mean", "mean_z"), ("logvar", "log_var", "log_variance"))


def per_point(entries: Tensor, points: int) -> Tensor:
    """Sum over everything but the first dimension, mean over that: nats per data point."""
    return entries.reshape(points, -1).sum(1).mean()


def _pair(given: Any, name: str, second: str) -> tuple[Tensor, Tensor] | None:
    """Two tensors from a pair or a dictionary with known keys; ``None`` for anything else."""
    if isinstance(given, dict):
        keys = [next((key for key in names if key in given), None) for names in _PAIRS]
        if None in keys:
            raise ValueError(
                f"{name} must return a distribution or mean and {second}: got a dictionary with "
                f"the keys {sorted(map(str, given))}; return (mean, log_variance)"
            )
        given = tuple(given[key] for key in keys)
    if not isinstance(given, tuple | list):
        return None
    if len(given) != 2 or not all(isinstance(part, Tensor) for part in given):
        kinds = ", ".join(type(part).__name__ for part in given)
        raise ValueError(
            f"{name} must return a distribution or mean and {second}: got {len(given)} parts "
            f"({kinds}); pick the two with a lambda, and give a hierarchy of latents as one q"
        )
    return given[0], given[1]


def encoded(given: Any, reading: str = "log-variance") -> td.Distribution:
    """q(z|x) from what an encoder returned: a distribution, or mean and log-variance.

    Raises
    ------
    ValueError
        If it is neither, if mean and log-variance differ in shape, or q cannot be sampled with
        gradients (a discrete latent).
    """
    if isinstance(given, td.Distribution):
        if not given.has_rsample:
            raise ValueError(
                "encoder must return a distribution with rsample: got "
                f"{type(stripped(given)).__name__}; sum out or relax a discrete latent"
            )
        try:
            _ = given.mean
        except NotImplementedError as error:
            raise ValueError(
                "encoder must return a distribution whose mean torch knows: got "
                f"{type(stripped(given)).__name__}; flows are not judged"
            ) from error
        return given
    pair = _pair(given, "encoder", "log-variance")
    if pair is None:
        raise ValueError(
            "encoder must return a distribution or mean and log-variance: got "
            f"{type(given).__name__}; return Normal(mean, std), or (mean, log_variance)"
        )
    mean, second = pair
    if mean.shape != second.shape:
        raise ValueError(
            "encoder must return mean and log-variance of one shape: got "
            f"{tuple(mean.shape)} and {tuple(second.shape)}"
        )
    return td.Normal(mean, READINGS[reading](second), validate_args=False)


def other_readings(given: Any) -> list[str]:
    """Readings of an encoder's pair other than (mean, log-variance) that give positive stds."""
    stds = {
        reading: normal_parts(encoded(given, reading))
        for reading in READINGS
        if reading != "log-variance"
    }
    return [
        reading for reading, parts in stds.items() if parts and bool((parts[1].detach() > 0).all())
    ]


def matched(prior: td.Distribution | None, q: td.Distribution) -> td.Distribution:
    """The prior for every latent of q: N(0, I) where none is given, expanded to q's shape.

    Raises
    ------
    ValueError
        If its shape does not expand to that of q.
    """
    q = stripped(q)
    shape = q.batch_shape + q.event_shape
    if prior is None:
        zeros = torch.zeros(shape, dtype=q.mean.dtype, device=q.mean.device)
        if isinstance(q, td.MultivariateNormal | td.LowRankMultivariateNormal):
            eye = torch.eye(shape[-1], dtype=zeros.dtype, device=zeros.device)
            return td.MultivariateNormal(zeros, scale_tril=eye)
        return td.Normal(zeros, torch.ones_like(zeros))
    if not isinstance(prior, td.Distribution):
        raise ValueError(
            "prior must be a distribution of torch or a function that returns one: got "
            f"{type(prior).__name__}"
        )
    single = stripped(prior)
    try:
        return single.expand(shape[: len(shape) - len(single.event_shape)])
    except RuntimeError as error:
        raise ValueError(
            f"prior must have the latents of q, of shape {tuple(shape)}: got "
            f"{tuple(prior.batch_shape + prior.event_shape)}"
        ) from error


def normal_parts(p: td.Distribution) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation, in one shape, of independent normals; else ``None``."""
    p = stripped(p)
    if type(p) is not td.Normal:
        return None
    mean, std = torch.broadcast_tensors(p.loc, p.scale)
    return mean, std


def decoded(given: Any, x: Tensor, likelihood: str | None, variance: Any) -> td.Distribution:
    """p(x|z) from what a decoder returned: a distribution, mean and log-variance, or a tensor.

    Parameters
    ----------
    given
        What it returned.
    x
        Data.
    likelihood
        What a tensor is: one of :data:`LIKELIHOODS`.
    variance
        Of the noise where ``likelihood`` is ``gaussian``.

    Raises
    ------
    ValueError
        If a tensor comes without ``likelihood``, or with one that is not among :data:`LIKELIHOODS`.
    """
    if likelihood is not None:
        one_of(likelihood, "likelihood", LIKELIHOODS)
    if isinstance(given, td.Distribution):
        return given
    if (pair := _pair(given, "decoder", "log-variance")) is not None:
        return td.Normal(pair[0], (pair[1] / 2).exp(), validate_args=False)
    if not isinstance(given, Tensor):
        raise ValueError(
            "decoder must return a distribution, a tensor, or mean and log-variance: got "
            f"{type(given).__name__}"
        )
    if likelihood is None:
        raise ValueError(
            f"likelihood must be one of {', '.join(LIKELIHOODS)} where the decoder returns a "
            f"tensor: got {likelihood!r}"
        )
    if likelihood == "gaussian":
        scale = torch.as_tensor(variance, dtype=given.dtype, device=given.device).sqrt()
        if not bool((scale.detach() > 0).all()):
            raise ValueError(f"variance must be positive: got {variance!r}")
        return td.Normal(given, scale, validate_args=False)
    if likelihood == "categorical":
        last = given.shape[:-1] == x.shape or given.shape == x.shape
        family = td.OneHotCategorical if given.shape == x.shape else td.Categorical
        return family(logits=given if last else given.movedim(1, -1), validate_args=False)
    made: tuple[type, dict[str, Tensor]] = {
        "laplace": (td.Laplace, {"loc": given, "scale": torch.ones_like(given)}),
        "poisson": (td.Poisson, {"rate": given}),
        "bernoulli": (td.Bernoulli, {"probs": given}),
        "bernoulli_logits": (td.Bernoulli, {"logits": given}),
    }[likelihood]
    return made[0](**made[1], validate_args=False)

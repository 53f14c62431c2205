"""Dictionaries of tensors as vectors: inner products, norms, flattening."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["add", "flatten", "inner", "merge", "norm", "scale", "split", "unflatten"]

Tensors = Mapping[str, Tensor]
Q_PREFIX = "q."


def inner(a: Tensors, b: Tensors) -> Tensor:
    """⟨a, b⟩ = Σ_k Σ_i a_ki b_ki."""
    return torch.stack([(a[name] * b[name]).sum() for name in a]).sum()


def norm(a: Tensors) -> Tensor:
    """Euclidean norm of all entries."""
    return torch.sqrt(torch.stack([(value * value).sum() for value in a.values()]).sum())


def add(a: Tensors, b: Tensors, step: float | Tensor = 1.0) -> dict[str, Tensor]:
    """a + step · b."""
    return {name: a[name] + step * b[name] for name in a}


def scale(a: Tensors, factor: float | Tensor) -> dict[str, Tensor]:
    """factor · a.

    >>> scale({"b": torch.ones(2)}, 3.0)
    {'b': tensor([3., 3.])}
    """
    return {name: factor * value for name, value in a.items()}


def merge(parameters: Tensors, q_parameters: Tensors) -> dict[str, Tensor]:
    """Model and variational parameters in one dictionary, the latter as ``q.<name>``."""
    return dict(parameters) | {Q_PREFIX + name: value for name, value in q_parameters.items()}


def split(merged: Tensors) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The inverse of :func:`merge`."""
    own = {k: v for k, v in merged.items() if not k.startswith(Q_PREFIX)}
    q = {k.removeprefix(Q_PREFIX): v for k, v in merged.items() if k.startswith(Q_PREFIX)}
    return own, q


def flatten(a: Tensors) -> Tensor:
    """All entries as one vector, in the order of the dictionary."""
    return torch.cat([value.reshape(-1) for value in a.values()])


def unflatten(vector: Tensor, like: Tensors) -> dict[str, Tensor]:
    """The inverse of :func:`flatten`, with names and shapes of ``like``."""
    pieces = vector.split([value.numel() for value in like.values()])
    return {
        name: piece.reshape(value.shape)
        for (name, value), piece in zip(like.items(), pieces, strict=True)
    }

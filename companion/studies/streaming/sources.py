"""Streams of batches whose law switches at known times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.support.checks import as_data, positive_integer

__all__ = ["Array", "ResampledStream", "Stream", "SwitchingStream", "moments"]

Array = np.ndarray[Any, np.dtype[np.float64]]


def moments(x: Array) -> Array:
    """(1/B) Σ_n x̃_n x̃_nᵀ with x̃ = (x, 1), of every batch: ``(..., B, D)`` to ``(..., D+1, D+1)``.

    Second moments, mean and 1 in one matrix: all that an ELBO which is quadratic in x needs.
    """
    extended = np.concatenate([x, np.ones((*x.shape[:-1], 1))], -1)
    return np.swapaxes(extended, -1, -2) @ extended / x.shape[-2]


class Stream(ABC):
    """Batches of ``batch_size`` points in ``observed`` dimensions; ``batches`` in each segment.

    ``truth`` names, for every segment, the number of latents that a selection should find there.
    """

    truth: tuple[int, ...]
    batches: int
    batch_size: int
    observed: int

    @abstractmethod
    def segment(self, index: int, count: int, setting: Any, rng: np.random.Generator) -> Array:
        """The next ``count`` batches of one segment, ``(count, B, D)``."""

    def setting(self, rng: np.random.Generator) -> Any:
        """What is drawn once for the whole stream and handed to every segment."""
        return None

    @property
    def length(self) -> int:
        """T, the number of batches of the whole stream."""
        return self.batches * len(self.truth)

    @property
    def switches(self) -> tuple[int, ...]:
        """The batch with which each segment begins; the first is 0."""
        return tuple(range(0, self.length, self.batches))

    def blocks(self, seed: int, size: int = 200) -> Iterator[Array]:
        """The stream in pieces of at most ``size`` batches, ``(t, B, D)``, none across a switch.

        The same ``seed`` and ``size`` give the same numbers.
        """
        positive_integer(size, "size")
        rng = np.random.default_rng(seed)
        setting = self.setting(rng)
        for index in range(len(self.truth)):
            for start in range(0, self.batches, size):
                count = min(size, self.batches - start)
                yield self.segment(index, count, setting, rng)

    def batch(self, seed: int, index: int) -> Tensor:
        """One batch of the stream ``seed``, counted from 0, ``(B, D)``.

        Raises
        ------
        ValueError
            For an index that the stream does not reach.
        """
        passed = 0
        for block in self.blocks(seed):
            if 0 <= index - passed < len(block):
                return torch.from_numpy(block[index - passed])
            passed += len(block)
        raise ValueError(f"index must lie between 0 and {self.length - 1}: got {index}")


@dataclass(frozen=True)
class SwitchingStream(Stream):
    """x = U_k diag(s_1 … s_k) ε + noise, with a number k of latents that switches.

    U is a random orthogonal basis, drawn once; segment i uses its first k = ``truth[i]`` columns.
    s_1 … s_D rise evenly from ``stds[0]`` to ``stds[1]``, ε ~ N(0, I) and the noise has standard
    deviation ``noise_std``: each segment is a probabilistic PCA model with k latents.

    Source: the published code of Damm et al. (arXiv:2010.14860); its sizes are the defaults.

    >>> stream = SwitchingStream(batches=4)
    >>> next(stream.blocks(seed=0)).shape, stream.switches
    ((4, 10, 10), (0, 4, 8))
    """

    truth: tuple[int, ...] = (6, 2, 4)
    batches: int = 10_000
    batch_size: int = 10
    observed: int = 10
    noise_std: float = 0.1
    stds: tuple[float, float] = (1.0, 5.0)

    def __post_init__(self) -> None:
        for name in ("batches", "batch_size", "observed"):
            positive_integer(getattr(self, name), name)
        _check_truth(self.truth)
        if max(self.truth) >= self.observed:
            raise ValueError(
                f"truth must stay below observed={self.observed}: got {list(self.truth)}"
            )
        if not self.noise_std > 0 or not min(self.stds) > 0:
            raise ValueError(
                "noise_std and stds must be positive: got "
                f"noise_std={self.noise_std}, stds={self.stds}"
            )

    def setting(self, rng: np.random.Generator) -> Array:
        """The basis U, each column times its standard deviation, ``(D, D)``."""
        basis = np.linalg.svd(rng.standard_normal((self.observed, self.observed)))[0]
        return basis * np.linspace(*self.stds, self.observed)

    def segment(self, index: int, count: int, setting: Array, rng: np.random.Generator) -> Array:
        used = self.truth[index]
        latents = rng.standard_normal((count, self.batch_size, used))
        noise = rng.standard_normal((count, self.batch_size, self.observed))
        return latents @ setting[:, :used].T + self.noise_std * noise


@dataclass(frozen=True)
class ResampledStream(Stream):
    """Batches drawn with replacement from ``groups``, one array ``(N_i, D)`` for each segment.

    ``truth`` is what a selection should find in each; for real data, for example, what the
    criterion says about the whole group.
    """

    groups: Sequence[Any]
    truth: tuple[int, ...]
    batches: int = 1000
    batch_size: int = 10
    observed: int = field(init=False)

    def __post_init__(self) -> None:
        positive_integer(self.batches, "batches")
        positive_integer(self.batch_size, "batch_size")
        _check_truth(self.truth)
        checked = [as_data(x, f"groups[{i}]").numpy() for i, x in enumerate(self.groups)]
        if len(checked) != len(self.truth):
            raise ValueError(
                f"groups and truth must be equally many: got {len(checked)} and {len(self.truth)}"
            )
        if len({x.shape[1] for x in checked}) != 1:
            raise ValueError(
                f"groups must have equally many columns: got {[x.shape[1] for x in checked]}"
            )
        object.__setattr__(self, "groups", tuple(checked))
        object.__setattr__(self, "observed", checked[0].shape[1])

    def segment(self, index: int, count: int, setting: Any, rng: np.random.Generator) -> Array:
        group = self.groups[index]
        return group[rng.integers(len(group), size=(count, self.batch_size))]


def _check_truth(truth: Sequence[int]) -> None:
    if len(truth) == 0:
        raise ValueError("truth must name at least one segment: got none")
    for value in truth:
        positive_integer(value, "every entry of truth")

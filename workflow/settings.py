"""Training runs of a VAE from plain settings and seeds, for sweeps over many of them.

The data, the initial parameters and the noise of training all come from the seed, so that a run
can be repeated alone. Settings and results are plain numbers and strings, ready for JSON.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from companion import datasets
from companion.datasets import manifolds
from companion.fit.records import Trace
from companion.models import PPCA, Encoder, GaussianVAE
from companion.models.vae.gaussian import Noise
from companion.models.vae.networks import Activation, EncoderScale
from companion.support.checks import one_of, positive_integer
from companion.training import Plan, train_vae

__all__ = ["COLUMNS", "Run", "Settings", "train", "train_together"]

#: What is logged of every step, all in nats per data point but the first and the last.
COLUMNS = (
    *("step", "elbo", "entropy_sum", "gap", "posterior_entropy", "prior_entropy"),
    *("observable_entropy", "certificate", "gradient_norm"),
)

#: Drawn with the run's seed.
DRAWN = ("pca", "pca_ring", "image_patches", *manifolds.__all__)
#: The same for every seed.
PACKAGED = {
    "digits": lambda: datasets.digits() / 16,
    "wine": lambda: datasets.wine(standardize=True),
}
#: Read from a folder, or from where :mod:`companion.datasets` looks without one.
READ = ("celeba", "mnist", "mnist_sample", "susy")
#: Files that hold images; any other file is a table.
ARRAYS = (".npy", ".npz", ".gz", ".idx", ".idx3-ubyte")
DATA = tuple(sorted((*DRAWN, *PACKAGED, *READ)))


@dataclass(frozen=True)
class Settings(Plan):
    """What to train and how; :func:`train` adds the seed.

    ``data`` names a data set of which at most ``count`` points are used; the synthetic ones are
    drawn with the run's seed, MNIST or ten thousand digits of it (``"mnist_sample"``), CelebA and
    SUSY are read from ``folder``. Your own data are ``{"file": PATH}``: what
    :func:`companion.datasets.images` reads, or else a table. ``latent``, ``hidden``, ``noise``,
    ``learnable_prior`` and ``activation`` are as in :class:`companion.models.GaussianVAE`, the
    encoder has the same hidden layers and ``encoder_scale`` for its ``scale``; all others are as in
    :class:`companion.training.Plan`.
    ``nodes`` frozen samples per data point give the logged values (a linear decoder with constant
    noise is integrated exactly instead).

    Raises
    ------
    ValueError
        For an unknown data set or noise, a folder missing or given in vain, or a number out of
        range. Whether there is a GPU is seen only where the run takes place.

    >>> Settings(noise="fixed")
    Traceback (most recent call last):
    ...
    ValueError: noise must be one of scalar, pixel, head, softplus: got 'fixed'
    """

    data: str | dict[str, str] = "pca"
    folder: str | None = None
    count: int = 1000
    latent: int = 2
    hidden: tuple[int, ...] = ()
    noise: Noise = "scalar"
    learnable_prior: bool = False
    activation: Activation = "tanh"
    encoder_scale: EncoderScale = "exp"
    nodes: int = 10
    steps: int = 1000
    learning_rate: float = 1e-2
    samples: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "hidden", tuple(self.hidden))
        own = isinstance(self.data, dict) and {"file"} <= set(self.data) <= {"file", "sha256"}
        if not own and self.data not in DATA:
            raise ValueError(
                f"data must be one of {', '.join(DATA)}, or a file of your own as "
                f"{{file: PATH}}: got {self.data!r}"
            )
        if self.folder is not None and self.data not in READ:
            raise ValueError(
                f"folder must be left out for data={self.data!r}; it is for "
                f"{', '.join(READ)}: got {self.folder!r}"
            )
        if self.data == "celeba" and self.folder is None:
            raise ValueError('folder must name where CelebA lies for data="celeba": got None')
        one_of(self.noise, "noise", [noise for noise in get_args(Noise) if noise != "fixed"])
        for name in ("count", "latent", "nodes"):
            positive_integer(getattr(self, name), name)
        for size in self.hidden:
            positive_integer(size, "hidden (each of its sizes)")
        one_of(self.activation, "activation", Activation)
        one_of(self.encoder_scale, "encoder_scale", EncoderScale)
        self.check_profile(self.noise, self.learnable_prior)


@dataclass(frozen=True)
class Run:
    """Settings, seed, one row of :data:`COLUMNS` per logged step, and what the data allow.

    A certificate is ``None`` where model and encoder have no direction v.
    ``device`` is where it was trained. ``maximum`` is the largest log-likelihood that a linear
    decoder with one variance can reach on these data (probabilistic PCA in closed form), in nats
    per data point; ``None`` for other decoders, and with as many latents as observables.
    """

    settings: Settings
    seed: int
    device: str
    rows: tuple[tuple[float | None, ...], ...]
    maximum: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, tuples and numbers."""
        return {**asdict(self), "columns": COLUMNS}


def train(settings: Settings, seed: int) -> Run:
    """Train the VAE of ``settings`` and log ELBO, entropies, gap, certificate and gradient norm.

    One run of :func:`train_together`.

    Raises
    ------
    ValueError
        If training diverges, so that parameters are no longer finite, or for ``device="cuda"``
        where there is no GPU.
    FileNotFoundError
        If data to be read from a folder are not there.

    Source: the experiments follow those of Damm et al. (arXiv:2010.14860); sizes are ours.

    >>> run = train(Settings(count=50, steps=20, log_every=20), seed=0)
    >>> len(run.rows), run.rows[0][1] < run.rows[-1][1] < run.maximum
    (2, True)
    """
    return train_together(settings, [seed])[0]


def train_together(settings: Settings, seeds: Sequence[int]) -> tuple[Run, ...]:
    """The runs of several seeds in one batch of tensors, each as it would be alone, to round-off.

    On a GPU what is logged is computed there too. If one run diverges, all fail.

    Raises
    ------
    ValueError, FileNotFoundError
        As :func:`train`.
    """
    drawn = settings.data in DRAWN
    own = [_data(settings, seed) for seed in seeds[: None if drawn else 1]]
    own, x = (own, torch.stack(own)) if drawn else (own * len(seeds), own[0])
    size, latent, hidden = x.shape[-1], settings.latent, settings.hidden
    noise, prior, bend = settings.noise, settings.learnable_prior, settings.activation
    vae = GaussianVAE(size, latent, hidden, noise, prior, activation=bend)
    encoder = Encoder(size, latent, hidden, bend, settings.encoder_scale)
    runs = train_vae(vae, encoder, x, seeds, settings, settings.nodes).on(settings.place)
    return tuple(
        Run(settings, seed, str(settings.place), _rows(trace), _maximum(settings, data))
        for seed, trace, data in zip(seeds, runs.traces, own, strict=True)
    )


def _rows(trace: Trace) -> tuple[tuple[float | None, ...], ...]:
    """One row of :data:`COLUMNS` for each logged step."""
    columns = [map(float, trace.steps), *(trace.column(name).tolist() for name in COLUMNS[1:])]
    return tuple(
        tuple(None if math.isnan(value) else value for value in row)
        for row in zip(*columns, strict=True)
    )


def _data(settings: Settings, seed: int) -> Tensor:
    if isinstance(settings.data, dict):
        return _own(**settings.data)[: settings.count]
    if settings.data in PACKAGED:
        return PACKAGED[settings.data]()[: settings.count]
    load: Callable[..., Tensor] = getattr(datasets, settings.data)
    if settings.data in READ:
        return load(settings.folder, count=settings.count)
    return load(settings.count, seed=seed)


def _own(file: str, sha256: str | None = None) -> Tensor:
    """The reader's own data, if they are still those that the grid was read with."""
    path = Path(file)
    if sha256 is not None and digest(path) != sha256:
        raise ValueError(f"{file} must stay as it was when the grid was read: it has changed")
    if path.is_dir() or path.suffix in ARRAYS:
        return datasets.images(path).x
    return datasets.table(path).x


def digest(path: Path) -> str | None:
    """SHA-256 of a file's bytes; ``None`` for a folder, or where there is no file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _maximum(settings: Settings, x: Tensor) -> float | None:
    if settings.hidden or settings.noise != "scalar" or settings.latent >= x.shape[1]:
        return None
    ppca = PPCA(observed=x.shape[1], latent=settings.latent)
    return float(ppca.log_likelihood(ppca.maximum_likelihood(x), x))

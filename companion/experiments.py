"""One training run of a VAE from plain settings and a seed, for sweeps over many of them.

The data, the initial parameters and the noise of training all come from the seed, so that a run
can be repeated alone. Settings and results are plain numbers and strings, ready for JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args

import torch
from torch import Tensor

from companion import datasets, fit
from companion.checks import positive_integer
from companion.fit import Trace
from companion.models import PPCA, Encoder, GaussianVAE
from companion.models.vae import Noise
from companion.variational import Nodes, cubature, samples

__all__ = ["COLUMNS", "Run", "Settings", "train"]

#: What is logged of every step, all in nats per data point but the first and the last.
COLUMNS = ("step", "elbo", "entropy_sum", "gap", "gradient_norm")

DATA: dict[str, Callable[[int, int], Tensor]] = {
    "pca": lambda count, seed: datasets.pca(count, seed=seed),
    "pca_ring": lambda count, seed: datasets.pca_ring(count, seed=seed),
    "digits": lambda count, seed: datasets.digits()[:count] / 16,
    "wine": lambda count, seed: datasets.wine(standardize=True)[:count],
}


@dataclass(frozen=True)
class Settings:
    """What to train and how; :func:`train` adds the seed.

    ``data`` names a data set (``pca`` and ``pca_ring`` are drawn with the run's seed) of which at
    most ``count`` points are used; ``latent``, ``hidden``, ``noise`` and ``learnable_prior`` are as
    in :class:`companion.models.GaussianVAE`, the encoder has the same hidden layers; ``steps``,
    ``learning_rate``, ``batch_size`` and ``fresh_samples`` as in :func:`companion.fit.adam`.
    ``nodes`` frozen samples per data point give the logged values (a linear decoder with constant
    noise is integrated exactly instead), ``log_every`` steps apart.

    Raises
    ------
    ValueError
        For an unknown data set or noise, or a number out of range.

    >>> Settings(data="mnist")
    Traceback (most recent call last):
    ...
    ValueError: data must be one of digits, pca, pca_ring, wine: got 'mnist'
    """

    data: str = "pca"
    count: int = 1000
    latent: int = 2
    hidden: tuple[int, ...] = ()
    noise: Noise = "scalar"
    learnable_prior: bool = False
    steps: int = 1000
    learning_rate: float = 1e-2
    batch_size: int | None = None
    fresh_samples: int | None = None
    nodes: int = 10
    log_every: int = 100

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if self.data not in DATA:
            raise ValueError(f"data must be one of {', '.join(sorted(DATA))}: got {self.data!r}")
        noises = [noise for noise in get_args(Noise) if noise != "fixed"]
        if self.noise not in noises:
            raise ValueError(f"noise must be one of {', '.join(noises)}: got {self.noise!r}")
        for name in ("count", "latent", "steps", "nodes", "log_every"):
            positive_integer(getattr(self, name), name)
        for name in ("batch_size", "fresh_samples"):
            if getattr(self, name) is not None:
                positive_integer(getattr(self, name), name)
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive: got {self.learning_rate}")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Settings:
        """From a dictionary, such as a grid's; a ``ValueError`` names a setting there is not."""
        known = [item.name for item in fields(cls)]
        for name in settings:
            if name not in known:
                raise ValueError(f"there is no setting {name!r}: choose from {', '.join(known)}")
        return cls(**settings)

    @property
    def exact(self) -> bool:
        """Whether the ELBO is quadratic in z, so that cubature integrates it without error."""
        return not self.hidden and self.noise in ("scalar", "pixel")


@dataclass(frozen=True)
class Run:
    """Settings, seed, one row of :data:`COLUMNS` per logged step, and what the data allow.

    ``maximum`` is the largest log-likelihood that a linear decoder with one variance can reach on
    these data (probabilistic PCA in closed form), in nats per data point; ``None`` for others.
    """

    settings: Settings
    seed: int
    rows: list[list[float]] = field(default_factory=list)
    maximum: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers."""
        return {**asdict(self), "columns": list(COLUMNS)}


def train(settings: Settings, seed: int) -> Run:
    """Train the VAE of ``settings`` by Adam and log ELBO, entropy sum, gap and gradient norm.

    Raises
    ------
    ValueError
        If training diverges, so that parameters are no longer finite.

    Source: the experiments follow those of Damm et al. (arXiv:2010.14860); sizes are ours.

    >>> run = train(Settings(count=50, steps=20, log_every=20), seed=0)
    >>> len(run.rows), run.rows[0][1] < run.rows[-1][1] < run.maximum
    (2, True)
    """
    draws = torch.Generator().manual_seed(seed)
    x = DATA[settings.data](settings.count, seed)
    observed = x.shape[1]
    model = GaussianVAE(
        observed, settings.latent, settings.hidden, settings.noise, settings.learnable_prior
    )
    parameters = model.initial_parameters(draws)
    encoder = Encoder(observed, settings.latent, settings.hidden)
    phi = encoder.initial_parameters(draws)
    q = encoder.posterior(phi, x, _rule(settings, len(x), draws))
    result = fit.adam(
        model,
        parameters,
        x,
        q,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        fresh_samples=settings.fresh_samples,
        batch_size=settings.batch_size,
        log_every=settings.log_every,
        generator=draws,
    )
    return Run(settings, seed, _rows(result.trace), _maximum(settings, x))


def _rule(settings: Settings, count: int, draws: torch.Generator) -> Nodes:
    if settings.exact:
        return cubature(settings.latent)
    return samples(count, settings.nodes, settings.latent, draws)


def _rows(trace: Trace) -> list[list[float]]:
    columns = [trace.column(name).tolist() for name in COLUMNS[1:]]
    return [list(row) for row in zip(map(float, trace.steps), *columns, strict=True)]


def _maximum(settings: Settings, x: Tensor) -> float | None:
    if settings.hidden or settings.noise != "scalar":
        return None
    ppca = PPCA(observed=x.shape[1], latent=settings.latent)
    return float(ppca.log_likelihood(ppca.maximum_likelihood(x), x))

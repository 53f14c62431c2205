"""Models that no paper of this line treats, each with the data and the q that it is shown with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from companion import families, models, variational
from companion.models import FamilyMixture
from companion.studies.catalogue.distributions import (
    chain,
    encoder,
    gaussian,
    layered,
    switched,
)
from companion.studies.catalogue.entry import Entry

__all__ = ["beyond"]

_DEEPER = "deeper-models"
_DIFFUSION = "diffusion-models"
_PROCESS = "gaussian-processes"
_STREAMS = "multi-stream"
_TIME = "time-series"
_TOPICS = "topics"


def beyond(data: Mapping[str, Tensor], latent: int, components: int) -> Iterator[Entry]:
    """Series, processes, diffusion, topics, streams, layers; sizes as for ``entries``."""
    yield from _chains(data, latent, components)
    yield from _processes(data)
    yield from _diffusion(data)
    yield from _topics(data)
    yield from _streams(data)
    yield from _deeper(data, latent)


def _chains(data: Mapping[str, Tensor], latent: int, components: int) -> Iterator[Entry]:
    quakes, flows = data["quakes"], data["flows"]
    counts = FamilyMixture(families.Poisson(), quakes.shape[-1], components)
    real = models.GaussianMixture(flows.shape[-1], components)
    for mixture, x, name in ((counts, quakes, "Poisson"), (real, flows, "Gaussian")):
        hidden, q = models.HiddenMarkov(mixture), chain(models.MarkovChain, x, components)
        for free in ((), (q, True)):
            yield Entry(f"hidden Markov, {name}", _TIME, hidden, x, *free)
    q = chain(models.GaussianChain, flows, latent)
    for initial in ("free", "stationary"):
        system = models.LinearDynamical(flows.shape[-1], latent, initial)
        for free in ((), (q, True)):
            yield Entry(f"linear dynamical, {initial} start", _TIME, system, flows, *free)


def _processes(data: Mapping[str, Tensor]) -> Iterator[Entry]:
    """Each row of the data is a function, seen at as many inputs as there are columns."""
    x = data["phenols"]
    inputs = torch.arange(x.shape[1], dtype=x.dtype)[:, None]
    for name, inducing in (("exact", None), ("inducing points", inputs[::2] + 0.5)):
        process = models.GaussianProcess(inputs, inducing)
        for q in (None, gaussian(len(x), process.latent_size, full=True)):
            yield Entry(f"Gaussian process, {name}", _PROCESS, process, x, q, q is not None)


def _diffusion(data: Mapping[str, Tensor]) -> Iterator[Entry]:
    x = data["phenols"]
    model = models.Diffusion(x.shape[1], torch.tensor([0.1, 0.2, 0.4, 0.6]), (3,))
    yield Entry("diffusion", _DIFFUSION, model, x, lambda generator: model.noised(x, generator))


def _topics(data: Mapping[str, Tensor]) -> Iterator[Entry]:
    x = data["passages"][:12]
    model = models.LDA(x.shape[1], topics=2)
    yield Entry("latent Dirichlet allocation", _TOPICS, model, x, lambda g: model.random_q(x, g))


def _streams(data: Mapping[str, Tensor]) -> Iterator[Entry]:
    """Learning ends at kinks of the Laplace densities, where the gradient does not vanish."""
    x, nodes = data["phenols"][:7], variational.cubature(2)
    model = models.MultiStream(x.shape[1], 1, streams=2)
    for build in (gaussian(len(x), 2), encoder(x, 2, rule=nodes)):
        yield Entry("multi-stream", _STREAMS, model, x, switched(build, model.streams))


def _deeper(data: Mapping[str, Tensor], latent: int) -> Iterator[Entry]:
    x = data["wine"]
    first = models.GaussianVAE(x.shape[1], 2, (2,))
    second = models.GaussianVAE(2, latent, (2,), "pixel", learnable_prior=True)
    two = models.HierarchicalVAE((first, second))
    for order in ("bottom-up", "top-down"):
        q = layered(x, two.latents, order)
        yield Entry("hierarchical VAE, two layers", _DEEPER, two, x, q)
    above = models.GaussianVAE(2, 2, (2,), "head"), models.GaussianVAE(2, latent, (2,))
    three = models.HierarchicalVAE((first, *above))
    q = layered(x, three.latents, "bottom-up")
    yield Entry("hierarchical VAE, three layers", _DEEPER, three, x, q)
    for learnable in (False, True):
        heavy = models.StudentTVAE(x.shape[1], latent, (2,), learnable_prior=learnable)
        name = "VAE, Student t noise" + (", learnable prior" if learnable else "")
        yield Entry(name, _DEEPER, heavy, x, encoder(x, latent))

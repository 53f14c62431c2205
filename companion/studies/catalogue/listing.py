"""The list of models, each with the data and the q that it is shown with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import torch
from torch import Tensor

from companion import families, models, variational
from companion.models import FamilyMixture
from companion.models.vae.gaussian import Noise
from companion.studies.catalogue.beyond import beyond
from companion.studies.catalogue.data import DATA_OF, samples
from companion.studies.catalogue.distributions import encoder, gaussian, mean_field, tabulated
from companion.studies.catalogue.entry import Entry, perturbed

__all__ = ["Entry", "entries", "perturbed"]

_DISCRETE = "discrete-data-vaes"
_FACTORS = "factor-analysis-and-deep-belief-nets"
_OWN = "verify-your-own-model"
_VAES = "vaes-three-entropies"
_UNDIRECTED = "boltzmann-machines"


def entries(
    data: Mapping[str, Tensor] | None = None, latent: int = 1, components: int = 2
) -> tuple[Entry, ...]:
    """Every model of the package with every q that is used with it in the book.

    Small real data by default; tests give their own under the same names, with more latents and
    components. ``latent`` is H where one latent shows enough (factor analysis, VAEs).
    """
    data = samples() if data is None else data
    lists = (
        _belief_nets(data),
        _linear(data, latent),
        _gaussian_mixtures(data, components),
        _mixtures(data, components),
        _general(data),
        _vaes(data, latent),
        _discrete_vaes(data, latent),
        _sparse(data),
        beyond(data, latent, components),
    )
    return tuple(entry for some in lists for entry in some)


def _belief_nets(data: Mapping[str, Tensor]) -> Iterator[Entry]:
    x = data["bits"]
    shallow = models.SigmoidBeliefNet(x.shape[1], 2)
    deep = models.DeepSigmoidBeliefNet(x.shape[1], 2, 1)
    machines = [models.BoltzmannMachine(x.shape[1], 2, restricted) for restricted in (True, False)]
    for name, chapter, model, latent in (
        ("SBN", "sigmoid-belief-networks", shallow, 2),
        ("deep SBN", _FACTORS, deep, 3),
        ("restricted Boltzmann machine", _UNDIRECTED, machines[0], 2),
        ("Boltzmann machine", _UNDIRECTED, machines[1], 2),
    ):
        yield Entry(name, chapter, model, x)
        yield Entry(name, chapter, model, x, mean_field(len(x), latent))


def _linear(data: Mapping[str, Tensor], latent: int) -> Iterator[Entry]:
    x = data["phenols"]
    for kind, learnable in product((models.PPCA, models.FactorAnalysis), (False, True)):
        H = 2 if kind is models.PPCA else latent
        model = kind(x.shape[1], H, learnable)
        name = "PPCA" if kind is models.PPCA else "factor analysis"
        name += ", learnable prior" if learnable else ""
        chapter = "probabilistic-pca" if kind is models.PPCA else _FACTORS
        yield Entry(name, chapter, model, x)
        yield Entry(name, chapter, model, x, gaussian(len(x), H))
        yield Entry(name, chapter, model, x, gaussian(len(x), H, full=True), True)


def _gaussian_mixtures(data: Mapping[str, Tensor], components: int) -> Iterator[Entry]:
    x, chapter = data["flowers"], "gaussian-mixtures"
    for covariance in ("spherical", "diagonal", "full", "tied"):
        model = models.GaussianMixture(x.shape[1], components, covariance)
        for free in ((), (tabulated(model.states, len(x)), True)):
            yield Entry(f"GMM, {covariance}", chapter, model, x, *free)


def _mixtures(data: Mapping[str, Tensor], components: int) -> Iterator[Entry]:
    chapter = "mixtures-of-any-family"
    for family in families.EVERY_FAMILY:
        x, name = data[DATA_OF[type(family)]], f"mixture, {type(family).__name__}"
        if isinstance(family, families.Multinomial):
            family = families.Multinomial(trials=int(x[0].sum()))
        model = FamilyMixture(family, x.shape[1], components)
        yield Entry(name, chapter, model, x, fixed=family.kinks)
        free = tabulated(model.states, len(x))
        yield Entry(name, chapter, model, x, free, True, fixed=family.kinks)


def _general(data: Mapping[str, Tensor]) -> Iterator[Entry]:
    """Two models made of two families each; v of the second is found by the criterion."""
    x, counts, gaussian = data["phenols"], data["counts"], families.SphericalGaussian()
    some = torch.full((x.shape[1],), 0.5, dtype=x.dtype)
    rates = torch.full((counts.shape[1],), 0.5, dtype=x.dtype)

    def noisy_multiple(p: Mapping[str, Tensor], z: Tensor) -> Tensor:
        mean = z * p["weights"] + p["bias"]
        return gaussian.natural_parameters(mean, p["log_variance"].exp().expand(mean.shape[:-1]))

    def direction(p: Mapping[str, Tensor]) -> dict[str, Tensor]:
        v = {name: torch.zeros_like(value) for name, value in p.items()}
        return v | {"log_rate": p["log_rate"], "log_variance": -torch.ones_like(p["log_variance"])}

    poisson = models.GenerativeModel(
        families.Poisson(), lambda p: p["log_rate"], gaussian, noisy_multiple, direction
    )
    start = {"log_rate": some[:1], "weights": some, "bias": some, "log_variance": some[0]}
    first = torch.arange(4, dtype=x.dtype)[:, None]
    yield Entry(
        "own model, Poisson latent", _OWN, poisson, x, tabulated(first, len(x)), start=start
    )

    switch = models.GenerativeModel(
        families.Bernoulli(),
        lambda p: p["prior_logits"],
        families.Poisson(),
        lambda p, z: z @ p["weights"].T + p["bias"],
        states=first[:2],
    )
    start = {"prior_logits": some[:1], "weights": rates[:, None], "bias": rates}
    yield Entry("own model, binary latent", _OWN, switch, counts, start=start)
    free = tabulated(first[:2], len(counts))
    yield Entry("own model, binary latent", _OWN, switch, counts, free, True, start=start)


def _vaes(data: Mapping[str, Tensor], latent: int) -> Iterator[Entry]:
    x = data["wine"]
    kinds: dict[Noise, str] = {
        "fixed": "VAE-0",
        "scalar": "VAE-{}",
        "pixel": "VAE-{}, a variance per pixel",
        "head": "VAE-3",
    }
    for (noise, name), learnable in product(kinds.items(), (False, True)):
        variance = 0.5 if noise == "fixed" else None
        chapter = _DISCRETE if noise == "fixed" else _VAES
        if "{}" in name:
            name = name.format(2 if learnable else 1)
        elif learnable:
            name += ", learnable prior"
        vae = models.GaussianVAE(x.shape[1], latent, (2,), noise, learnable, variance)
        # Not every start leads to a stationary point at finite weights.
        yield Entry(name, chapter, vae, x, encoder(x, latent), seed=3 if name == "VAE-2" else 0)
    for learnable in (False, True):
        name = f"linear VAE-{2 if learnable else 1}"
        vae = models.GaussianVAE(x.shape[1], latent, (), "scalar", learnable)
        yield Entry(name, _VAES, vae, x, encoder(x, latent))
        yield Entry(name, _VAES, vae, x, gaussian(len(x), latent))


def _discrete_vaes(data: Mapping[str, Tensor], latent: int) -> Iterator[Entry]:
    bits, pairs = data["bits"], data["pairs"]
    for hidden, learnable in product(((), (2,)), (False, True)):
        binary = models.BernoulliVAE(bits.shape[1], latent, hidden, learnable)
        grouped = models.CategoricalVAE(2, pairs.shape[1] // 2, latent, hidden, learnable)
        for kind, model, x in (("Bernoulli", binary, bits), ("categorical", grouped, pairs)):
            name = f"{kind} VAE" + ("" if hidden else ", linear")
            name += ", learnable prior" if learnable else ""
            yield Entry(name, _DISCRETE, model, x, encoder(x, latent), seed=2 if hidden else 0)
            if not hidden:
                free = gaussian(len(x), latent, rule=variational.gauss_hermite(latent, 5))
                yield Entry(name, _DISCRETE, model, x, free)


def _sparse(data: Mapping[str, Tensor]) -> Iterator[Entry]:
    x = data["wine"][::2]
    for learnable, full in product((True, False), (False, True)):
        name = "sparse coding" + ("" if learnable else ", unit scale")
        model = models.SparseCoding(x.shape[1], 2, learnable)
        yield Entry(name, "sparse-coding", model, x, gaussian(len(x), 2, full))
        if learnable and not full:
            yield Entry(name, "sparse-coding", model, x, encoder(x, 2, (3,)))

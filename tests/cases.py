"""The registry: every model with every q that fits, at random parameters and data, by name.

Each property test runs over all of it. Sizes are small, seeds fixed, and a case is built when it is
first asked for. One model is defined here, because the identity must hold for a reader's own models
too: one with a Poisson latent (a base measure that is not constant, for z).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from companion import families, models, variational
from companion.families import ExponentialFamily, Poisson, SphericalGaussian
from companion.theory.model import Factor, Model, Parameters
from companion.theory.variational import Nodes, Variational

N, D, H, C = 7, 4, 2, 3


class Point(NamedTuple):
    """A model with parameters, q and data to evaluate it at."""

    model: Model
    parameters: dict[str, Tensor]
    q: Variational
    x: Tensor


def generator(name: str) -> torch.Generator:
    """A generator whose seed is derived from ``name``."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def draw(*shape: int, g: torch.Generator) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=g)


#: One family of each kind, with values for what a family holds fixed.
FAMILIES = families.EVERY_FAMILY


# --- models that a reader might add --------------------------------------------------------------


@dataclass(frozen=True)
class PoissonLatent(Model):
    """z ~ Poisson(e^t), x | z ~ N(wz + b, σ²I): a base measure in z that is not constant."""

    observed: int

    @property
    def factors(self) -> tuple[Factor, ...]:
        family = SphericalGaussian()

        def natural(p: Parameters, z: Tensor) -> Tensor:
            mean = z * p["w"] + p["b"]
            return family.natural_parameters(mean, p["log_variance"].exp().expand(len(z)))

        prior = Factor("prior", Poisson(), lambda p, z: p["log_rate"], lambda z: z)
        return prior, Factor("observable", family, natural)

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        g = generator
        return {
            "log_rate": draw(1, g=g),
            "w": draw(self.observed, g=g),
            "b": draw(self.observed, g=g),
            "log_variance": draw(g=g),
        }

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        zeros = {name: torch.zeros_like(value) for name, value in parameters.items()}
        minus_one = -torch.ones_like(parameters["log_variance"])
        return zeros | {"log_rate": parameters["log_rate"], "log_variance": minus_one}


# --- distributions q -----------------------------------------------------------------------------

Build = Callable[[Model, dict[str, Tensor], Tensor, torch.Generator], Variational]


def rule(name: str, g: torch.Generator, latent: int) -> Nodes | None:
    if name == "cubature":
        return variational.cubature(latent)
    if name == "gauss_hermite":
        return variational.gauss_hermite(latent, 3)
    return variational.samples(N, 3, latent, g) if name == "samples" else None


def exact(
    model: Model, parameters: dict[str, Tensor], x: Tensor, g: torch.Generator
) -> Variational:
    return model.posterior(parameters, x)


def tabulated(states: Callable[[Model], Tensor]) -> Build:
    def build(
        model: Model, parameters: dict[str, Tensor], x: Tensor, g: torch.Generator
    ) -> Variational:
        z = states(model)
        return variational.Tabulated(z, draw(len(x), len(z), g=g))

    return build


def mean_field(
    model: Model, parameters: dict[str, Tensor], x: Tensor, g: torch.Generator
) -> Variational:
    return variational.MeanFieldBernoulli(draw(len(x), H, g=g))


def gaussian(rule_name: str, full: bool) -> Build:
    def build(
        model: Model, parameters: dict[str, Tensor], x: Tensor, g: torch.Generator
    ) -> Variational:
        mean = draw(len(x), H, g=g)
        scale = draw(len(x), H, g=g).exp()
        if full:
            scale = torch.diag_embed(scale) + torch.tril(draw(len(x), H, H, g=g), -1)
        return variational.Gaussian(mean, scale, rule(rule_name, g, H))

    return build


def amortized(hidden: tuple[int, ...], rule_name: str) -> Build:
    def build(
        model: Model, parameters: dict[str, Tensor], x: Tensor, g: torch.Generator
    ) -> Variational:
        encoder = models.Encoder(D, H, hidden)
        phi = perturbed(encoder.initial_parameters(g), g)
        return encoder.posterior(phi, x, rule(rule_name, g, H))

    return build


def perturbed(parameters: Mapping[str, Tensor], g: torch.Generator) -> dict[str, Tensor]:
    """Parameters away from zeros and symmetries, where a mistake might not show."""
    return {name: value + 0.4 * draw(*value.shape, g=g) for name, value in parameters.items()}


# --- the registry --------------------------------------------------------------------------------


def real(g: torch.Generator) -> Tensor:
    return 1.5 * draw(N, D, g=g) + 0.5


def binary(g: torch.Generator) -> Tensor:
    return (draw(N, D, g=g) > 0).to(torch.float64)


def one_hot(g: torch.Generator) -> Tensor:
    """Two categorical variables of D/2 categories, their one-hot vectors side by side."""
    index = draw(N, 2, D // 2, g=g).argmax(-1)
    return torch.nn.functional.one_hot(index, D // 2).to(torch.float64).reshape(N, D)


def draws_of(mixture: models.FamilyMixture) -> Callable[[torch.Generator], Tensor]:
    """Draws from components of the mixture at other parameters than those of the case."""

    def data(g: torch.Generator) -> Tensor:
        natural = mixture.component_natural(mixture.initial_parameters(g))
        return mixture.family.sample(natural[torch.arange(N) % C], g)

    return data


@dataclass(frozen=True)
class Case:
    """How to build one point of the registry."""

    model: Model
    q: Build
    data: Callable[[torch.Generator], Tensor] = real

    def at(self, name: str) -> Point:
        g = generator(name)
        parameters = perturbed(self.model.initial_parameters(g), g)
        if "cholesky" in parameters:
            parameters["cholesky"] = torch.tril(parameters["cholesky"], -1)
        x = self.data(g)
        return Point(self.model, parameters, self.q(self.model, parameters, x, g), x)


CONTINUOUS_Q: dict[str, Build] = {
    "diagonal-cubature": gaussian("cubature", full=False),
    "full-cubature": gaussian("cubature", full=True),
    "diagonal-hermite": gaussian("gauss_hermite", full=False),
    "full-samples": gaussian("samples", full=True),
    "linear-encoder": amortized((), "samples"),
    "mlp-encoder": amortized((3,), "gauss_hermite"),
}


def _registry() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    all_binary = tabulated(lambda m: variational.binary_states(H))
    sbn = models.SigmoidBeliefNet(D, H)
    for label, q in (("exact", exact), ("tabulated", all_binary), ("mean-field", mean_field)):
        cases[f"sbn/{label}"] = Case(sbn, q, binary)
    deep = models.DeepSigmoidBeliefNet(D, 2, 1)
    cases["deep-sbn/exact"] = Case(deep, exact, binary)
    cases["deep-sbn/tabulated"] = Case(deep, tabulated(lambda m: m.states), binary)

    components = tabulated(lambda m: torch.eye(C, dtype=torch.float64))
    for covariance in ("spherical", "diagonal", "full", "tied"):
        mixture = models.GaussianMixture(D, C, covariance)
        cases[f"mixture-{covariance}/exact"] = Case(mixture, exact)
        cases[f"mixture-{covariance}/tabulated"] = Case(mixture, components)
    for family in FAMILIES:
        any_mixture, name = models.FamilyMixture(family, D, C), type(family).__name__.lower()
        # A mixture of another kind: no exponential family, so not for tests of natural parameters.
        kind = "mixture" if isinstance(family, ExponentialFamily) else "tempered-mixture"
        for label, q in (("exact", exact), ("tabulated", components)):
            cases[f"{kind}-{name}/{label}"] = Case(any_mixture, q, draws_of(any_mixture))
    first_counts = tabulated(lambda m: torch.arange(5, dtype=torch.float64)[:, None])
    cases["poisson-latent/tabulated"] = Case(PoissonLatent(D), first_counts)

    for kind, learnable in product((models.PPCA, models.FactorAnalysis), (False, True)):
        linear = kind(D, H, learnable_prior=learnable)
        prior = "learnable" if learnable else "fixed"
        for label, q in {"exact": exact, **CONTINUOUS_Q}.items():
            cases[f"{kind.__name__.lower()}-{prior}/{label}"] = Case(linear, q)

    for noise, learnable, hidden in product(
        ("scalar", "pixel", "head", "known"), (False, True), ((), (3,), (4, 3))
    ):
        if noise == "known":
            vae = models.GaussianVAE(D, H, hidden, "fixed", learnable, variance=0.7)
        else:
            vae = models.GaussianVAE(D, H, hidden, noise, learnable)
        prior = "learnable" if learnable else "fixed"
        depth = f"{len(hidden)}-hidden"
        for label, q in CONTINUOUS_Q.items():
            if len(hidden) == 2 and label not in ("full-samples", "mlp-encoder"):
                continue
            cases[f"vae-{noise}-{prior}-{depth}/{label}"] = Case(vae, q)

    for learnable, hidden in product((False, True), ((), (3,))):
        end = f"{'learnable' if learnable else 'fixed'}-{len(hidden)}-hidden"
        bits = models.BernoulliVAE(D, H, hidden, learnable)
        pairs = models.CategoricalVAE(2, D // 2, H, hidden, learnable)
        for label in ("full-samples", "mlp-encoder"):
            cases[f"bernoulli-vae-{end}/{label}"] = Case(bits, CONTINUOUS_Q[label], binary)
            cases[f"categorical-vae-{end}/{label}"] = Case(pairs, CONTINUOUS_Q[label], one_hot)
    for learnable in (False, True):
        sparse = models.SparseCoding(D, H, learnable)
        prior = "learnable" if learnable else "fixed"
        for label, q in CONTINUOUS_Q.items():
            cases[f"sparse-coding-{prior}/{label}"] = Case(sparse, q)
    return cases


CASES = _registry()


@cache
def point(name: str) -> Point:
    """The case of that name, built once; nobody may change its tensors in place."""
    return CASES[name].at(name)


def names(*fragments: str) -> list[str]:
    """The cases whose names contain one of the fragments (all, if none is given)."""
    chosen = [name for name in CASES if not fragments or any(f in name for f in fragments)]
    assert chosen, f"no case has any of {fragments} in its name"
    return chosen


#: ``@every_case`` runs a test with ``name`` = each case of the registry.
every_case = pytest.mark.parametrize("name", names())


def some_cases(*fragments: str) -> pytest.MarkDecorator:
    """Like :data:`every_case`, for the cases whose names contain one of the fragments."""
    return pytest.mark.parametrize("name", names(*fragments))


__all__ = [
    "CASES",
    "FAMILIES",
    "Case",
    "Point",
    "Poisson",
    "PoissonLatent",
    "draw",
    "every_case",
    "generator",
    "names",
    "perturbed",
    "point",
    "some_cases",
]

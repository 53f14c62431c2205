"""The catalogue's models at sizes for tests, with every q that fits, by name.

Each property test runs over all of it. What the book shows comes from the catalogue's own list,
with random data; added here are q and decoders of more kinds. Seeds are fixed, and the parameters
of a case are drawn when it is first asked for.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from companion import families, models, variational
from companion.families import ExponentialFamily
from companion.models.scaled import ScaledLatents
from companion.models.sigmoid_belief import BeliefNet
from companion.models.vae.networks import Decoder
from companion.studies.catalogue.data import DATA_OF
from companion.studies.catalogue.distributions import (
    Build,
    encoder,
    gaussian,
    layered,
    mean_field,
    switched,
    tabulated,
)
from companion.studies.catalogue.listing import Entry, entries, perturbed
from companion.theory.model import Model, normal_draws
from companion.theory.variational import Variational

N, D, H, C = 7, 4, 2, 3

#: One family of each kind, with values for what a family holds fixed.
FAMILIES = families.EVERY_FAMILY


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
    return normal_draws(*shape, generator=g)


def random_data() -> dict[str, Tensor]:
    """Data for the catalogue: real numbers, and draws from components of a mixture of its kind."""
    data = {name: 1.5 * draw(N, D, g=generator(name)) + 0.5 for name in ("flowers", "phenols")}
    data["wine"] = 1.5 * draw(2 * N, D, g=generator("wine")) + 0.5
    for family in FAMILIES:
        if DATA_OF[type(family)] not in data:
            g, mixture = generator(DATA_OF[type(family)]), models.FamilyMixture(family, D, C)
            natural = mixture.component_natural(mixture.initial_parameters(g))
            data[DATA_OF[type(family)]] = family.sample(natural[torch.arange(N) % C], g)
    # Sequences of unequal lengths, with missing steps, the last of one step only.
    lengths, g = (5, 4, 6, 2, 5, 3, 1), generator("sequences")
    seen = [torch.rand(T, generator=g) + (torch.arange(T) == 0) > 0.3 for T in lengths]
    counts = [torch.poisson(torch.full((T, D), 3.0), generator=g) for T in lengths]
    data["quakes"] = models.padded(counts, seen)
    data["flows"] = models.padded([draw(T, D, g=g) for T in lengths], seen)
    return data


def label(model: Model) -> str:
    """Kind, noise, prior and depth, such as ``vae-scalar-fixed-1-hidden``."""
    if isinstance(model, models.GaussianMixture):
        return f"mixture-{model.covariance_type}"
    if isinstance(model, models.FamilyMixture):
        # A mixture of another kind: no exponential family, so not for tests of natural parameters.
        kind = "mixture" if isinstance(model.family, ExponentialFamily) else "tempered-mixture"
        return f"{kind}-{type(model.family).__name__.lower()}"
    if isinstance(model, models.GenerativeModel):
        return f"{type(model.factors[0].family).__name__.lower()}-latent"
    if isinstance(model, models.HiddenMarkov):
        return f"hidden-markov-{type(model.emission.family).__name__.lower()}"
    if isinstance(model, models.LinearDynamical):
        return f"linear-dynamical-{model.initial_type}"
    if isinstance(model, models.GaussianProcess):
        return "process-exact" if model.inducing is None else "process-inducing"
    if isinstance(model, models.BoltzmannMachine):
        return "restricted-boltzmann" if model.restricted else "boltzmann"
    if isinstance(model, models.MultiStream):
        return f"streams-laplace-{len(model.hidden)}-hidden"
    if isinstance(model, models.HierarchicalVAE):
        prior = "learnable" if model.layers[-1].learnable_prior else "fixed"
        return f"hierarchical-{prior}"
    kind = SHORT.get(type(model), type(model).__name__.lower())
    if isinstance(model, models.GaussianVAE):
        kind += "-known" if model.noise_type == "fixed" else f"-{model.noise_type}"
    if isinstance(model, ScaledLatents):
        kind += "-learnable" if model.learnable_prior else "-fixed"
    return f"{kind}-{len(model.hidden)}-hidden" if isinstance(model, Decoder) else kind


SHORT: dict[type[Model], str] = {
    models.LDA: "topics",
    models.SigmoidBeliefNet: "sbn",
    models.DeepSigmoidBeliefNet: "deep-sbn",
    models.GaussianVAE: "vae",
    models.StudentTVAE: "tempered-student",
    models.BernoulliVAE: "bernoulli-vae",
    models.CategoricalVAE: "categorical-vae",
    models.SparseCoding: "sparse-coding",
}


def continuous_q(x: Tensor) -> dict[str, Build]:
    """Every kind of q over H real latents."""
    hermite = variational.gauss_hermite(H, 3)
    samples = variational.samples(len(x), 3, H, generator("frozen samples"))
    return {
        "full-samples": gaussian(len(x), H, full=True, rule=samples),
        "mlp-encoder": encoder(x, H, (3,), hermite),
        "diagonal-cubature": gaussian(len(x), H),
        "full-cubature": gaussian(len(x), H, full=True),
        "diagonal-hermite": gaussian(len(x), H, rule=hermite),
        "linear-encoder": encoder(x, H, rule=samples),
    }


def every_q(model: Model, shown: Entry) -> dict[str, Build | None]:
    """Every q that fits the model; ``None`` is its exact posterior."""
    exact: dict[str, Build | None] = {"exact": None}
    if isinstance(model, models.Diffusion):
        return {"noised": shown.q}
    if isinstance(model, models.LDA):
        return {"mean-field": shown.q}
    if isinstance(model, models.MultiStream):
        kinds = islice(continuous_q(shown.x).items(), 2)
        return {kind: switched(build, model.streams) for kind, build in kinds}
    if isinstance(model, models.HierarchicalVAE):
        size, seed = model.latent_size, generator("frozen samples of layers")
        frozen = variational.samples(len(shown.x), 3, size, seed)
        return {
            "bottom-up": layered(shown.x, model.latents, "bottom-up", frozen),
            "top-down": layered(shown.x, model.latents, "top-down", variational.cubature(size)),
            "any": gaussian(len(shown.x), size, full=True, rule=frozen),
        }
    if isinstance(model, models.HiddenMarkov | models.LinearDynamical | models.GaussianProcess):
        return exact | {"chain" if model.columns is None else "any": shown.q}
    if model.states is not None:
        exact["tabulated"] = tabulated(model.states, len(shown.x))
        bits = isinstance(model, BeliefNet)
        return exact | (
            {"mean-field": mean_field(len(shown.x), len(model.states[0]))} if bits else {}
        )
    if not isinstance(model, ScaledLatents):
        return {"tabulated": shown.q}
    kinds = continuous_q(shown.x)
    if isinstance(model, Decoder) and not (
        isinstance(model, models.GaussianVAE) and len(model.hidden) < 2
    ):
        return dict(islice(kinds.items(), 2))
    return kinds if isinstance(model, Decoder | models.SparseCoding) else exact | kinds


def every_depth(model: Model) -> tuple[Model, ...]:
    """The model, or if it has decoders, one with each number of hidden layers."""
    if not isinstance(model, Decoder | models.MultiStream):
        return (model,)
    return tuple(replace(model, hidden=hidden) for hidden in ((), (3,), (4, 3)))


CASES = {
    f"{label(model)}/{kind}": replace(shown, model=model, q=q)
    for shown in entries(random_data(), latent=H, components=C)
    for model in every_depth(shown.model)
    for kind, q in every_q(model, shown).items()
}


@cache
def point(name: str) -> Point:
    """The case of that name, drawn once; nobody may change its tensors in place."""
    shown = CASES[name]
    return Point(shown.model, *shown.random(generator(name)), shown.x)


def names(*fragments: str) -> list[str]:
    """The cases whose names contain one of the fragments (all, if none is given)."""
    chosen = [name for name in CASES if not fragments or any(f in name for f in fragments)]
    assert chosen, f"no case has any of {fragments} in its name"
    return chosen


#: ``@every_case`` runs a test with ``name`` = each case of the registry.
every_case = pytest.mark.parametrize("name", names())


def in_turn(chosen: Iterable[str]) -> list[str]:
    """One case of each model among those; the kinds of q that it has come in turn."""
    kinds: dict[str, list[str]] = {}
    for name in chosen:
        kinds.setdefault(name.partition("/")[0], []).append(name)
    return [each[number % len(each)] for number, each in enumerate(kinds.values())]


#: ``@every_model`` runs it once for each model: for what every q shares with all of its kind.
every_model = pytest.mark.parametrize("name", in_turn(names()))


def some_cases(*fragments: str) -> pytest.MarkDecorator:
    """Like :data:`every_case`, for the cases whose names contain one of the fragments."""
    return pytest.mark.parametrize("name", names(*fragments))


__all__ = [
    "CASES",
    "FAMILIES",
    "Point",
    "draw",
    "every_case",
    "every_model",
    "generator",
    "in_turn",
    "names",
    "perturbed",
    "point",
    "some_cases",
]

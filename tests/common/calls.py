"""One valid call of everything public, by the name that a reader uses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from companion import families, fit, models, variational
from companion.families import Bernoulli, Family, Poisson
from companion.fit.records import Trace
from companion.support.tables import Table
from companion.theory.model import Factor, Model
from companion.theory.objective import Problem
from companion.theory.variational import Variational
from companion.training import Ensemble, Plan, train_vae
from tests.common import public

N, D, H, C, T = 6, 3, 2, 2, 4
ONE = torch.ones((), dtype=torch.float64)


@dataclass(frozen=True)
class Call:
    """A function with arguments that are right."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]


def g() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=g())


def draws(points: int, count: int, size: int) -> variational.Nodes:
    return variational.samples(points, count, size, g())


def identity(values: torch.Tensor) -> torch.Tensor:
    return values.mean(0, keepdim=True)


#: How each family is built, and what ``natural_parameters`` or ``parameters`` take.
CONSTRUCTORS: dict[type, dict[str, Any]] = {
    families.CategoricalProduct: {"groups": 2},
    families.Multinomial: {"trials": 6},
    families.NegativeBinomial: {"successes": 2.5},
    families.GammaFixedShape: {"shape": 2.5},
    families.GaussianMean: {"variance": 0.5},
    families.Custom: {"statistics": lambda x: x, "log_partition": lambda e: (e**2).sum(-1) / 2},
    variational.Tabulated: {"states": torch.eye(C).double(), "logits": draw(N, C)},
    variational.MeanFieldBernoulli: {"logits": draw(N, H)},
    variational.Gaussian: {"mean": draw(N, H), "scale": draw(N, H).exp()},
    models.PPCA: {"observed": D, "latent": H},
    models.FactorAnalysis: {"observed": D, "latent": H},
    models.Diffusion: {"observed": D, "betas": 0.2 * ONE.expand(3), "hidden": (4,)},
    models.LDA: {"observed": D, "topics": H},
    models.MeanFieldTopics: {
        "x": torch.ones(N, D).double(),
        "log_concentration": draw(N, H),
        "logits": draw(N * D, H),
    },
    models.MultiStream: {"observed": D, "latent": 1, "streams": H},
    models.Switched: {
        "latents": variational.Gaussian(draw(N, H), draw(N, H).exp()),
        "logits": draw(N, 2 * H, 4),
    },
    models.GaussianProcess: {"inputs": draw(D, 1), "inducing": draw(H, 1)},
    models.BoltzmannMachine: {"observed": D, "latent": H, "restricted": False},
    models.SigmoidBeliefNet: {"observed": D, "latent": H},
    models.DeepSigmoidBeliefNet: {"observed": D, "hidden": H, "latent": 1},
    models.GaussianMixture: {"observed": D, "components": C},
    models.FamilyMixture: {"of": Poisson(), "observed": D, "components": C},
    models.SparseCoding: {"observed": D, "latent": H},
    models.GaussianVAE: {"observed": D, "latent": H},
    models.StudentTVAE: {"observed": D, "latent": H},
    models.HierarchicalVAE: {
        "layers": (models.GaussianVAE(D, H), models.GaussianVAE(H, 1, (2,), "head"))
    },
    models.LayeredEncoder: {"observed": D, "latents": (H, 1)},
    models.Layered: {
        "encoder": models.LayeredEncoder(D, (H, 1)),
        "encoder_parameters": models.LayeredEncoder(D, (H, 1)).initial_parameters(g()),
        "x": draw(N, D),
    },
    models.BernoulliVAE: {"observed": D, "latent": H},
    models.CategoricalVAE: {"variables": 1, "categories": D, "latent": H},
    models.Encoder: {"observed": D, "latent": H},
    models.HiddenMarkov: {"emission": models.FamilyMixture(Poisson(), observed=D, components=C)},
    models.LinearDynamical: {"observed": D, "latent": H},
    models.MarkovChain: {"first": draw(N, C), "pairs": draw(N, T - 1, C, C)},
    models.GaussianChain: {
        "mean": draw(N, T, H),
        "gains": 0.3 * draw(N, T - 1, H, H),
        "scale": draw(N, T, H, H).tril().exp().tril(),
    },
    models.EntropyWeights: {"prior": 2.0},
    models.Factor: {"name": "x", "family": Bernoulli(), "natural": lambda p, z: z @ p["W"].T},
    models.GenerativeModel: {
        "prior": Bernoulli(),
        "prior_natural": lambda p: p["a"],
        "observable": Poisson(),
        "observable_natural": lambda p, z: z @ p["W"].T + p["b"],
        "states": torch.tensor([[0.0], [1.0]]).double(),
    },
    Plan: {"steps": 2, "log_every": 1},
    Table: {"columns": ("a", "b"), "cells": [(1, 2.0)]},
}
#: Classes that are no reader's to build: bases, records of results, exceptions.
NOT_BUILT = {
    "datasets.Blocks",  # of anything that can be read: tests/support/test_blocks.py
    "families.ExponentialFamily",
    "families.Family",
    "fit.ConvergenceWarning",
    "fit.FitResult",
    "fit.Trace",
    "models.Mixture",
    "models.Model",
    "theory.criterion.Criterion",
    "theory.differences.Differences",
    "theory.elbo.EntropySum",
    "theory.explain.Explanation",
    "theory.factors.FactorIdentities",
    "theory.factors.FactorIdentity",
    "theory.identity.Verification",
    "theory.module_check.ModuleVerification",
    "theory.nodes.Nodes",
    "theory.nodes.Variational",
    "theory.objective.Curvature",
    "theory.projection.NotReached",
    "theory.solvers.Found",
    "models.vae.latents.LatentEntropies",
}


def natural_of(family: Family) -> torch.Tensor:
    """Parameters η of N values of the family, in its domain."""
    if isinstance(
        family, families.FullGaussian | families.SphericalGaussian | families.DiagonalGaussian
    ):
        scale = torch.eye(D).double() if isinstance(family, families.FullGaussian) else ONE
        scale = scale.expand(N, D) if isinstance(family, families.DiagonalGaussian) else scale
        return family.natural_parameters(draw(N, D), scale.expand(N) if scale.dim() == 0 else scale)
    if isinstance(family, families.Custom | families.GaussianMean):
        return draw(N, columns(family))
    return family.from_coordinates(*theta_of(family).values())


def columns(family: Family) -> int:
    return 4 if isinstance(family, families.CategoricalProduct) else D


def theta_of(family: Family) -> dict[str, torch.Tensor]:
    return {name: 0.3 * draw(N, columns(family)) for name in family.coordinates}


#: What the methods of families take beyond values and parameters η.
OF_FAMILIES: dict[str, Any] = {
    "mean": 0.5 + 0.1 * draw(N, D).abs(),
    "location": draw(N, D),
    "t": 0.7 * ONE,
    "average": identity,
    "observed": 4,
    "probabilities": torch.softmax(draw(N, D), -1),
    "generator": g(),
    **{k: 0.5 + draw(N, D).abs() for k in ("alpha", "beta", "concentration", "dof", "rate")},
    "probability": 0.3 * ONE.expand(D),
    **{k: 0.5 + draw(N, D).abs() for k in ("scale", "shape", "variance")},
}


def of_family(family: Family, method: str, names: list[str]) -> dict[str, Any]:
    natural = natural_of(family)
    values = {**OF_FAMILIES, **theta_of(family), "natural": natural, "size": natural.shape[-1]}
    values["x"] = drawn(family, natural)
    if isinstance(family, families.FullGaussian):
        values["variance"] = torch.eye(D).double()
    if isinstance(family, families.SphericalGaussian):
        values["variance"] = ONE.expand(N)
    if "theta" in names:
        theta = list(theta_of(family).values()) or [natural]
        return {"theta": theta[0]}
    return {name: values[name] for name in names if name in values}


def drawn(family: Family, natural: torch.Tensor) -> torch.Tensor:
    return natural if isinstance(family, families.Custom) else family.sample(natural, g())


def data_of(model: Model) -> torch.Tensor:
    if isinstance(model, models.HiddenMarkov | models.LinearDynamical):
        return draw(N, T, D).abs().round()
    z = torch.zeros(1, model.latent_size or 1).double()
    if model.states is not None:
        z = model.states
    own = parameters_of(model)
    if isinstance(model, models.BoltzmannMachine):
        return (draw(N, D) > 0).double()
    if isinstance(model, models.Diffusion):
        return draw(N, D)
    if isinstance(model, models.LDA):
        return torch.ones(N, D).double()
    if isinstance(model, models.MultiStream):
        return draw(N, D)
    natural = model.factors[-1].natural(own, z)
    family = model.factors[-1].family
    if isinstance(family, families.FullGaussian | families.SphericalGaussian):
        return draw(N, D)
    return family.sample(natural[:1].expand(N, -1), g())


def parameters_of(model: Model) -> dict[str, torch.Tensor]:
    if isinstance(model, models.GenerativeModel):
        return {"a": draw(1), "W": draw(D, 1), "b": draw(D)}
    return model.initial_parameters(g())


def q_of(model: Model, x: torch.Tensor) -> Variational:
    if isinstance(model, models.Diffusion):
        return model.noised(x, g())
    if isinstance(model, models.LDA):
        return model.random_q(x, g())
    if isinstance(model, models.HierarchicalVAE):
        return variational.Gaussian(draw(N, H + 1), draw(N, H + 1).exp())
    if model.states is not None or x.dim() == 3:
        return model.posterior(parameters_of(model), x)
    return variational.Gaussian(draw(N, H), draw(N, H).exp())


def of_model(model: Model, method: str, names: list[str]) -> dict[str, Any]:
    x = data_of(model)
    z = torch.zeros(4, model.latent_size or 1).double()
    values: dict[str, Any] = {
        "parameters": parameters_of(model),
        "x": x,
        "z": z if model.states is None else model.states,
        "q": q_of(model, x),
        "generator": g(),
        "rate": ONE,
        "points": N,
        "inputs": draw(N, 1),
        "eigenvectors": [0],
        "grid": draw(5).abs().round(),
        "weights": torch.tensor([0.4, 0.6]).double(),
        "means": draw(C, D),
        "covariances": torch.eye(D).double().expand(C, D, D),
        "head": "mean" if isinstance(model, models.GaussianVAE) else "logits",
        "count": 4,
    }
    if isinstance(model, models.Diffusion):
        values |= {"z": draw(N, 3, D), "t": torch.arange(1.0, 4.0).double()}
    if isinstance(model, models.StudentTVAE):
        values["head"] = "location"
    if isinstance(model, models.LDA):
        values |= {"lengths": 5 * torch.ones(N).double()}
    if isinstance(model, models.SparseCoding):
        values["weights"] = models.EntropyWeights()
    return {name: values[name] for name in names if name in values}


def of_q(q: Variational, method: str, names: list[str]) -> dict[str, Any]:
    own = {"a": draw(2)}
    values = {
        "parameters": own if method == "join" else q.parameters,
        "variables": q.join(own),
        "rate": 0.0 if isinstance(q, variational.Tabulated) else 0.5,
        "x": draw(N, D) if isinstance(q, variational.Gaussian) else draw(N, T, D),
        "rule": None,
        "states": C if isinstance(q, models.MarkovChain) else torch.eye(C).double(),
        "generator": g(),
        "z": draw(N, 4, H),
        "steps": torch.ones(N, T).double(),
        "latent": H,
        "probabilities": torch.softmax(draw(N, C), -1),
    }
    if isinstance(q, variational.MeanFieldBernoulli):
        values["rate"] = 0.0
    return {name: values[name] for name in names if name in values}


def required(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


@cache
def ppca() -> dict[str, Any]:
    model = models.PPCA(D, H)
    x = draw(N, D)
    own = parameters_of(model)
    return {"model": model, "parameters": own, "q": q_of(model, x), "x": x}


@cache
def ensemble() -> Ensemble:
    vae, encoder = models.GaussianVAE(D, H), models.Encoder(D, H)
    return train_vae(vae, encoder, draw(N, D), [0, 1], Plan(steps=2, log_every=1))


@cache
def result() -> fit.FitResult:
    return fit.adam(**ppca(), steps=2)


def linear(p: Mapping[str, torch.Tensor], z: torch.Tensor) -> torch.Tensor:
    return z @ p["W"].T + p["b"]


def lbfgs_objective(at: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return -((at["a"] - 1) ** 2).sum()


class Noise(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.log_variance = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.float64))


def log_likelihood(module: Any) -> torch.Tensor:
    std = (module.log_variance / 2).exp()
    return torch.distributions.Normal(0.0, std).log_prob(torch.tensor([0.1, -2.0])).mean()


READOUT = torch.nn.Parameter(torch.linspace(-1, 1, H * D, dtype=torch.float64).reshape(H, D))


def usual_loss(x: Any) -> torch.Tensor:
    mean, log_variance = x[:, :H], x[:, :H] / 4
    z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
    return 0.5 * (x - z @ READOUT).square().sum(1).mean() + 0.0 * log_variance.sum()


def functions() -> dict[str, dict[str, Any]]:
    """Arguments of the functions that are no methods."""
    from sklearn.decomposition import PCA

    at = ppca()
    chosen = {"W": draw(D, H), "b": draw(D)}
    scores = {"location": 0.1 * ONE.expand(1), "log_scale": 0.3 * ONE.expand(1)}
    laplace = families.Laplace()
    eta = lambda p: laplace.parameters(p["location"], p["log_scale"].exp())  # noqa: E731
    mixture = models.GaussianMixture(D, C)
    vae = models.GaussianVAE(D, H)
    own = vae.initial_parameters(g())
    encoder = models.Encoder(D, H)
    q = encoder.posterior(encoder.initial_parameters(g()), at["x"])
    natural = {"natural_parameters": linear, "parameters": chosen, "nodes": draw(12, H)}
    climb = {"objective": lbfgs_objective, "start": {"a": draw(2)}, "steps": 2}
    drawn = {"count": 5, "noise_std": 0.1, "seed": 0}
    minus = lambda m: -(m.log_variance + 2.83787706640934) / 2  # noqa: E731
    sampled = variational.Gaussian(draw(N, H), draw(N, H).exp(), rule=draws(N, 5, H))
    w = at["model"].maximum_likelihood(at["x"])
    return {
        "check_criterion": {**natural, "subset": None, "gauge": None},
        "theory.criterion.sufficient_subsets": natural | {"largest": 1},
        "check_score_criterion": {
            "log_prob": lambda p, x: laplace.log_prob(x, eta(p)),
            "entropy": lambda p, x: laplace.entropy(eta(p)),
            "parameters": scores,
            "points": draw(20, 1),
        },
        "theory.scores.check_distribution": {
            "distribution": lambda p: torch.distributions.Normal(p["m"], p["s"].exp(), False),
            "parameters": {"m": 0.1 * ONE, "s": 0.3 * ONE},
            "points": draw(20),
        },
        **dict.fromkeys(("verify", "elbo", "gap_blocks", "curvature"), at),
        "iwae_bound": at | {"q": sampled, "alpha": 0.5},
        "iwae_entropy_sum": at | {"q": sampled, "alpha": 0.5, "form": "auto"},
        "theory.importance.with_samples": {"q": sampled, "count": 4},
        "models.padded": {"sequences": [[1.0, 2.0], [3.0, 4.0]], "mask": [[True] * 2] * 2},
        "entropy_sum": at | {"form": "auto"},
        "explain_gap": at | {"weight_decay": 0.1, "decayed": ("mean",), "fixed": ()},
        "project": at | {"steps": 50},
        "theory.explain.beyond_gradient": at,
        "theory.differences.by_differences": at | {"step": 1e-4},
        "theory.explain.nearest_direction": {k: at[k] for k in ("model", "parameters", "q")},
        "theory.factors.factor_identities": at,
        "theory.identity.full_direction": {k: at[k] for k in ("model", "parameters", "q")},
        "verify_module": {
            "module": Noise(),
            "elbo": log_likelihood,
            "entropy_sum": minus,
            "direction": {"log_variance": -1.0},
        },
        "verify_vae": {
            "encoder": lambda x: (x[:, :H], x[:, :H] / 4),
            "decoder": lambda z: torch.distributions.Normal(z @ READOUT, 1.0),
            "x": draw(N, D),
            "loss": usual_loss,
            "samples": 2,
            "seed": 3,
        },
        "from_sklearn": {"estimator": PCA(H).fit(at["x"].numpy())},
        "fit.lbfgs": at | {"steps": 2, "tolerance": None},
        "fit.newton": at | {"steps": 2, "tolerance": None, "fixed": ()},
        "fit.adam": at | {"steps": 2, "learning_rate": 0.01, "generator": g()},
        "fit.em": {
            "model": mixture,
            "parameters": mixture.random_start(draw(20, D), g()),
            "x": draw(20, D),
            "steps": 2,
            "tolerance": None,
            "floor": 0.0,
        },
        **{f"fit.maximise.{name}": climb for name in ("lbfgs", "newton")},
        "fit.maximise.adam": climb | {"learning_rate": 0.1, "decay": True},
        "fit.maximise.ascent": climb | {"rate": 0.1, "halvings": 3},
        "theory.nodes.binary_states": {"size": 3},
        "theory.nodes.cubature": {"size": 3},
        "theory.nodes.gauss_hermite": {"size": 2, "order": 3},
        "theory.nodes.samples": {"points": 3, "count": 2, "size": 2, "generator": g()},
        "models.vae.latents.latent_entropies": {
            "model": vae,
            "parameters": own,
            "q": q_of(vae, at["x"]),
            "threshold": 0.01,
        },
        "models.vae.latents.diagonal_moments": {"q": q_of(vae, at["x"])},
        "models.vae.latents.prior_variance": {"model": vae, "parameters": own, "mean": draw(N, H)},
        "models.vae.linear.linear_vae": {"model": at["model"], "parameters": w, "x": at["x"]},
        "training.batch_elbo": {
            "model": vae,
            "parameters": own,
            "q": q,
            "x": at["x"],
            "kl_weight": 0.5,
        },
        "training.train_vae": {
            "model": vae,
            "encoder": encoder,
            "x": at["x"],
            "seeds": [0],
            "plan": Plan(steps=2, log_every=1),
            "nodes": 2,
        },
        **of_studies(),
        "datasets.bars": {"count": 5, "size": 2, "probability": 0.5, "seed": 0},
        **{
            f"datasets.{name}": drawn | {"observed": 4, "latent": 2} for name in ("pca", "pca_ring")
        },
        **{
            f"datasets.{name}": drawn
            for name in (
                "circle",
                "cosine",
                "eight_gaussians",
                "lemniscate",
                "spiral",
                "swiss_roll",
            )
        },
        "datasets.manifold": drawn | {"intrinsic": 2, "observed": 4},
        "datasets.digits": {"binary": False},
        **{f"datasets.{name}": {"standardize": True} for name in ("iris", "wine", "breast_cancer")},
        "datasets.image_patches": {"count": 5, "size": 4, "seed": 0},
        "datasets.orientations": {"count": 5, "seed": 0},
        "datasets.most_frequent_words": {"words": 3},
        "datasets.word_counts": {"words": 3, "length": 50},
    }


def of_studies() -> dict[str, dict[str, Any]]:
    """Arguments of what chapters offer for a reader's own models."""
    at, vae, encoder = ppca(), models.GaussianVAE(D, H), models.Encoder(D, H)
    drawn = {"model": vae, "parameters": vae.initial_parameters(g()), "q": q_of(vae, at["x"])}
    phi = encoder.initial_parameters(g())
    amortized = drawn | {"q": encoder.posterior(phi, at["x"]), "x": at["x"]}
    narrow = models.GaussianVAE(D, 1)
    grid = {"model": narrow, "parameters": narrow.initial_parameters(g())}
    grid["q"] = variational.Gaussian(draw(N, 1), draw(N, 1).exp())
    counts = {"family": Poisson(), "natural": draw(D)}
    sparse = models.SparseCoding(D, H)
    learned = {"model": sparse, "parameters": sparse.initial_parameters(g()), "x": draw(N, D)}
    cold = counts | {"x": draw(N, D).abs().round()}
    spectrum = {"eigenvalues": torch.tensor([3.0, 2.0, 1.0]).double(), "noise_variance": 0.5}
    found = {
        "collapse.latents.latent_slopes": drawn | {"x": at["x"]},
        "collapse.latents.latent_information": {"q": q_of(vae, at["x"])},
        "collapse.linear.linear_contributions": spectrum,
        "collapse.linear.uphill_directions": spectrum | {"chosen": [0], "latent": 2},
        "manifolds.likelihood.latent_grid": grid | {"resolution": 0.5, "reach": 5.0},
        "manifolds.likelihood.marginal": grid | {"x": at["x"]},
        "profiling.envelope.envelope_gradients": amortized | {"profile": ("noise",)},
        "profiling.envelope.profiled_curvature": amortized | {"profile": ("noise",)},
        "profiling.batches.batch_bias": amortized
        | {"sizes": [2], "draws": 3, "profile": ("noise",), "generator": g()},
        "sparse.alternation.alternate": learned
        | {"q": q_of(sparse, at["x"]), "steps": 2, "inner_steps": 1, "log_every": 1},
        "temperature.tempering.log_tempered_normaliser": counts | {"t": 0.7 * ONE},
        "temperature.tempering.tempered_log_prob": cold | {"t": 0.7 * ONE},
        "temperature.tempering.rate_of_cooling": cold,
        "temperature.tempering.tempered_elbo": at | {"t": 0.7},
        "temperature.tempering.tempering_slopes": at,
        "theorem_1.population.population_elbo": {
            "model": at["model"],
            "parameters": at["parameters"],
            "covariance": torch.eye(D).double(),
        },
    }
    return {f"studies.{name}": given for name, given in found.items()}


#: Functions that take nothing, or whose files and downloads have tests of their own.
NOTHING_TO_GET_WRONG = {
    *(f"datasets.{name}" for name in ("cell_sizes", "petal_proportions", "word_frequencies")),
    *(f"datasets.{name}" for name in ("celeba", "mnist", "susy", "table", "images")),
    "theory.model.normal_draws",
    *(f"datasets.{name}" for name in ("earthquakes", "nile", "mnist_sample")),
    "verify_pyro",  # takes programs with sites; tests/models/own has its doors
}

#: The machinery behind ``check_criterion``, ``verify_module`` and ``entropy_sum``.
MACHINERY = tuple(
    f"theory.{name}." for name in ("equations", "module_sides", "module_state", "solvers", "terms")
)

#: Methods that take arrays of arguments or are asked by the package only.
ASKED_WITHIN = {"admit", "rows"}
#: What models ask of their Gaussians, with means and widths of their own making.
ASKED_WITHIN |= {"gaussian", "located_entropy", "located_log_prob", "located_pairwise"}
ASKED_WITHIN |= {"variance_of", "width_of", "nodes"}
#: An ensemble on another device.
ASKED_WITHIN |= {"on"}


def objects() -> dict[str, Any]:
    """One of every class with methods, as it is built."""
    encoder = models.Encoder(D, H)
    at = ppca()
    made: dict[str, Any] = {}
    for name, kind in public.names():
        if inspect.isclass(kind) and not inspect.isabstract(kind):
            if kind in CONSTRUCTORS:
                made[name] = kind(**CONSTRUCTORS[kind])
            elif issubclass(kind, Family):
                made[name] = kind()
    made["theory.variational.Amortized"] = encoder.posterior(
        encoder.initial_parameters(g()), at["x"]
    )
    made["theory.objective.Problem"] = Problem.of(**at)
    made["training.Ensemble"] = ensemble()
    made["fit.Trace"] = result().trace
    return made


def arguments(owner: Any, method: str, function: Callable[..., Any]) -> dict[str, Any] | None:
    """Valid arguments of a method, or ``None`` if it is not known how it is called."""
    names = required(function)
    if isinstance(owner, Family):
        found = of_family(owner, method, names)
    elif isinstance(owner, Model):
        found = of_model(owner, method, names)
    elif isinstance(owner, Variational):
        found = of_q(owner, method, names)
    elif isinstance(owner, models.Encoder | models.LayeredEncoder):
        phi = owner.initial_parameters(g())
        found = {"parameters": phi, "x": draw(N, D), "rate": 0.5, "generator": g()}
    elif isinstance(owner, Factor):
        states = torch.tensor([[0.0, 1.0]]).double()
        found = {"parameters": {"W": draw(D, 2)}, "x": torch.ones(N, D).double(), "z": states}
    elif isinstance(owner, Problem):
        start = owner.start
        vector = torch.cat([value.reshape(-1) for value in start.values()])
        found = {"variables": start, "vector": vector, **ppca(), "fixed": ()}
    elif isinstance(owner, Ensemble):
        found = {"run": 0, "logged": 1, "name": "elbo", "scales": ("noise",)}
    elif isinstance(owner, Trace):
        found = {"name": "elbo", "later": owner}
    elif isinstance(owner, Plan):
        found = {"noise": "scalar", "learnable_prior": False}
    elif isinstance(owner, models.EntropyWeights):
        found = {"steps": 3}
    else:
        found = {}
    found = {name: value for name, value in found.items() if name in [*names, "theta"]}
    if method == "of":
        found |= {"model": ppca()["model"]}
    needed = [
        name
        for name, p in inspect.signature(function).parameters.items()
        if p.default is p.empty
        and name not in ("self", "cls")
        and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    return found if set(needed) <= set(found) else None


def calls() -> Iterator[tuple[str, Call | None]]:
    """Every public name with a valid call; ``None`` if there is none in this registry."""
    known, made = functions(), objects()
    for name, thing in (*public.names(), *public.of_studies()):
        if name.startswith(MACHINERY):
            continue
        if inspect.isclass(thing):
            if name in made and thing in CONSTRUCTORS:
                yield name, Call(thing, CONSTRUCTORS[thing])
            elif name not in made and name not in NOT_BUILT:
                yield name, None
        elif name not in NOTHING_TO_GET_WRONG:
            yield name, Call(thing, known[name]) if name in known else None
    for name, owner in made.items():
        for method, function in public.methods(type(owner)):
            if method in ASKED_WITHIN:
                continue
            found = arguments(owner, method, function)
            bound = getattr(owner, method)
            yield f"{name}.{method}", None if found is None else Call(bound, found)

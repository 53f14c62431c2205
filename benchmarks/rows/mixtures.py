"""EM of Gaussian mixtures: scikit-learn, Pyro and pomegranate."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from benchmarks.em import em_steps
from benchmarks.harness import Check, Measured, Row, Setting, Target, alternate
from companion.models import GaussianMixture

Kind = Literal["full", "diagonal", "spherical"]
THEIRS = {"full": "full", "diagonal": "diag", "spherical": "spherical"}
FLOOR = 1e-6
DIMENSIONS, COMPONENTS = 16, 10


def draw(points: int, seed: int = 0) -> Tensor:
    """Data from a mixture with overlapping components of different shapes."""
    rng = np.random.default_rng(seed)
    means = 1.5 * rng.standard_normal((COMPONENTS, DIMENSIONS))
    scales = np.eye(DIMENSIONS) + 0.2 * rng.standard_normal((COMPONENTS, DIMENSIONS, DIMENSIONS))
    labels = rng.integers(COMPONENTS, size=points)
    noise = rng.standard_normal((points, DIMENSIONS))
    x = np.empty((points, DIMENSIONS))
    for component in range(COMPONENTS):
        chosen = labels == component
        x[chosen] = means[component] + noise[chosen] @ scales[component].T
    return torch.from_numpy(x)


def start(x: Tensor, kind: Kind) -> tuple[GaussianMixture, dict[str, Tensor]]:
    """The model and one common start: equal weights, unit variances, means at data points."""
    model = GaussianMixture(DIMENSIONS, COMPONENTS, kind)
    weights = torch.full((COMPONENTS,), 1 / COMPONENTS, dtype=torch.float64)
    means = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:COMPONENTS]]
    ones = torch.ones(COMPONENTS, dtype=torch.float64)
    variances = ones[:, None].expand(-1, DIMENSIONS)
    covariances = {"full": torch.diag_embed(variances), "diagonal": variances, "spherical": ones}
    return model, model.from_covariances(weights, means, covariances[kind].clone())


def scikit_learn(x: Tensor, kind: Kind, tolerance: float, steps: int) -> Any:
    """Their EM from the same start; all three ``_init`` given, so that nothing else is computed."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture as Mixture

    _, parameters = start(x, kind)
    shape = {
        "full": (COMPONENTS, DIMENSIONS, DIMENSIONS),
        "diagonal": (COMPONENTS, DIMENSIONS),
        "spherical": (COMPONENTS,),
    }[kind]
    precisions = np.broadcast_to(np.eye(DIMENSIONS), shape) if kind == "full" else np.ones(shape)
    mixture = Mixture(
        COMPONENTS,
        covariance_type=THEIRS[kind],
        tol=tolerance,
        reg_covar=FLOOR,
        max_iter=steps,
        weights_init=np.full(COMPONENTS, 1 / COMPONENTS),
        means_init=parameters["means"].numpy(),
        precisions_init=precisions,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(x.numpy())


def against_scikit_learn(kind: Kind, setting: Setting) -> Measured:
    points, tolerance = setting.pick(100_000, 500), 1e-3
    few, many = setting.pick((10, 300), (3, 50))
    x = draw(points)
    model, parameters = start(x, kind)
    data = x.numpy()

    fixed = alternate(
        lambda: em_steps(model, parameters, x, steps=few, floor=FLOOR),
        lambda: scikit_learn(x, kind, 0.0, few),
        setting.repeats,
    )
    whole = alternate(
        lambda: em_steps(model, parameters, x, steps=many, rise=tolerance, floor=FLOOR),
        lambda: scikit_learn(x, kind, tolerance, many),
        setting.pick(3, 2),
    )
    checks = []
    for words, pair in ((f"{few} iterations", fixed), (f"tolerance {tolerance:g}", whole)):
        ours, theirs = pair.results
        mine = float(model.log_likelihood(ours.parameters, x))
        checks.append(Check(f"log-likelihood after {words}", mine, theirs.score(data), 1e-9))
    count = Check("iterations to the tolerance", ours.steps, theirs.n_iter_, 0.0)
    times = {f"{side}, one iteration": _scaled(time, few) for side, time in fixed.times.items()}
    return Measured(
        {"ratio": fixed.ratio, "to tolerance": whole.ratio},
        [*checks, count],
        {"N": points, "D": DIMENSIONS, "C": COMPONENTS, "iterations to tolerance": theirs.n_iter_},
        times,
        "float64",
        setting.repeats,
    )


def _scaled(time: Any, count: int) -> Any:
    return type(time)(time.median / count, time.low / count, time.high / count, time.unit)


def _pyro_gradient(x: Tensor, model: GaussianMixture, parameters: dict[str, Tensor]) -> Any:
    """Log-likelihood of all data and its gradient with the component enumerated in parallel."""
    import pyro
    import pyro.distributions as dist
    from pyro.infer import TraceEnum_ELBO

    covariances = model.covariance_matrices(parameters)
    leaves = {
        "prior_logits": parameters["prior_logits"],
        "means": parameters["means"],
        "scale": torch.linalg.cholesky(covariances),
    }
    leaves = {name: value.clone().requires_grad_() for name, value in leaves.items()}

    def mixture() -> None:
        with pyro.plate("data", len(x)):
            component = dist.Categorical(logits=leaves["prior_logits"])
            z = pyro.sample("z", component, infer={"enumerate": "parallel"})
            observed = dist.MultivariateNormal(leaves["means"][z], scale_tril=leaves["scale"][z])
            pyro.sample("x", observed, obs=x)

    bound = TraceEnum_ELBO(max_plate_nesting=1)

    def gradient() -> tuple[float, Tensor]:
        loss = bound.differentiable_loss(mixture, lambda: None)
        slopes = torch.autograd.grad(loss, list(leaves.values()))
        return -float(loss), -slopes[0]

    return gradient


def against_pyro(setting: Setting) -> Measured:
    points = setting.pick(20_000, 500)
    x = draw(points)
    model, parameters = start(x, "full")
    steps = setting.pick(10, 2)
    gradient = _pyro_gradient(x, model, parameters)

    def gradients() -> list[Any]:
        return [gradient() for _ in range(steps)]

    pair = alternate(
        lambda: em_steps(model, parameters, x, steps=steps, floor=FLOOR),
        gradients,
        setting.repeats,
    )
    value, slope = pair.results[1][0]
    ours = em_steps(model, parameters, x, steps=1, floor=FLOOR)
    # d log p / d logits = Σ_n r_nc − N π_c, so that it gives the weights after an EM step.
    weights = torch.softmax(parameters["prior_logits"], 0) + slope / points
    apart = float((torch.softmax(ours.parameters["prior_logits"], 0) - weights).abs().max())
    return Measured(
        {"ratio": pair.ratio},
        [
            Check("log-likelihood", float(ours.log_likelihoods[0]), value / points, 1e-9),
            Check("largest difference of weights after the step", apart, 0.0, 1e-9),
        ],
        {"N": points, "D": DIMENSIONS, "C": COMPONENTS, "steps": steps},
        {f"{side}, one step": _scaled(time, steps) for side, time in pair.times.items()},
        "float64",
        setting.repeats,
    )


def against_pomegranate(setting: Setting) -> Measured:
    from pomegranate.distributions import Normal
    from pomegranate.gmm import GeneralMixtureModel

    points, steps = setting.pick(20_000, 2000), setting.pick(10, 2)
    x = draw(points)
    model, parameters = start(x, "full")
    covariances = model.covariance_matrices(parameters)

    def theirs() -> Any:
        parts = [
            Normal(mean, covariance, covariance_type="full")
            for mean, covariance in zip(parameters["means"], covariances, strict=True)
        ]
        priors = torch.softmax(parameters["prior_logits"], 0)
        return GeneralMixtureModel(parts, priors=priors, max_iter=steps, tol=-1.0).fit(x)

    pair = alternate(lambda: em_steps(model, parameters, x, steps=steps), theirs, setting.repeats)
    ours, mixture = pair.results
    mine = float(model.log_likelihood(ours.parameters, x))
    return Measured(
        {"ratio": pair.ratio},
        [Check("log-likelihood", mine, float(mixture.log_probability(x).mean()), 1e-6)],
        {"N": points, "D": DIMENSIONS, "C": COMPONENTS, "iterations": steps},
        pair.times,
        "float64",
        setting.repeats,
    )


LIMITS = {
    "full": (
        "Two matrix products with the 153 quadratic features of each point take most of the time; "
        "the rest is exponentials and the features themselves."
    ),
    "diagonal": "Memory: the data, their squares and the responsibilities are read in every step.",
    "spherical": "Memory and exponentials: there is little arithmetic left to do better.",
}
_DETAIL = (
    "Both start from the same weights, means and variances, add the same floor to variances, and "
    "must end with the same log-likelihood: after a fixed number of iterations, and where the "
    "log-likelihood's rise falls below the same tolerance."
)
IN_THE_END = (Target("ratio", "times as fast in one iteration, in the end", at_least=6),)
GOALS: tuple[tuple[Kind, int, tuple[Target, ...]], ...] = (
    ("full", 4, IN_THE_END),
    ("diagonal", 4, ()),
    ("spherical", 4, ()),
)
ROWS = (
    *(
        Row(
            name=f"mixture-{kind}",
            title=f"Gaussian mixture EM, {kind} covariances",
            peer="scikit-learn, GaussianMixture",
            work=_DETAIL,
            targets=(
                Target("ratio", "times as fast in one iteration", at_least=goal),
                Target("to tolerance", "times as fast to the tolerance", at_least=goal),
                *more,
            ),
            limits=LIMITS[kind],
            measure=partial(against_scikit_learn, kind),
            packages=("torch", "numpy", "scikit-learn"),
        )
        for kind, goal, more in GOALS
    ),
    Row(
        name="mixture-pyro",
        title="Gaussian mixture, EM steps against Pyro",
        peer="Pyro, TraceEnum_ELBO with its gradient",
        work=(
            "Ten EM steps against ten values and gradients with the component enumerated in "
            "parallel: the same expectations. The log-likelihood must agree, and the gradient must "
            "give the weights that the EM step gives."
        ),
        targets=(Target("ratio", "times as fast", at_least=8),),
        limits="Fewer points leave less to gain from blocks that fit the cache.",
        measure=against_pyro,
        needs=("pyro",),
        packages=("torch", "numpy", "pyro-ppl"),
    ),
    Row(
        name="mixture-pomegranate",
        title="Gaussian mixture EM, against pomegranate",
        peer="pomegranate, GeneralMixtureModel",
        work="The same number of EM iterations from the same start, to the same log-likelihood.",
        targets=(Target("ratio", "times as fast", at_least=1.3),),
        limits="Both are a few matrix products in PyTorch.",
        measure=against_pomegranate,
        needs=("pomegranate",),
        packages=("torch", "numpy", "pomegranate"),
    ),
)

"""That the symbols are about the package: its densities, its entropies and its v, in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import sympy as sp
import torch
from sympy import Expr
from torch import Tensor

from companion.families import Family
from companion.models import (
    LDA,
    FamilyMixture,
    HiddenMarkov,
    HierarchicalVAE,
    LinearDynamical,
    MultiStream,
    StudentTVAE,
)
from companion.studies.proofs.densities import FAMILIES
from companion.studies.proofs.factors import FACTORS
from companion.studies.proofs.statement import THETA, Statement
from companion.theory.model import Model, normal_draws

__all__ = ["Agreement", "agreement", "evaluate", "expected_direction", "statements_of"]

PRIOR = ("prior_log_variance",)
#: What a family holds fixed, and its symbol here.
_HELD = {"trials": "n", "successes": "r", "shape": "k"}


@dataclass(frozen=True)
class Agreement:
    """Largest relative differences between a family's code and its symbols, at random points."""

    density: float
    base_measure: float
    entropy: float
    direction: float


def evaluate(expression: Expr, values: Mapping[str, float]) -> float:
    """The expression with numbers for its symbols and entries, by name: ``"x"``, ``"l[1]"``.

    >>> evaluate(sp.exp(sp.Symbol("t", real=True)), {"t": 0.0})
    1.0
    """
    counts = {s: int(values[s.name]) for s in expression.free_symbols if s.name in ("n", "C")}
    plain = expression.subs(counts).doit()
    atoms = plain.atoms(sp.Indexed, sp.Symbol)
    return float(
        sp.N(
            plain.xreplace({a: sp.Float(values[str(a)], 30) for a in atoms if str(a) in values}), 20
        )
    )


def agreement(family: Family, draws: int = 3, seed: int = 0) -> Agreement:
    """Compare a family of :data:`companion.families.EVERY_FAMILY` with its symbols.

    Two variables (or groups of categories) at a time, so that sums over them are seen.
    """
    statement = FAMILIES[type(family).__name__]
    generator = torch.Generator().manual_seed(seed)
    found = np.array([_differences(family, statement, generator) for _ in range(draws)])
    return Agreement(*found.max(0).tolist())


def _differences(family: Family, statement: Statement, generator: torch.Generator) -> list[float]:
    units, size = (2, 1) if family.independent_columns else (getattr(family, "groups", 1), 3)
    theta = [0.6 * normal_draws(units * size, generator=generator) for _ in family.coordinates]
    natural = family.from_coordinates(*theta)
    x = family.sample(natural, generator)
    held = {s: float(getattr(family, n)) for n, s in _HELD.items() if hasattr(family, n)}
    ours, steps = np.zeros(3), {name: list[float]() for name in family.coordinates}
    for unit in range(units):
        at = slice(unit * size, (unit + 1) * size)
        values = held | _named("x", x[at]) | {"C": size}
        for name, block in zip(family.coordinates, theta, strict=True):
            values |= _named(str(statement.coordinates[name]), block[at])
        expressions = (statement.potential, statement.log_base, statement.entropy)
        ours += [evaluate(expression, values) for expression in expressions]
        for name, block in zip(family.coordinates, theta, strict=True):
            v = sp.sympify(statement.direction.get(name, 0))
            steps[name] += [evaluate(v, values | {"theta": float(e)}) for e in block[at]]
    code = family.log_prob(x, natural), family.log_base_measure(x), family.pseudo_entropy(natural)
    theirs = np.array([float(value) for value in code])
    moved = zip(family.direction(*theta), steps.values(), strict=True)
    worst = max(float((v - torch.tensor(s, dtype=v.dtype)).abs().max()) for v, s in moved)
    return [*np.abs(theirs - ours) / (1 + np.abs(ours)), worst]


def _named(name: str, block: Tensor) -> dict[str, float]:
    """The one entry under the symbol's name, several as name[1], name[2], …"""
    if len(block) == 1:
        return {name: float(block[0])}
    return {f"{name}[{i}]": float(entry) for i, entry in enumerate(block, 1)}


def statements_of(model: Model, names: Iterable[str]) -> list[tuple[Statement, dict[str, str]]]:
    """The statements that make up a model, with the names of its parameters for the coordinates.

    ``names`` are those of the model's parameters and, as ``q.<name>``, of q's.

    Raises
    ------
    ValueError
        If a factor of the model has no statement.
    """
    blocks = list(names)
    if model.factors[0].name == "joint":
        own = [name for name in blocks if not name.startswith("q.")]
        return [(FACTORS["log-linear states"], {"weights": name}) for name in own]
    if isinstance(model, HierarchicalVAE):
        return _stacked(model, blocks)
    return [_prior(type(model.factors[0].family).__name__, blocks)] + [
        _conditional(model, type(factor.family).__name__, factor.name, blocks)
        for factor in model.factors[1:]
        if factor.name != "tied"  # a price, with no slope along v
    ]


def _stacked(model: HierarchicalVAE, names: list[str]) -> list[tuple[Statement, dict[str, str]]]:
    """The statements of each layer as a VAE of its own; only the last keeps its prior, and q."""
    found, top = [], len(model.layers)
    for k, layer in enumerate(model.layers):
        back = {own: own if own in PRIOR or not k else f"z{k}.{own}" for own in layer.shapes}
        if k == top - 1:
            own_q = f"q.z{top}."
            back |= {f"q.{n.removeprefix(own_q)}": n for n in names if n.startswith(own_q)}
        for statement, blocks in statements_of(layer, back)[0 if k == top - 1 else 1 :]:
            found.append((statement, {c: back[name] for c, name in blocks.items()}))
    return found


def _prior(family: str, names: list[str]) -> tuple[Statement, dict[str, str]]:
    if "initial_log_diagonal" in names:
        return _covariance("initial")
    if "log_concentration" in names:
        return FACTORS["Dirichlet, topics"], {n: n for n in ("log_concentration",)}
    if "contraction" in names:
        return FACTORS["stationary covariance"], {}  # its v is the transition's, which moves it
    learned = {
        "prior_log_variance": (FACTORS["Gaussian noise"], "log_variance"),
        "prior_log_scale": (FAMILIES["ZeroLaplace"], "log_scales"),
        "prior_logits": (FAMILIES.get(family), "component_logits"),
        "log_rate": (FAMILIES["Poisson"], "log_rates"),
    }
    for name, (statement, coordinate) in learned.items():
        if name in names and statement is not None:
            return statement, {coordinate: name}
    first = next(name for name in names if name.endswith("weights"))
    if "q.log_std.bias" in names:
        of_q = {n.removeprefix("q."): n for n in names if n.startswith("q.")}
        still = ("switch_logits", "hidden")
        own = {n: name for n, name in of_q.items() if not n.startswith(still)}
        return FACTORS["fixed Gaussian prior, encoder"], {"first": first, **own}
    kind = (
        "Laplace prior, Gaussian q" if family == "ZeroLaplace" else "Gaussian prior, any Gaussian q"
    )
    return FACTORS[f"fixed {kind}"], {"weights": first, "q.mean": "q.mean", "q.scale": "q.scale"}


def _covariance(name: str) -> tuple[Statement, dict[str, str]]:
    return FACTORS["full covariance"], {n: f"{name}_{n}" for n in ("cholesky", "log_diagonal")}


def _conditional(
    model: Model, family: str, layer: str, names: list[str]
) -> tuple[Statement, dict[str, str]]:
    if layer == "transition" and family == "Categorical":
        return FAMILIES[family], {"component_logits": "transition_logits"}
    if isinstance(model, LDA):
        return FAMILIES[family], {"component_logits": "topic_logits"}
    if isinstance(model, MultiStream):
        switches = {"component_logits": "prior_logits"}
        return FAMILIES[family], switches if layer == "switches" else {"log_scales": "log_scale"}
    if isinstance(model, StudentTVAE):
        return FAMILIES[family], {"log_scales": "log_scale", "log_dofs": "log_dof"}
    emission = model.emission if isinstance(model, HiddenMarkov) else model
    if isinstance(emission, FamilyMixture):
        return FAMILIES[family], {name: name for name in emission.family.coordinates}
    if isinstance(model, LinearDynamical):
        return _covariance({"observable": "noise"}.get(layer, layer))
    linear = {
        "Bernoulli": "linear logits",
        "Poisson": "linear log-rates",
        "CategoricalProduct": "linear logits of categories",
        "GaussianMean": "mean of known variance",
    }
    if family in linear:
        # A layer's own name, that of the last layer of a decoder, or none.
        prefixes = (f"{layer}.", "logits.", "mean.", "")
        prefix = next(p for p in prefixes if f"{p}weights" in names)
        return FACTORS[linear[family]], {n: prefix + n for n in ("weights", "bias")}
    if family == "FullGaussian":
        return FACTORS["full covariance"], {n: n for n in ("means", "cholesky", "log_diagonal")}
    if "log_variance.bias" in names:
        return FACTORS["log-variance head"], {n: f"log_variance.{n}" for n in ("weights", "bias")}
    for name in (f"{layer}_log_variance", "log_variance"):
        if name in names:
            return FACTORS["Gaussian noise"], {"log_variance": name}
    raise ValueError(f"no statement for the factor {layer} of {model!r}, {family}, with {names}")


def expected_direction(
    statements: Iterable[tuple[Statement, Mapping[str, str]]], parameters: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """v of a model, summed over its statements, at numbers for all its parameters."""
    total = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for statement, blocks in statements:
        others = [c for c in blocks if isinstance(statement.coordinates[c], sp.Symbol)]
        symbols = [statement.coordinates[c] for c in others]
        at = [parameters[blocks[c]].numpy() for c in others]
        for name, v in statement.direction.items():
            if name not in blocks:
                continue
            value = parameters[blocks[name]]
            step = sp.lambdify([THETA, *symbols], v, "numpy")(value.numpy(), *at)
            total[blocks[name]] = total[blocks[name]] + torch.as_tensor(step)
    return total

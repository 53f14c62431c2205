"""Oracles: SciPy's densities from unconstrained parameters alone, sums, quadrature; array sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import torch
from scipy import special, stats
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from companion import families
from companion.families import Family

Density = Callable[[np.ndarray], float]


def frozen(family: Family, p: Mapping[str, np.ndarray]):
    """SciPy's distribution of independent coordinates, with the parameters ``p`` of one component.

    ``None`` for families that are not products of univariate distributions.
    """
    e = {name: np.exp(value) for name, value in p.items()}
    match family:
        case families.Bernoulli():
            return stats.bernoulli(special.expit(p["component_logits"]))
        case families.Poisson():
            return stats.poisson(e["log_rates"])
        case families.Geometric():
            return stats.geom(special.expit(p["success_logits"]), loc=-1)
        case families.NegativeBinomial():
            return stats.nbinom(family.successes, special.expit(-p["failure_logits"]))
        case families.Exponential():
            return stats.expon(scale=1 / e["log_rates"])
        case families.Gamma():
            return stats.gamma(e["log_shapes"], scale=1 / e["log_rates"])
        case families.GammaFixedShape():
            return stats.gamma(family.shape, scale=1 / e["log_rates"])
        case families.InverseGaussian():
            shape = e["log_shapes"]
            return stats.invgauss(e["log_means"] / shape, scale=shape)
        case families.LogNormal():
            std = np.exp(p["log_variances"] / 2)
            return stats.lognorm(std, scale=np.exp(p["locations"]))
        case families.Beta():
            return stats.beta(e["log_alphas"], e["log_betas"])
        case families.VonMises():
            return stats.vonmises(e["log_concentrations"], loc=p["mean_angles"])
        case families.ZeroLaplace():
            return stats.laplace(scale=e["log_scales"])
        case families.Laplace():
            return stats.laplace(p["locations"], e["log_scales"])
        case families.StudentT():
            return stats.t(e["log_dofs"], p["locations"], e["log_scales"])
    return None


def log_density(family: Family, p: Mapping[str, np.ndarray]) -> Density:
    """log p(x) of one component, as a function of one data point x, ``(D,)``."""
    univariate = frozen(family, p)
    if univariate is not None:
        discrete = hasattr(univariate, "dist") and isinstance(univariate.dist, stats.rv_discrete)
        each = univariate.logpmf if discrete else univariate.logpdf
        return lambda x: float(each(x).sum())
    logits = p["component_logits"]
    if isinstance(family, families.CategoricalProduct):
        blocks = np.split(logits, family.groups)
        log_p = np.concatenate([special.log_softmax(block) for block in blocks])
        return lambda x: float(log_p[x == 1].sum())
    trials = family.trials if isinstance(family, families.Multinomial) else 1
    return lambda x: float(stats.multinomial(trials, special.softmax(logits)).logpmf(x))


# --- sums over a support, and quadrature ----------------------------------------------------------


def panels(low: float, high: float, count: int, order: int = 16) -> tuple[Tensor, Tensor]:
    """Nodes and log weights of the Gauss-Legendre rule on ``count`` equal parts of an interval."""
    nodes, weights = (torch.as_tensor(each) for each in np.polynomial.legendre.leggauss(order))
    edges = torch.linspace(low, high, count + 1, dtype=torch.float64)
    half, middle = edges.diff()[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    return (middle + half * nodes).flatten(), (half * weights).log().flatten()


def positive_line() -> tuple[Tensor, Tensor]:
    """Nodes ``(K, 1)`` and log weights for integrals over x > 0, by x = eᵘ."""
    u, log_weights = panels(-100, 100, 400)
    return u.exp()[:, None], log_weights + u


def line(kink: float = 0.0) -> tuple[Tensor, Tensor]:
    """The same for all real x, with heavy tails and one ``kink``: x = kink + sinh u."""
    u, log_weights = panels(-150, 150, 600)
    return kink + u.sinh()[:, None], log_weights + u.cosh().log()


def every_value(family: Family, theta: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Values ``(K, D)`` of a family with coordinates θ, ``(D,)`` each, and log weights for sums.

    D is 1 for independent columns and 4 otherwise.
    """
    first = dict(zip(family.coordinates, theta, strict=True))
    match family:
        case families.Bernoulli():
            x = [[0.0], [1.0]]
        case families.Categorical():
            x = np.eye(4)
        case families.CategoricalProduct():
            x = [[*a, *b] for a, b in product(np.eye(2), repeat=2)]
        case families.Multinomial(n):
            rows = product(range(n + 1), repeat=4)
            x = [row for row in rows if sum(row) == n]
        case families.Poisson() | families.Geometric() | families.NegativeBinomial():
            x = np.arange(4000.0)[:, None]
        case families.Beta():
            u, log_weights = panels(-36, 36, 100)
            inside = torch.sigmoid(u)
            return inside[:, None], log_weights + (inside * torch.sigmoid(-u)).log()
        case families.VonMises():
            angles, log_weights = panels(-torch.pi, torch.pi, 20)
            return angles[:, None], log_weights
        case families.ZeroLaplace() | families.Laplace() | families.StudentT():
            return line(float(first.get("locations", torch.zeros(1))[0]))
        case _:
            return positive_line()
    values = torch.as_tensor(np.array(x, dtype=np.float64))
    return values, torch.zeros(len(values), dtype=torch.float64)


class Measured:
    """Sums and integrals of p(x | η), from its values and those of h at weighted points x."""

    def __init__(self, family: Family, natural: Tensor, x: Tensor, log_weights: Tensor):
        self.x, self.log_weights = x, log_weights
        self.log_p, self.log_h = family.log_prob(x, natural), family.log_base_measure(x)
        self.p = (self.log_p + log_weights).exp()
        self.total = float(self.p.sum())
        self.entropy = float(self.mean(-self.log_p))
        self.pseudo_entropy = float(self.mean(self.log_h - self.log_p))

    def mean(self, values: Tensor) -> Tensor:
        """E[values], ``(K,)`` or ``(K, L)``; where p is zero, values need not be finite."""
        held = torch.where(self.p > 0, values.movedim(0, -1), 0.0)
        return held @ self.p

    def log_normaliser(self, t: float) -> float:
        """log Z_t = log ∫ pᵗ h¹⁻ᵗ."""
        held = self.log_p > -torch.inf
        terms = self.log_weights + t * self.log_p + (1 - t) * self.log_h
        return float(torch.logsumexp(terms[held], 0))


class Largest(TorchDispatchMode):
    """Entries of the largest tensor that any operation gives, views included."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple | list) else (out,):
            if isinstance(value, torch.Tensor):
                self.entries = max(self.entries, value.numel())
        return out

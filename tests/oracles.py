"""SciPy's densities of every family of a FamilyMixture, from its unconstrained parameters alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import special, stats

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

"""Mistakes in the families of FamilyMixture and in their directions v."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

M = TypeVar("M")

GEOMETRIC = "families/geometric.py"
GAMMA = "families/gamma.py"
INVERSE = "families/inverse_gaussian.py"
LOG_NORMAL = "families/log_normal.py"
BETA = "families/beta.py"
VON_MISES = "families/von_mises.py"
LAPLACE = "families/laplace.py"
STUDENT = "families/student_t.py"
POISSON = "families/poisson.py"
CATEGORICAL = "families/categorical.py"
BASE = "families/base.py"
NUMERICS = "families/numerics.py"
IDENTITY = "tests/theory/test_identity.py"
MORE = "tests/families/test_families_more.py"
REGISTRY = "tests/families/test_registry.py"
REFUSED = "tests/studies/test_temperature.py"

#: Name, file, old text, new text, cases whose identity must fail.
DIRECTIONS = (
    (
        "linear",
        BASE,
        "return (*theta, *named.values())",
        "return tuple(-t for t in (*theta, *named.values()))",
        "poisson",
    ),
    (
        "geometric",
        GEOMETRIC,
        "(softplus(success_logits) / torch.sigmoid(success_logits),)",
        "(softplus(success_logits),)",
        "mixture-geometric",
    ),
    (
        "negative binomial",
        GEOMETRIC,
        "(-softplus(-failure_logits) /",
        "(softplus(-failure_logits) /",
        "mixture-negativebinomial",
    ),
    ("gamma shape", GAMMA, "-torch.expm1(-log_shapes),", "log_shapes.exp() - 1,", "-gamma/"),
    (
        "gamma rate",
        GAMMA,
        ", torch.ones_like(log_rates)",
        ", -torch.ones_like(log_rates)",
        "-gamma/",
    ),
    ("gamma rate, known shape", GAMMA, "(torch.ones_like(", "(-torch.ones_like(", "fixedshape"),
    (
        "inverse Gaussian mean",
        INVERSE,
        "torch.zeros_like(log_means)",
        "torch.ones_like(log_means)",
        "inverse",
    ),
    ("inverse Gaussian shape", INVERSE, ", torch.ones_like(", ", -torch.ones_like(", "inverse"),
    ("log-normal location", LOG_NORMAL, "return -log_v", "return 0 * log_v", "lognormal"),
    ("log-normal variance", LOG_NORMAL, ", -torch.ones_like(", ", torch.ones_like(", "lognormal"),
    ("beta first", BETA, "-torch.expm1(-log_alphas)", "torch.ones_like(log_alphas)", "beta"),
    ("beta second", BETA, "-torch.expm1(-log_betas)", "torch.ones_like(log_betas)", "beta"),
    (
        "von Mises angle",
        VON_MISES,
        "torch.zeros_like(mean_angles)",
        "torch.ones_like(mean_angles)",
        "vonmises",
    ),
    (
        "von Mises concentration",
        VON_MISES,
        ", torch.ones_like(log_c",
        ", -torch.ones_like(log_c",
        "vonmises",
    ),
    ("Laplace scale, centred", LAPLACE, "(-torch.ones_like(", "(torch.ones_like(", "zerolaplace"),
    (
        "Laplace scale",
        LAPLACE,
        ", -torch.ones_like(",
        ", torch.ones_like(",
        "tempered-mixture-laplace",
    ),
    (
        "Laplace location",
        LAPLACE,
        "torch.zeros_like(locations)",
        "torch.ones_like(locations)",
        "tempered-mixture-laplace",
    ),
    ("Student t scale", STUDENT, "-0.5 * ratio", "-ratio", "student"),
    ("Student t dof", STUDENT, "-0.5 * ratio, ratio", "-0.5 * ratio, ratio / ratio", "student"),
)

#: Name, file, old text, new text, ``-k`` expression over the tests of families.
FORMULAS = (
    (
        "Poisson pseudo-entropy",
        POISSON,
        "natural.exp() * (1 - natural)",
        "natural.exp() * (1 + natural)",
        "pseudo and Poisson",
    ),
    (
        "Poisson base measure",
        POISSON,
        "return -torch.lgamma(x + 1).sum(-1)",
        "return torch.lgamma(x + 1).sum(-1)",
        "scipy and Poisson",
    ),
    (
        "log-partition of failures",
        GEOMETRIC,
        "return -self.successes * torch.log",
        "return -self.successes - torch.log",
        "scipy and Geometric",
    ),
    (
        "negative-binomial base measure",
        GEOMETRIC,
        "torch.lgamma(x + self.successes) -",
        "torch.lgamma(x + 1) -",
        "scipy and NegativeBinomial",
    ),
    (
        "negative-binomial sampling",
        GEOMETRIC,
        "success = -torch.expm1(natural)",
        "success = torch.exp(natural)",
        "draws and NegativeBinomial",
    ),
    (
        "multinomial pseudo-entropy",
        CATEGORICAL,
        "return self.trials * Categorical()",
        "return Categorical()",
        "multinomial",
    ),
    (
        "multinomial base measure",
        CATEGORICAL,
        "math.lgamma(self.trials + 1) - ",
        "-",
        "multinomial",
    ),
    (
        "a sum over counts that ends early",
        POISSON,
        "_SMALLEST_LOG_PROB = -60.0",
        "_SMALLEST_LOG_PROB = -5.0",
        "summation",
    ),
    (
        "entropy of a known shape",
        GAMMA,
        "self.shape * (1 - torch.log(-natural))",
        "self.shape * (1 + torch.log(-natural))",
        "pseudo and Exponential",
    ),
    (
        "gamma entropy",
        GAMMA,
        "(1 - shape) * torch.digamma(shape)",
        "shape * torch.digamma(shape)",
        "pseudo and Gamma",
    ),
    (
        "gamma log-partition",
        GAMMA,
        "(torch.lgamma(shape) - shape * log_rate)",
        "(torch.lgamma(shape) + shape * log_rate)",
        "scipy and Gamma",
    ),
    (
        "gamma of fixed shape, pseudo-entropy",
        GAMMA,
        "self.shape * (1 - torch.log(-natural)).sum(-1)",
        "(1 - torch.log(-natural)).sum(-1)",
        "pseudo and GammaFixedShape",
    ),
    (
        "gamma of fixed shape, true entropy",
        GAMMA,
        "(constant - torch.log(-natural)).sum(-1)",
        "(constant - self.shape * torch.log(-natural)).sum(-1)",
        "true_entropy",
    ),
    (
        "inverse Gaussian base measure",
        INVERSE,
        "-1.5 * x.log().sum(-1)",
        "-0.5 * x.log().sum(-1)",
        "scipy and InverseGaussian",
    ),
    (
        "inverse Gaussian log-partition",
        INVERSE,
        "- 2 * torch.sqrt(first * second)",
        "- torch.sqrt(first * second)",
        "quadrature and InverseGaussian",
    ),
    (
        "log-normal entropy",
        LOG_NORMAL,
        " + location.sum(-1)",
        "",
        "pseudo and LogNormal",
    ),
    ("log-normal without 1/x", LOG_NORMAL, "[first + 1,", "[first,", "scipy and LogNormal"),
    (
        "beta log-partition",
        BETA,
        "- torch.lgamma(alpha + beta)",
        "+ torch.lgamma(alpha + beta)",
        "scipy and Beta",
    ),
    ("beta statistics", BETA, "torch.log1p(-x)", "torch.log(x)", "scipy and Beta"),
    ("von Mises entropy, concentrated", VON_MISES, "(1 + j) * c for", "j * c for", "von_mises"),
    (
        "von Mises entropy, diffuse",
        VON_MISES,
        "- 2 * small * slope",
        "- small * slope",
        "pseudo and VonMises",
    ),
    ("von Mises series cut short", VON_MISES, "range(61)", "range(31)", "von_mises"),
    (
        "von Mises asymptotic series cut short",
        VON_MISES,
        "range(1, 19)",
        "range(1, 9)",
        "von_mises",
    ),
    ("Laplace entropy", LAPLACE, "(1 + torch.log(2 *", "(2 + torch.log(2 *", "pseudo and Laplace"),
    (
        "Student t entropy",
        STUDENT,
        "0.5 * (dof + 1) * _digamma",
        "0.5 * dof * _digamma",
        "pseudo and StudentT",
    ),
    (
        "Student t with many degrees of freedom",
        STUDENT,
        "0.5 * u + u * u * polynomial",
        "0.5 * u - u * u * polynomial",
        "student_t",
    ),
    ("series of the gamma ratio", NUMERICS, "range(1, 11)", "range(1, 4)", "student_t"),
)


#: Name, file, old text, new text, tests, ``-k`` expression.
SHARED = (
    (
        "tempering of exponential families",
        BASE,
        "- t * self.log_partition(natural)",
        "- self.log_partition(natural)",
        REGISTRY,
        "tempered and Poisson",
    ),
    ("tempering of Laplace", LAPLACE, "2 * scale / t", "2 * scale * t", REGISTRY, "tempered"),
    (
        "tempering of Student t",
        STUDENT,
        "moved = t * (dof + 1) - 1",
        "moved = t * dof",
        REGISTRY,
        "tempered",
    ),
    (
        "a base measure that is taken for constant",
        BASE,
        "return type(self).log_base_measure is Family.log_base_measure",
        "return True",
        REGISTRY,
        "base_measure_is_constant",
    ),
    (
        "gamma shapes below zero",
        NUMERICS,
        "torch.where(value > 0, value, torch.nan)",
        "value",
        REFUSED,
        "what_is_refused",
    ),
    (
        "one component inside the domain is enough",
        "models/mixtures/family.py",
        "(self.component_natural(parameters)).isfinite().all()",
        "(self.component_natural(parameters)).isfinite().any()",
        "tests/families/test_new_family.py",
        "outside_the_domain",
    ),
)


def family_mutants(mutant: Callable[..., M]) -> tuple[M, ...]:
    """All of them, made with the class of :mod:`tests.mutation.mutants`."""
    directions = (
        mutant(f"v of {name}", file, old, new, IDENTITY, f"far_from_any_optimum and {of}")
        for name, file, old, new, of in DIRECTIONS
    )
    formulas = (mutant(name, file, old, new, MORE, only) for name, file, old, new, only in FORMULAS)
    return (*directions, *formulas, *(mutant(*each) for each in SHARED))

"""Mistakes in the families of FamilyMixture and in their directions v."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

M = TypeVar("M")

COMPONENTS = "families/coordinates.py"
COUNTS = "families/counts.py"
POSITIVE = "families/positive.py"
BOUNDED = "families/bounded.py"
TAILS = "families/location_scale.py"
IDENTITY = "tests/theory/test_identity.py"
MORE = "tests/families/test_families_more.py"

#: Name, old text, new text, cases whose identity must fail.
DIRECTIONS = (
    ("linear", "(eta,), estimate", "(-eta,), estimate", "mixture-poisson"),
    ("geometric", "(softplus(t) / torch.sigmoid(t),)", "(softplus(t),)", "mixture-geometric"),
    (
        "negative binomial",
        "(-softplus(-t) / torch.sigmoid(-t),)",
        "(softplus(-t) / torch.sigmoid(-t),)",
        "mixture-negativebinomial",
    ),
    ("gamma shape", "(-torch.expm1(-k), _ones(r))", "(k.exp() - 1, _ones(r))", "mixture-gamma/"),
    ("gamma rate", "(-torch.expm1(-k), _ones(r))", "(-torch.expm1(-k), -_ones(r))", "-gamma/"),
    (
        "inverse Gaussian mean",
        "(_zeros(m), _ones(k)),\n        _inv",
        "(_ones(m), _ones(k)),\n        _inv",
        "inverse",
    ),
    (
        "inverse Gaussian shape",
        "(_zeros(m), _ones(k)),\n        _inv",
        "(_zeros(m), -_ones(k)),\n        _inv",
        "inverse",
    ),
    ("log-normal location", "(-v.exp(), -_ones(v))", "(_zeros(m), -_ones(v))", "lognormal"),
    ("log-normal variance", "(-v.exp(), -_ones(v))", "(-v.exp(), _ones(v))", "lognormal"),
    ("beta first", "(-torch.expm1(-a), -torch.expm1(-b))", "(_ones(a), -torch.expm1(-b))", "beta"),
    ("beta second", "(-torch.expm1(-a), -torch.expm1(-b))", "(-torch.expm1(-a), _ones(b))", "beta"),
    (
        "von Mises angle",
        "(_zeros(m), _ones(k)),\n        _von",
        "(_ones(m), _ones(k)),\n        _von",
        "vonmises",
    ),
    (
        "von Mises concentration",
        "(_zeros(m), _ones(k)),\n        _von",
        "(_zeros(m), -_ones(k)),\n        _von",
        "vonmises",
    ),
    (
        "Laplace scale, centred",
        "lambda f, s: (-_ones(s),)",
        "lambda f, s: (_ones(s),)",
        "zerolaplace",
    ),
    (
        "Laplace scale",
        "lambda f, m, s: (_zeros(m), -_ones(s))",
        "lambda f, m, s: (_zeros(m), _ones(s))",
        "tempered-mixture-laplace",
    ),
    (
        "Laplace location",
        "lambda f, m, s: (_zeros(m), -_ones(s))",
        "lambda f, m, s: (_ones(m), -_ones(s))",
        "tempered-mixture-laplace",
    ),
    ("Student t scale", "-0.5 * (1 + torch.exp(-n))", "-(1 + torch.exp(-n))", "student"),
    ("Student t dof", ", 1 + torch.exp(-n))", ", _ones(n))", "student"),
)

#: Name, file, old text, new text, ``-k`` expression over the tests of families.
FORMULAS = (
    (
        "Poisson pseudo-entropy",
        COUNTS,
        "natural.exp() * (1 - natural)",
        "natural.exp() * (1 + natural)",
        "pseudo and Poisson",
    ),
    (
        "Poisson base measure",
        COUNTS,
        "return -torch.lgamma(x + 1).sum(-1)",
        "return torch.lgamma(x + 1).sum(-1)",
        "scipy and Poisson",
    ),
    (
        "geometric mean",
        COUNTS,
        "return 1 / torch.expm1(-natural)",
        "return 1 / torch.expm1(natural)",
        "gradient_of_the_log_partition and Geometric",
    ),
    (
        "negative-binomial base measure",
        COUNTS,
        "torch.lgamma(x + self.successes) -",
        "torch.lgamma(x + 1) -",
        "scipy and NegativeBinomial",
    ),
    (
        "negative-binomial sampling",
        COUNTS,
        "success = -torch.expm1(natural)",
        "success = torch.exp(natural)",
        "draws and NegativeBinomial",
    ),
    (
        "multinomial pseudo-entropy",
        COUNTS,
        "return self.trials * Categorical()",
        "return Categorical()",
        "multinomial",
    ),
    ("multinomial base measure", COUNTS, "math.lgamma(self.trials + 1) - ", "-", "multinomial"),
    (
        "a sum over counts that ends early",
        COUNTS,
        "_SMALLEST_LOG_PROB = -60.0",
        "_SMALLEST_LOG_PROB = -5.0",
        "summation",
    ),
    (
        "exponential entropy",
        POSITIVE,
        "(1 - torch.log(-natural)).sum(-1)\n\n    def sample",
        "(1 + torch.log(-natural)).sum(-1)\n\n    def sample",
        "pseudo and Exponential",
    ),
    (
        "gamma entropy",
        POSITIVE,
        "(1 - shape) * torch.digamma(shape)",
        "shape * torch.digamma(shape)",
        "pseudo and Gamma",
    ),
    (
        "gamma log-partition",
        POSITIVE,
        "(torch.lgamma(shape) - shape * log_rate)",
        "(torch.lgamma(shape) + shape * log_rate)",
        "scipy and Gamma",
    ),
    (
        "gamma of fixed shape, pseudo-entropy",
        POSITIVE,
        "self.shape * (1 - torch.log(-natural)).sum(-1)",
        "(1 - torch.log(-natural)).sum(-1)",
        "pseudo and GammaFixedShape",
    ),
    (
        "gamma of fixed shape, true entropy",
        POSITIVE,
        "(constant - torch.log(-natural)).sum(-1)",
        "(constant - self.shape * torch.log(-natural)).sum(-1)",
        "true_entropy",
    ),
    (
        "inverse Gaussian base measure",
        POSITIVE,
        "-1.5 * x.log().sum(-1)",
        "-0.5 * x.log().sum(-1)",
        "scipy and InverseGaussian",
    ),
    (
        "inverse Gaussian mean",
        POSITIVE,
        "1 / mean - 0.5 / second",
        "1 / mean + 0.5 / second",
        "mean_parameters and InverseGaussian",
    ),
    (
        "log-normal entropy",
        POSITIVE,
        "torch.log(variance)) + location).sum(-1)",
        "torch.log(variance))).sum(-1)",
        "pseudo and LogNormal",
    ),
    (
        "beta log-partition",
        BOUNDED,
        "- torch.lgamma(alpha + beta)",
        "+ torch.lgamma(alpha + beta)",
        "scipy and Beta",
    ),
    ("beta statistics", BOUNDED, "torch.log1p(-x)", "torch.log(x)", "scipy and Beta"),
    ("von Mises entropy, concentrated", BOUNDED, "(1 + j) * c for", "j * c for", "von_mises"),
    (
        "von Mises entropy, diffuse",
        BOUNDED,
        "- 2 * small * slope",
        "- small * slope",
        "pseudo and VonMises",
    ),
    ("von Mises series cut short", BOUNDED, "range(61)", "range(31)", "von_mises"),
    ("von Mises asymptotic series cut short", BOUNDED, "range(1, 19)", "range(1, 9)", "von_mises"),
    ("Laplace entropy", TAILS, "(1 + torch.log(2 *", "(2 + torch.log(2 *", "pseudo and Laplace"),
    (
        "Student t entropy",
        TAILS,
        "0.5 * (dof + 1) * _digamma",
        "0.5 * dof * _digamma",
        "pseudo and StudentT",
    ),
    (
        "Student t with many degrees of freedom",
        TAILS,
        "0.5 * u + u * u * polynomial",
        "0.5 * u - u * u * polynomial",
        "student_t",
    ),
    ("series of the gamma ratio", "families/series.py", "range(1, 11)", "range(1, 4)", "student_t"),
)


def family_mutants(mutant: Callable[..., M]) -> tuple[M, ...]:
    """All of them, made with the class of :mod:`tests.mutation.mutants`."""
    directions = (
        mutant(f"v of {name}", COMPONENTS, old, new, IDENTITY, f"far_from_any_optimum and {of}")
        for name, old, new, of in DIRECTIONS
    )
    formulas = (mutant(name, file, old, new, MORE, only) for name, file, old, new, only in FORMULAS)
    return (*directions, *formulas)

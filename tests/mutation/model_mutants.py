"""Mistakes in deep nets, discrete VAEs, VAE-0 and sparse coding, and in how it learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

M = TypeVar("M")

VAES = "tests/models/vae/test_discrete.py"
CODING = "tests/models/sparse/test_coding.py"
TURNS = "tests/studies/test_sparse_alternation.py"
SCALED = "models/scaled.py"
NETWORKS = "models/vae/networks.py"
SPARSE = "models/sparse/coding.py"
INFERENCE = "models/sparse/inference.py"
MOMENTS = "models/sparse/expectations.py"
GENERAL = "models/general.py"
OWN = "tests/models/test_general.py"

#: Name, file, old text, new text, tests (of VAES) that must fail.
VAE_MISTAKES = (
    (
        "last layer left out of v where it reads z",
        SCALED,
        "{name: direction[name] + part for",
        "{name: part for",
        "test_vae_identity",
    ),
    (
        "sign of the logits' biases in v",
        NETWORKS,
        "return {name: parameters[name] for name in",
        "return {name: parameters[name] * (1 - 2 * ('logits.bias' == name)) for name in",
        "test_vae_identity",
    ),
    (
        "biases left out of v of VAE-0",
        NETWORKS,
        'in (f"{head}.weights", f"{head}.bias")}',
        'in (f"{head}.weights",)}',
        "test_vae_identity and vae-0",
    ),
    (
        "sign of the pseudo-entropy at known variance",
        "families/gaussian.py",
        "return -0.5 * self.variance * (natural * natural).sum(-1)",
        "return 0.5 * self.variance * (natural * natural).sum(-1)",
        "test_vae_identity and vae-0",
    ),
    (
        "base measure of known variance without the variance",
        "families/gaussian.py",
        "square = (x * x).sum(-1) / self.variance",
        "square = (x * x).sum(-1)",
        "monte_carlo_sums and vae-0",
    ),
    (
        "entropy averaged over categorical variables",
        "families/categorical.py",
        ".pseudo_entropy(self.split(natural)).sum(-1)",
        ".pseudo_entropy(self.split(natural)).mean(-1)",
        "test_vae_identity and categorical",
    ),
)

#: The same for sparse coding, with tests of CODING.
CODING_MISTAKES = (
    (
        "q of sparse coding rescaled at the Gaussian rate",
        SPARSE,
        "fixed_rate: ClassVar[float] = 1.0",
        "fixed_rate: ClassVar[float] = 0.5",
        "identity_in_closed_form and unit",
    ),
    (
        "Laplace normalisation without the factor 2",
        SPARSE,
        "- (2 * scale).log().sum()",
        "- scale.log().sum()",
        "adaptive_quadrature",
    ),
    (
        "closed form used where samples are asked for",
        MOMENTS,
        " or gaussian.rule.z.dim() == 3",
        "",
        "identity_in_closed_form",
    ),
    (
        "M-step with standard deviations for variances",
        MOMENTS,
        "return (q.scale * q.scale).sum(0).diag()",
        "return q.scale.sum(0).diag()",
        "m_step_is_stationary",
    ),
    (
        "E-step that ignores the prior's weight",
        INFERENCE,
        "self.weights.prior / self.scale\n",
        "1 / self.scale\n",
        "weights_change",
    ),
    (
        "E-step that ignores the weight of q's entropy",
        INFERENCE,
        "best / self.weights.posterior",
        "best",
        "weights_change",
    ),
    (
        "closed forms summed over the data",
        "theory/elbo.py",
        "terms[factor.name] = closed.mean()",
        "terms[factor.name] = closed.sum()",
        "adaptive_quadrature",
    ),
)

#: The same for learning by turns, with tests of TURNS.
TURNS_MISTAKES = (
    (
        "turns that lower the ELBO kept",
        "studies/sparse/alternation.py",
        "(current, q), stretch = best, 1.0",
        "pass",
        "alternation",
    ),
)

#: The same for a reader's own model, with tests of OWN.
OWN_MISTAKES = (
    (
        "own model: prior left out of the criterion",
        GENERAL,
        "torch.cat([self.prior_natural(p).expand(len(z), -1), observable], -1)",
        "observable",
        "direction_is_found",
    ),
    (
        "own model: a given direction ignored",
        GENERAL,
        "if self.direction is not None:\n            return",
        "if False:\n            return",
        "nodes_from_the_prior",
    ),
    (
        "own model: q does not move along v",
        GENERAL,
        "return self.rescaling\n",
        "return 0.0\n",
        "nodes_from_the_prior",
    ),
    (
        "own model: a failed criterion goes unnoticed",
        GENERAL,
        "if not found.residual <= TOLERANCE:",
        "if False:",
        "bad_models",
    ),
    (
        "own model: posterior that is not normalised in logarithms",
        GENERAL,
        "torch.log_softmax(log_joint, -1)",
        "torch.softmax(log_joint, -1)",
        "equals_the_model",
    ),
    (
        "own model: rescaling without a direction",
        GENERAL,
        "if self.rescaling and self.direction is None:",
        "if False:",
        "bad_models",
    ),
    (
        "own model: shape of the natural parameters unchecked",
        GENERAL,
        "if given != (len(z), size):",
        "if False:",
        "bad_models",
    ),
)


def model_mutants(mutant: Callable[..., M]) -> tuple[M, ...]:
    """One mutant of the given class for every mistake above."""
    lists = (
        (VAES, VAE_MISTAKES),
        (CODING, CODING_MISTAKES),
        (TURNS, TURNS_MISTAKES),
        (OWN, OWN_MISTAKES),
    )
    return tuple(
        mutant(name, file, old, new, tests, only)
        for tests, mistakes in lists
        for name, file, old, new, only in mistakes
    )

"""Companion to two results: at stationary points the ELBO is a sum of entropies.

>>> from companion import datasets, models, variational, verify
"""

from companion import criterion, datasets, families, fit, gap, interop, models, variational
from companion.alternation import alternate
from companion.criterion import check_criterion
from companion.elbo import EntropySum, elbo, entropy_sum
from companion.explain import Explanation, explain_gap
from companion.gap import Verification, verify
from companion.interop import from_sklearn
from companion.modules import ModuleVerification, verify_module
from companion.objective import Curvature, curvature
from companion.projection import gap_blocks, project
from companion.scores import check_score_criterion
from companion.tables import Table
from companion.tempering import tempered_elbo

__version__ = "0.1.0"

__all__ = [
    "Curvature",
    "EntropySum",
    "Explanation",
    "ModuleVerification",
    "Table",
    "Verification",
    "alternate",
    "check_criterion",
    "check_score_criterion",
    "criterion",
    "curvature",
    "datasets",
    "elbo",
    "entropy_sum",
    "explain_gap",
    "families",
    "fit",
    "from_sklearn",
    "gap",
    "gap_blocks",
    "interop",
    "models",
    "project",
    "tempered_elbo",
    "variational",
    "verify",
    "verify_module",
]

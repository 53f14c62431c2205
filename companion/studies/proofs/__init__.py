"""The pointwise identity log(p/g) + H̃ = ⟨∇ log p, v⟩ reduced to zero by algebra, or refuted.

>>> from companion.studies.proofs import FAMILIES
>>> FAMILIES["Gamma"].reduced
0
"""

from companion.studies.proofs.contradictions import CONTRADICTIONS
from companion.studies.proofs.densities import FAMILIES
from companion.studies.proofs.factors import FACTORS
from companion.studies.proofs.package import agreement, evaluate, expected_direction, statements_of
from companion.studies.proofs.statement import THETA, Contradiction, Proved, Refuted, Statement

__all__ = [
    "CONTRADICTIONS",
    "FACTORS",
    "FAMILIES",
    "THETA",
    "Contradiction",
    "Proved",
    "Refuted",
    "Statement",
    "agreement",
    "evaluate",
    "expected_direction",
    "statements_of",
]

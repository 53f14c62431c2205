"""Companion to two results: at stationary points the ELBO is a sum of entropies.

Names are imported when they are first used, so that `import companion` is quick and loads no torch.

>>> from companion import datasets, models, variational, verify
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from companion import datasets, families, fit, models
    from companion.models.from_sklearn import from_sklearn
    from companion.models.own.sites import verify_pyro
    from companion.models.own.vae import verify_vae
    from companion.support.tables import Table
    from companion.theory import variational
    from companion.theory.criterion import check_criterion
    from companion.theory.elbo import elbo, entropy_sum
    from companion.theory.explain import explain_gap
    from companion.theory.identity import verify
    from companion.theory.importance import iwae_bound, iwae_entropy_sum
    from companion.theory.module_check import verify_module
    from companion.theory.objective import curvature
    from companion.theory.projection import gap_blocks, project
    from companion.theory.scores import check_score_criterion

__version__ = "1.0.0"

#: Rooms, and the module that defines each other name; a module without that name stands for itself.
_ROOMS = ("datasets", "families", "fit", "models")
_NAMES = {
    "Table": "support.tables",
    "check_criterion": "theory.criterion",
    "check_score_criterion": "theory.scores",
    "curvature": "theory.objective",
    "elbo": "theory.elbo",
    "entropy_sum": "theory.elbo",
    "explain_gap": "theory.explain",
    "from_sklearn": "models.from_sklearn",
    "gap_blocks": "theory.projection",
    "iwae_bound": "theory.importance",
    "iwae_entropy_sum": "theory.importance",
    "project": "theory.projection",
    "variational": "theory.variational",
    "verify": "theory.identity",
    "verify_module": "theory.module_check",
    "verify_pyro": "models.own.sites",
    "verify_vae": "models.own.vae",
}

__all__ = [
    "Table",
    "check_criterion",
    "check_score_criterion",
    "curvature",
    "datasets",
    "elbo",
    "entropy_sum",
    "explain_gap",
    "families",
    "fit",
    "from_sklearn",
    "gap_blocks",
    "iwae_bound",
    "iwae_entropy_sum",
    "models",
    "project",
    "variational",
    "verify",
    "verify_module",
    "verify_pyro",
    "verify_vae",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS and name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_NAMES.get(name, name)}")
    globals()[name] = getattr(module, name, module)
    return globals()[name]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

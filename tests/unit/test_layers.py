"""The package's layers: who may import whom; and that importing it changes nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "companion"

# A module imports only from lower layers, or from its own package (families, models, plots).
# Helpers stand below all: they know tensors and nothing of the book.
LAYERS = {
    "checks": -1,
    "tables": -1,
    "tiers": -1,
    "tree": -1,
    "datasets": 0,
    "directions": 0,
    "families": 0,
    "usual_vae": 0,
    "criterion": 1,
    "model": 1,
    "modules": 1,
    "variational": 1,
    "models": 2,
    "scores": 2,
    "diagonal": 2,
    "elbo": 3,
    "gap": 4,
    "linear_vae": 4,
    "factors": 5,
    "interop": 5,
    "likelihood": 3,
    "tempering": 5,
    "objective": 5,
    "projection": 5,
    "streaming": 5,
    "explain": 6,
    "latents": 6,
    "fit": 6,
    "landscape": 7,
    "survey": 7,
    "alternation": 7,
    "catalogue": 7,
    "counterexamples": 7,
    "training": 7,
    "profiling": 8,
    "experiments": 8,
    "claims": 9,
    "plots": 10,
}
#: Modules that must work without any model: they know numbers, arrays and records only.
WITHOUT_MODELS = ("claims", "plots", "tables", "tiers", "datasets")

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def module_of(path: Path) -> str:
    """The name in the table: the first part below the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """First parts of all that is imported from the package, type-checking imports included."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names = [node.module or ""]
            if node.module == "companion":
                names = [f"companion.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("companion.")}
        assert "companion" not in names, "a module must not import the whole package"
    return found


def upward(layer_of: dict[str, int], module: str, imports: set[str]) -> set[str]:
    """The imports that do not point strictly down, those of the same package excepted."""
    return {other for other in imports if other != module and layer_of[other] >= layer_of[module]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    module = module_of(path)
    assert module in LAYERS, f"give {module} a layer in this test"
    imports = imported(ast.parse(path.read_text(encoding="utf-8")))
    unknown = imports - LAYERS.keys()
    assert not unknown, f"{module} imports {unknown}, which have no layer in this test"
    assert not upward(LAYERS, module, imports), f"{module} imports from its own layer or above"


@pytest.mark.parametrize("module", WITHOUT_MODELS)
def test_book_modules_know_no_model(module):
    reached, waiting = set(), {module}
    while waiting:
        current = waiting.pop()
        reached.add(current)
        for path in FILES:
            if module_of(path) == current:
                waiting |= imported(ast.parse(path.read_text(encoding="utf-8"))) - reached
    forbidden = {"families", "model", "models", "variational", "elbo", "gap", "criterion", "fit"}
    assert not reached & forbidden


def test_the_table_names_only_modules_that_exist():
    assert set(LAYERS) == {module_of(path) for path in FILES}


def test_an_upward_import_would_be_noticed():
    source = "from companion import fit\nfrom companion.tree import inner\nimport companion.gap"
    assert imported(ast.parse(source)) == {"fit", "tree", "gap"}
    assert upward(LAYERS, "elbo", {"fit", "tree", "gap"}) == {"fit", "gap"}


def test_importing_the_package_changes_no_global_state():
    """In a fresh interpreter: defaults, threads, generators, warnings and loggers as before."""
    code = """
import json, logging, os, random, sys, warnings
import numpy, torch, matplotlib

def state():
    return json.dumps({
        "dtype": str(torch.get_default_dtype()),
        "device": str(torch.get_default_device()),
        "threads": torch.get_num_threads(),
        "torch": torch.random.get_rng_state().tolist(),
        "numpy": [str(part) for part in numpy.random.get_state()],
        "python": str(random.getstate()),
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "validation": torch.distributions.Distribution._validate_args,
        "errors": numpy.geterr(),
        "environment": dict(os.environ),
        "rc": str(matplotlib.rcParams),
        "backend": matplotlib.get_backend(auto_select=False),
        "handlers": [len(logging.getLogger(n).handlers) for n in ("root", "companion")],
        "levels": [logging.getLogger().level, logging.getLogger("companion").level],
        "hook": str(sys.excepthook),
    })

import scipy.optimize, torch.func
before, filters = state(), [str(f) for f in warnings.filters]
import companion
from companion import claims, fit, plots, tiers
assert state() == before, "state changed"
ours = [f for f in warnings.filters if str(f) not in filters and "companion" in str(f)]
assert not ours, ours
print("unchanged")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "unchanged", done.stderr
    assert done.stderr == "", "importing must be silent"


def test_names_promised_at_the_top_exist():
    import companion

    for name in companion.__all__:
        assert hasattr(companion, name)
    assert companion.__version__

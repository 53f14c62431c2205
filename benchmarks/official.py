"""The papers' own code, read from a checkout that the user names, made to run on a CPU.

Their files stay as they are. Each is parsed when it is imported here, and from its syntax tree are
taken: calls of ``.cuda()``, calls of ``torch.set_default_tensor_type``, and imports of packages
that only their command lines need (torchvision). Nothing else is changed, nothing is copied.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

__all__ = ["REPOSITORY", "Absent", "fingerprint", "load", "reason"]

REPOSITORY = "github.com/Learning-with-Entropies/ELBO-Entropies-AISTATS23"
VERIFICATION = "verification/VAE.py"
STREAMING = "streamingVAE/main.py"
#: Imported by their files for their command lines only.
UNUSED = {"torchvision"}


class Absent(Exception):
    """The official code is not where it was said to be, or nobody said where."""


def reason(checkout: Path | None) -> str | None:
    """Why the official code can't be used; ``None`` if it can."""
    if checkout is None:
        return (
            "the official code was not named: clone https://"
            f"{REPOSITORY} and run make bench OFFICIAL=path/to/it"
        )
    absent = [name for name in (VERIFICATION, STREAMING) if not (checkout / name).is_file()]
    return f"the checkout that was named has no {absent[0]}" if absent else None


def load(checkout: Path | None, name: str = VERIFICATION) -> ModuleType:
    """One of their files as a module, without CUDA.

    Raises
    ------
    Absent
        With the reason, if the checkout or the file is not there.
    """
    why = reason(checkout)
    if why is not None or checkout is None:
        raise Absent(why)
    path = checkout / name
    tree = WithoutCuda().visit(ast.parse(path.read_text("utf-8"), filename=name))
    module = ModuleType(f"official_{path.parent.name}_{path.stem}")
    module.__file__ = str(path)
    with _beside(path):
        exec(compile(ast.fix_missing_locations(tree), name, "exec"), module.__dict__)
    if hasattr(module, "tqdm"):
        vars(module)["tqdm"] = lambda steps: steps  # a progress bar would be part of what is timed
    return module


def fingerprint(checkout: Path) -> str:
    """Twelve digits of the SHA-256 of the files that are used."""
    content = b"".join((checkout / name).read_bytes() for name in (VERIFICATION, STREAMING))
    return hashlib.sha256(content).hexdigest()[:12]


class WithoutCuda(ast.NodeTransformer):
    """Takes CUDA calls and unused imports from a syntax tree."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "cuda" and not node.args:
            return node.func.value
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        self.generic_visit(node)
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            if call.func.attr == "set_default_tensor_type":
                return None
        return node

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        node.names = [alias for alias in node.names if alias.name not in UNUSED]
        return node if node.names else None


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[None]:
    """As if the file were run where it lies: its neighbours can be imported, no options given."""
    arguments, backend = sys.argv, os.environ.get("MPLBACKEND")
    sys.argv, os.environ["MPLBACKEND"] = [path.name], "agg"
    sys.path.insert(0, str(path.parent))
    try:
        yield
    finally:
        sys.argv = arguments
        sys.path.remove(str(path.parent))
        if backend is None:
            os.environ.pop("MPLBACKEND", None)
        else:
            os.environ["MPLBACKEND"] = backend

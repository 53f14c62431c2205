"""What of the package a chapter reaches: its imports, and theirs, read from the syntax tree."""

import ast
from functools import cache

from workflow.project import files_below, load


def reached(package, notebook, studies):
    """Files below `package` that the notebook's code imports, directly or through others.

    Imports within functions count too. The lazy face counts by the names that are taken from it;
    what lies beside a reached module and is no module, such as data, comes with it. `studies` are
    those of the chapter, taken whole.
    """
    names = _face(package / "__init__.py")
    waiting = [name for source in _code(notebook) for name in _imports(source, names)]
    waiting += [f"studies.{study}" for study in studies]
    found = {package / "__init__.py", *package.glob("py.typed")}
    for study in studies:
        for path in files_below(package / "studies" / study):
            found.add(path)
            waiting += _imports(_text(path), names)
    seen = set()
    while waiting:
        parts = waiting.pop().split(".")
        for count in range(1, len(parts) + 1):
            for path in _module(package, parts[:count]):
                if path not in seen:
                    seen.add(path)
                    waiting += _imports(_text(path), names)
    return sorted(found | seen)


def _text(path):
    return path.read_text("utf-8") if path.suffix == ".py" else ""


def _module(package, parts):
    """The file of a module, or what a folder has beside its modules; none for other names."""
    place = package.joinpath(*parts)
    if place.is_dir():
        return [p for p in place.iterdir() if p.is_file() and _with_folder(p)]
    return [place.with_suffix(".py")] if place.with_suffix(".py").is_file() else []


def _with_folder(path):
    return path.name == "__init__.py" or path.suffix not in (".py", ".pyc")


def _face(init):
    """Names that `companion` gives on first use, with the module that defines each."""
    if not init.is_file():
        return {}
    for node in ast.parse(init.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_NAMES":
            return ast.literal_eval(node.value)
    return {}


def _code(notebook):
    for cell in (load(notebook) or {"cells": []})["cells"]:
        if cell["cell_type"] == "code":
            lines = "".join(cell["source"]).splitlines()
            yield "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def _imports(source, names):
    """Dotted names below `companion` that a text imports, wherever it does."""
    return [names.get(name, name) for name in _named(source)]


@cache  # chapters reach the same modules
def _named(source):
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a cell that will fail by itself
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name.removeprefix("companion.") for name in found if name.startswith("companion.")]

"""What of the package a chapter reaches: its imports, and theirs, read from the syntax tree."""

import ast
import re
from functools import cache

from workflow.project import files_below, load

#: Ends a package's `__init__` in a copy that lacks some of the modules that it gathers.
LEFT_OUT = """

def __getattr__(name):
    if name not in (left_out := {names}):
        raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}")
    from importlib import import_module
    return getattr(import_module(left_out[name]), name)
"""


def reached(package, notebook, studies):
    """Files below `package` that the notebook's code imports, directly or through others.

    Imports within functions count too. A package that gathers names from its modules counts by the
    names that are taken from it: `models.PPCA` reaches no other model. What lies beside a reached
    module and is no module, such as data, comes with it. Words and remarks count too, as "or take
    `datasets.images`" asks for it. `studies` are those of the chapter, taken whole.
    """
    faces = {
        ".".join(path.parent.relative_to(package).parts): _gathered(path)
        for path in package.rglob("__init__.py")
    }
    waiting = [*_named(notebook, faces), *_imports("\n".join(_code(notebook)), faces)]
    waiting += [f"studies.{study}" for study in studies]
    found = {package / "__init__.py", *package.glob("py.typed")}
    for study in studies:
        for path in files_below(package / "studies" / study):
            found.add(path)
            waiting += _imports(_text(path), faces)
    seen, done = set(), set()
    while waiting:
        if (whole := waiting.pop()) in done:
            continue
        done.add(whole)
        parts = whole.split(".")
        for count in range(1, len(parts) + 1):
            name, further = ".".join(parts[:count]), parts[count : count + 1]
            face = faces.get(name, {})
            waiting += [place for n, place in face.items() if further in ([n], ["*"])]
            for path in _module(package, parts[:count]):
                if path not in seen:
                    seen.add(path)
                    waiting += _imports(_text(path), faces, face)
    return sorted(found | seen)


def carried(path, package, files):
    """The bytes of a file in a copy that has only `files`: an `__init__` gathers what is there."""
    text = path.read_bytes()
    if path.name != "__init__.py" or path.parent == package:
        return text
    lines = text.decode("utf-8").splitlines()
    names: dict[str, str | None] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and (module := _below(node.module or "")):
            if not set(_module(package, module.split("."))) & set(files):
                for line in range(node.lineno - 1, node.end_lineno or 0):
                    lines[line] = ""
                names |= {alias.name: node.module for alias in node.names}
    return "\n".join(lines).encode() + LEFT_OUT.format(names=names).encode() if names else text


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


def _gathered(init):
    """Names that a package only hands on, by the name that they have below `companion`."""
    tree = ast.parse(init.read_text("utf-8"))
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_NAMES":
            return ast.literal_eval(node.value)
        if isinstance(node, ast.ImportFrom) and (module := _below(node.module or "")):
            found |= {alias.name: f"{module}.{alias.name}" for alias in node.names}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return {name: place for name, place in found.items() if name not in used}


def _named(notebook, faces):
    """What any cell names of a package: `models.PPCA`."""
    for cell in (load(notebook) or {"cells": []})["cells"]:
        for place, name in re.findall(r"\b(\w+)\.(\w+)", "".join(cell["source"])):
            if name in faces.get(place, {}):
                yield f"{place}.{name}"


def _code(notebook):
    """Cells that can be read, as one text: what one imports, others use."""
    for cell in (load(notebook) or {"cells": []})["cells"]:
        if cell["cell_type"] == "code":
            lines = "".join(cell["source"]).splitlines()
            text = "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))
            try:
                ast.parse(text)
            except SyntaxError:  # a cell that will fail by itself
                continue
            yield text


def _imports(source, faces, handed_on=()):
    """Dotted names below `companion` that a text imports or takes from a package it has imported.

    Names that it only hands on are left out.
    """
    found: list[str] = []
    packages: dict[str, str] = {}
    bare: dict[int, str] = {}
    nodes = _nodes(source)
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {n.asname or n.name: n.name for n in node.names if n.name not in handed_on}
            found += [f"{node.module}.{name}" for name in names.values()]
            packages |= {here: f"{node.module}.{name}" for here, name in names.items()}
    packages = {here: name for here, name in packages.items() if faces.get(_below(name))}
    for node in nodes:
        if isinstance(node, ast.Name) and node.id in packages:
            bare[id(node)] = f"{packages[node.id]}.*"
    for node in nodes:
        if isinstance(node, ast.Attribute) and id(node.value) in bare:
            found.append(bare.pop(id(node.value)).replace("*", node.attr))
    found += bare.values()
    return [faces[""].get(_below(name), _below(name)) for name in found if _below(name)]


@cache  # chapters reach the same modules
def _nodes(source):
    return list(ast.walk(ast.parse(source)))


def _below(name):
    return name.removeprefix("companion.") if name.startswith("companion.") else ""

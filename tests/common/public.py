"""What is public, generated: names of the package and its rooms, and methods of classes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import companion

PACKAGE = Path(companion.__file__).parent
ROOMS = ("families", "models", "fit", "datasets", "training")
MODULES = (
    *ROOMS,
    *(f"theory.{path.stem}" for path in sorted((PACKAGE / "theory").glob("[a-z]*.py"))),
    "fit.maximise",
    "models.vae.latents",
    "models.vae.linear",
)


def own(thing: Any) -> bool:
    return callable(thing) and getattr(thing, "__module__", "").startswith("companion.")


def names() -> Iterator[tuple[str, Any]]:
    """Every public function and class by the name a reader calls it: ``families.Bernoulli``."""
    seen: set[int] = set()
    for place in ("", *MODULES):
        module = import_module(f"companion.{place}".rstrip("."))
        for name in getattr(module, "__all__", None) or sorted(vars(module)):
            thing = getattr(module, name)
            if own(thing) and not name.startswith("_") and id(thing) not in seen:
                seen.add(id(thing))
                yield f"{place}.{name}".lstrip("."), thing


def of_studies() -> Iterator[tuple[str, Any]]:
    """What chapters offer for a reader's own models: the functions of studies that are doors."""
    for path in sorted((PACKAGE / "studies").rglob("*.py")):
        text = path.read_text("utf-8")
        for name in re.findall(r"^@door\ndef (\w+)", text, re.MULTILINE):
            place = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
            yield f"{place}.{name}", getattr(import_module(f"companion.{place}"), name)


def methods(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public methods of a class, inherited ones of this package too, ``__call__`` among them."""
    for name in dir(kind):
        thing = inspect.getattr_static(kind, name)
        thing = getattr(thing, "__func__", thing)
        public = not name.startswith("_") or name == "__call__"
        if public and inspect.isfunction(thing) and thing.__module__.startswith("companion."):
            yield name, thing

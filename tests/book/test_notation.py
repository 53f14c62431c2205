"""Every code name on the notation page exists in the package."""

import importlib
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "book" / "notation.md"
ARGUMENTS = {"x", "parameters"}


def code_names(text):
    """The names in the tables' second column."""
    rows = re.findall(r"^\|[^|]*\|([^|]*)\|", text, re.MULTILINE)
    return sorted({name for cell in rows for name in re.findall(r"`([^`]+)`", cell)})


def exists(name):
    """Whether `name` can be reached from `companion` by imports, attributes and fields."""
    found = importlib.import_module("companion")
    for part in name.split("."):
        if hasattr(found, part):
            found = getattr(found, part)
        elif is_dataclass(found) and part in {field.name for field in fields(found)}:
            return True
        else:
            try:
                found = importlib.import_module(f"{found.__name__}.{part}")
            except (AttributeError, ImportError, TypeError):
                return False
    return True


@pytest.mark.parametrize("name", code_names(PAGE.read_text("utf-8")))
def test_the_name_exists(name):
    assert name in ARGUMENTS or exists(name), f"companion has no {name}"


def test_names_that_do_not_exist_are_found():
    assert code_names("| $x$ | `models.PPCA` | a |\n|---|---|---|") == ["models.PPCA"]
    assert exists("models.PPCA") and exists("theory.elbo.EntropySum.total") and exists("families")
    assert (
        not exists("models.PPCB")
        and not exists("nothing")
        and not exists("theory.elbo.EntropySum.sum")
    )

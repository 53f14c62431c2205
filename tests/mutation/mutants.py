"""Mistakes on purpose: each is one change of text in the package that a test must notice."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """Replace ``old`` by ``new`` in ``companion/<file>``; ``tests`` with ``-k only`` must fail.

    ``old`` must occur exactly ``times`` times in the file; all of them are replaced.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str
    only: str
    times: int = 1


#: All of them, from the list in ``mutants.toml``.
MUTANTS = tuple(
    Mutant(**each)
    for each in tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))["mutant"]
)

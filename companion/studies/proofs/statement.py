"""What is to be proved, as SymPy expressions: a target, a potential and a direction."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import sympy as sp
from sympy import Basic, Expr

from companion.support.tables import Record

__all__ = ["THETA", "Contradiction", "Proved", "Refuted", "Statement"]

#: In a direction: the entry of the coordinate that is moved.
THETA = sp.Symbol("theta", real=True)
_STEP = sp.Symbol("s", real=True)


@dataclass(frozen=True)
class Statement:
    """⟨∇ potential, v⟩ = log(p/g) + H̃[p], for all values of all symbols.

    ``target`` is the right side, ``potential`` what is differentiated: log p, and where the prior
    is fixed also what a step of q changes beside it. ``coordinates`` names the parameters, as the
    package does; each is a symbol, or an ``IndexedBase`` for an array of any size.
    ``direction`` gives v by name, with ``THETA`` for the entry that is moved; what it leaves
    out has v = 0.

    >>> x, t = sp.symbols("x t", real=True)
    >>> log_p = -x * sp.exp(t) + t
    >>> exponential = Statement("exponential", log_p, 1 - t, {"log_rates": t}, {"log_rates": 1})
    >>> exponential.reduced, exponential.turned("log_rates").reduced
    (0, -2*x*exp(t) + 2)
    """

    name: str
    potential: Expr
    entropy: Expr
    coordinates: Mapping[str, Basic]
    direction: Mapping[str, Expr]
    log_base: Expr = sp.S.Zero
    log_density: Expr | None = None

    @property
    def target(self) -> Expr:
        """log(p/g) + H̃[p]."""
        log_density = self.potential if self.log_density is None else self.log_density
        return log_density - self.log_base + self.entropy

    @property
    def slope(self) -> Expr:
        """⟨∇ potential, v⟩, as the derivative of the potential at θ + s v in s, at s = 0."""
        steps = {self.coordinates[name]: v for name, v in self.direction.items()}

        def moved(entry: Expr) -> Expr:
            v = steps[entry.base if isinstance(entry, sp.Indexed) else entry]
            return entry + _STEP * sp.sympify(v).subs(THETA, entry)

        def is_moved(entry: Basic) -> bool:
            return (entry.base if isinstance(entry, sp.Indexed) else entry) in steps

        # In one pass, so that no step is taken from a parameter that was moved already.
        replaced = {e: moved(e) for e in self.potential.atoms(sp.Symbol, sp.Indexed) if is_moved(e)}
        return sp.diff(self.potential.xreplace(replaced), _STEP).subs(_STEP, 0).doit()

    @property
    def residual(self) -> Expr:
        """Target less slope, before any algebra."""
        return self.target - self.slope

    @cached_property
    def reduced(self) -> Expr:
        """The residual after SymPy's algebra: 0 is a proof."""
        by_signs = self.residual.replace(sp.Abs, lambda of: of * sp.sign(of))
        return sp.simplify(sp.expand(sp.simplify(sp.expand(by_signs))))

    @property
    def terms_left(self) -> int:
        """Terms of the reduced residual: 0 is a proof."""
        return 0 if self.reduced == 0 else len(sp.Add.make_args(self.reduced))

    def probe(self, seed: int = 0) -> float:
        """The residual at random numbers, with two entries in each array and the sine for f."""
        plain = self.residual.replace(sp.Function("f", real=True), sp.sin)
        sizes = {s: 2 for s in plain.free_symbols if s.name in ("n", "C", "H")}
        plain = plain.subs(sizes).doit().subs(sizes)
        drawn = random.Random(seed)
        atoms = sorted(plain.atoms(sp.Indexed, sp.Symbol) - sizes.keys(), key=str)
        numbers = {a: sp.Float(drawn.uniform(0.2, 0.8), 40) for a in atoms}
        return float(sp.N(plain.xreplace(numbers), 30))

    def turned(self, name: str) -> Statement:
        """The same with the sign of one block of v turned round; 1 where v is zero: all wrong."""
        v = self.direction.get(name, sp.Integer(0))
        return replace(self, direction={**self.direction, name: -v if v != 0 else sp.Integer(1)})


@dataclass(frozen=True)
class Contradiction:
    """There is no v (and no number H) with log p + H = ⟨∇ log p, v⟩ at all points.

    The equation is linear in what is unknown. So k points, as many as there are columns, suffice to
    refute it: ``columns`` are the derivatives, 1 for an unknown H, and the target; if their
    determinant over ``points`` is not zero, nothing solves all k equations.
    """

    name: str
    columns: tuple[Expr, ...]
    points: tuple[Mapping[Basic, Expr], ...]
    at: Mapping[Basic, Expr]

    @property
    def determinant(self) -> float:
        """Of the k equations at the k points, computed with 40 digits."""
        exact = [[c.subs(self.at).subs(p) for c in self.columns] for p in self.points]
        rows = [[sp.N(entry, 40) for entry in row] for row in exact]
        return float(sp.Matrix(rows).det(method="berkowitz"))


@dataclass(frozen=True, repr=False)
class Proved(Record):
    """Statements as a table: v, operations in log(p/g) + H̃ as written, what is left of both."""

    statements: tuple[Statement, ...]
    columns = ("statement", "v", "operations", "reduced to", "verdict")

    def rows(self) -> list[tuple[str, str, int, int | str, str]]:
        return [
            (
                s.name,
                ", ".join(f"{name}: {_plain(v)}" for name, v in s.direction.items()),
                int(sp.count_ops(s.target)),
                0 if s.reduced == 0 else str(s.reduced),
                "proved" if s.terms_left == 0 else "not proved",
            )
            for s in self.statements
        ]


def _plain(v: Expr) -> str:
    return sp.sstr(v).replace("theta", "θ").replace("-", "−").replace("*", " ")


@dataclass(frozen=True, repr=False)
class Refuted(Record):
    """Contradictions as a table: the unknowns, the points, and the determinant."""

    contradictions: tuple[Contradiction, ...]
    columns = ("case", "unknowns", "points", "determinant", "verdict")

    def rows(self) -> list[tuple[str, int, int, float, str]]:
        return [
            (
                c.name,
                len(c.columns) - 1,
                len(c.points),
                c.determinant,
                "no v exists" if abs(c.determinant) > 1e-9 else "undecided",
            )
            for c in self.contradictions
        ]

r"""Claims: a sentence, the number that was computed for it, and the bound it must keep.

A chapter calls `record` for each statement it verifies. The reader sees one row; the same output
carries a machine-readable copy, from which the workflow checks every claim of the book and writes
the ledger. Nothing here raises when a claim fails: the chapter runs to its end, and the build
names what failed.

A claim says one of

- `at_most`:  value ≤ bound,
- `at_least`: value ≥ bound,
- `close_to`: |value − bound| ≤ within.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from companion.book.display import emit
from companion.book.text import IDENTIFIER, digits, fill, markup

__all__ = ["Claim", "fill", "note", "record", "say", "table"]

CLAIM = "application/vnd.companion.claim+json"
VALUE = "application/vnd.companion.value+json"
#: The sign between value and bound where a claim holds, and where it fails.
SIGNS = {"at_most": "≤>", "at_least": "≥<", "close_to": "=≠"}

_claims: dict[str, "Claim"] = {}
_values: dict[str, float] = {}


class Shown(float):
    """A float that a notebook does not print once more below the row that shows it."""

    def _ipython_display_(self) -> None:
        pass


@dataclass(frozen=True)
class Claim:
    """One verified (or failed) claim; `value` is None where it is not a finite number."""

    id: str
    statement: str
    value: float | None
    relation: str
    bound: float
    within: float | None
    source: str

    @property
    def holds(self) -> bool:
        """Whether the value keeps its bound, computed from the two whenever it is asked."""
        if self.value is None or not math.isfinite(self.value):
            return False
        if self.relation == "close_to":
            return abs(self.value - self.bound) <= (self.within or 0.0)
        return self.value <= self.bound if self.relation == "at_most" else self.value >= self.bound

    def _repr_html_(self) -> str:
        # Colours are left to the page, so that the row reads in light and dark; the bar is
        # decoration.
        bar = "#2e8b57" if self.holds else "#d1242f"
        verdict = "" if self.holds else " — <strong>this claim fails</strong>"
        return (
            f"<div class='companion-claim tex2jax_process' "
            f"style='border-left:4px solid {bar};padding:.3em .8em;margin:.3em 0;"
            f"display:flex;flex-wrap:wrap;gap:.1em 1.2em;overflow-wrap:anywhere'>"
            f"<span style='flex:1 1 16em'>{_tick(self)} {markup(self.statement)}"
            f"<br><small>{markup(self.source)}{verdict}</small></span>"
            f"<span>{comparison(self, rich=True)}</span></div>"
        )

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "FAILS"
        return f"[{verdict}] {self.id}: {self.statement} {comparison(self)} ({self.source})"


def record(
    id: str,
    statement: str,
    value: Any,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    close_to: float | None = None,
    within: float | None = None,
    source: str,
) -> float:
    """Record a claim, show it as one row, and return its value.

    A value that is not finite never holds. Recording the same id again replaces it.

    Parameters
    ----------
    id
        "chapter/name" in lower case, e.g. "ppca/identity-residual".
    statement
        One sentence, in which $mathematics$, `code` and *emphasis* work.
    value
        What was computed: a number, or an array or tensor of one element.
    at_most, at_least, close_to
        The bound: exactly one of them.
    within
        The absolute tolerance of `close_to`.
    source
        The theorem that the claim checks.

    Raises
    ------
    ValueError
        For an id of another form, an empty text, or numbers that are none.

    >>> record("ppca/gap", "The gap is round-off.", 3e-15, at_most=1e-12, source="Theorem 1")
    [holds] ppca/gap: The gap is round-off. 3e-15 ≤ 1e-12 (Theorem 1)
    3e-15
    """
    relation, bound = _relation(at_most=at_most, at_least=at_least, close_to=close_to)
    value = _number(value, "value")
    within = _allowance(within, "within")
    if (relation == "close_to") != (within is not None):
        raise ValueError(
            "close_to needs an absolute tolerance `within`, and only close_to takes one"
        )
    if not statement.strip() or not source.strip():
        raise ValueError(f"claim {id!r} needs a statement and a source: found an empty one")
    claim = Claim(
        id=_identifier(id),
        statement=statement,
        value=value if math.isfinite(value) else None,
        relation=relation,
        bound=bound,
        within=within,
        source=source,
    )
    _claims[id], _values[id] = claim, value
    emit({CLAIM: asdict(claim), "text/html": claim._repr_html_(), "text/plain": str(claim)})
    return Shown(value)


def note(id: str, value: Any) -> float:
    """Keep a value for `say`, captions and prose pages without showing a row; return it.

    >>> note("ppca/latents", 8)
    8.0
    """
    number = _number(value, "value")
    if not math.isfinite(number):
        raise ValueError(f"value must be finite: found {number} for {id!r}")
    _values[_identifier(id)] = number
    emit({VALUE: {"id": id, "value": number}, "text/html": "", "text/plain": ""})
    return Shown(number)


def say(text: str) -> None:
    """Show Markdown in which `{chapter/name:format}` stands for a recorded value.

    >>> _ = note("ppca/latents", 8)
    >>> say("We keep **{ppca/latents:.0f}** latents.")
    We keep **8** latents.
    """
    filled = fill(text, _values, single=True)
    emit({"text/markdown": filled, "text/plain": filled})


def table() -> None:
    """Show every claim made so far in this session, numbered, in one table that is folded."""
    claims = list(_claims.values())
    rows = "".join(
        f"<tr id='{anchor(claim.id)}'><td>{_tick(claim)} {number}</td>"
        f"<td>{markup(claim.statement)}<br><small>{markup(claim.source)}</small></td>"
        f"<td>{comparison(claim, rich=True)}</td></tr>"
        for number, claim in enumerate(claims, 1)
    )
    failing = sum(not claim.holds for claim in claims)
    verdict = f"{failing} fail" if failing else "all hold"
    page = (
        f"<details class='companion-claims tex2jax_process'><summary>{len(claims)} claims, "
        f"{verdict}</summary><table><thead><tr><th>Holds</th><th style='text-align:left'>Claim</th>"
        f"<th>Value and bound</th></tr></thead><tbody>{rows}</tbody></table></details>"
    )
    emit({"text/html": page, "text/plain": "\n".join(map(str, claims)) or "no claims yet"})


def anchor(id: str) -> str:
    """Where a page has the row of a claim.

    >>> anchor("ppca/gap")
    'claim-ppca-gap'
    """
    return "claim-" + id.replace("/", "-")


def comparison(claim: Claim, rich: bool = False) -> str:
    """The value against its bound in symbols: `3e-15 ≤ 1e-12`; as HTML if `rich`."""
    sign = SIGNS[claim.relation][not claim.holds]
    text = f"{digits(claim.value, rich)} {sign} {digits(claim.bound, rich)}"
    return text if claim.within is None else f"{text} ± {digits(claim.within, rich)}"


def _relation(**given: float | None) -> tuple[str, float]:
    chosen = [(name, bound) for name, bound in given.items() if bound is not None]
    if len(chosen) != 1:
        found = ", ".join(name for name, _ in chosen) or "none"
        raise ValueError(f"give exactly one of {', '.join(given)}: found {found}")
    relation, bound = chosen[0][0], _number(chosen[0][1], chosen[0][0])
    if not math.isfinite(bound):
        raise ValueError(f"{relation} must be finite: found {bound}")
    return relation, bound


def _allowance(value: float | None, name: str) -> float | None:
    if value is not None and not 0 <= _number(value, name) < math.inf:
        raise ValueError(f"{name} must be finite and not negative: found {value}")
    return None if value is None else float(value)


def _number(value: Any, name: str) -> float:
    try:
        return float(value)  # numbers, one-element arrays and tensors alike
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be one number: found {value!r}") from error


def _identifier(id: str) -> str:
    if not IDENTIFIER.fullmatch(id):
        raise ValueError(f'id must read "chapter/name" in lower case with hyphens: found {id!r}')
    return id


def _tick(claim: Claim) -> str:
    symbol, word = ("✓", "holds") if claim.holds else ("✗", "fails")
    return f"<span role='img' aria-label='{word}' title='{word}'>{symbol}</span>"

r"""Claims: a sentence, the number that was computed for it, and the bound it must keep.

A chapter calls `record` for each statement it verifies. The reader sees one row; the same output
carries a machine-readable copy, from which the workflow checks every claim of the book and writes
the ledger. Nothing here raises when a claim fails: the chapter runs to its end, and the build
names what failed.

A claim says one of

- `at_most`:  value ≤ bound,
- `at_least`: value ≥ bound,
- `close_to`: |value − bound| ≤ within.

`drift` says how far the value itself may move from the recorded reference in a later run: a
relative tolerance, or None where only the bound matters (round-off). A sampled value gives its
`standard_error` instead, and may move by four of them.
"""

import html
import math
import re
import sys
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Claim", "fill", "note", "record", "say", "table"]

CLAIM = "application/vnd.companion.claim+json"
VALUE = "application/vnd.companion.value+json"
IDENTIFIER = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*/[a-z0-9]+(?:-[a-z0-9]+)*")
RELATIVE_DRIFT = 1e-6

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
    drift: float | None
    standard_error: float | None

    @property
    def holds(self) -> bool:
        """Whether the value keeps its bound, computed from the two whenever it is asked."""
        if self.value is None or not math.isfinite(self.value):
            return False
        if self.relation == "close_to":
            return abs(self.value - self.bound) <= (self.within or 0.0)
        return self.value <= self.bound if self.relation == "at_most" else self.value >= self.bound

    def _repr_html_(self) -> str:
        return _row(self)

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
    drift: float | None = None,
    standard_error: float | None = None,
) -> float:
    """Record a claim, show it as one row, and return its value.

    `id` is "chapter/name" in lower case, e.g. "ppca/identity-residual"; `statement` is one
    sentence, in which $mathematics$, `code` and *emphasis* work; `source` is the theorem it checks.
    A value that is not finite never holds. Recording the same id again replaces it.

    >>> record("ppca/gap", "The gap is round-off.", 3e-15, at_most=1e-12, source="Theorem 1")
    [holds] ppca/gap: The gap is round-off. 3e-15 ≤ 1e-12 (Theorem 1)
    3e-15
    """
    relation, bound = _relation(at_most, at_least, close_to, within)
    value = _number(value, "value")
    if not statement.strip() or not source.strip():
        raise ValueError(f"claim {id!r} needs a statement and a source: found an empty one")
    if standard_error is not None and not 0 <= standard_error < math.inf:
        raise ValueError(f"standard_error must be finite and not negative: found {standard_error}")
    if drift is not None and not 0 <= drift < math.inf:
        raise ValueError(f"drift must be finite and not negative, or None: found {drift}")
    if drift is None and standard_error is None and relation != "at_most" and bound != 0:
        drift = RELATIVE_DRIFT
    claim = Claim(
        id=_identifier(id),
        statement=statement,
        value=value if math.isfinite(value) else None,
        relation=relation,
        bound=bound,
        within=None if within is None else float(within),
        source=source,
        drift=drift,
        standard_error=None if standard_error is None else float(standard_error),
    )
    _claims[id], _values[id] = claim, value
    _show({CLAIM: asdict(claim), "text/html": claim._repr_html_(), "text/plain": str(claim)})
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
    _show({VALUE: {"id": id, "value": number}, "text/html": "", "text/plain": ""})
    return Shown(number)


def say(text: str) -> None:
    """Show Markdown in which `{chapter/name:format}` stands for a recorded value.

    >>> _ = note("ppca/latents", 8)
    >>> say("We keep **{ppca/latents:.0f}** latents.")
    We keep **8** latents.
    """
    filled = fill(text, _values, single=True)
    _show({"text/markdown": filled, "text/plain": filled})


def table() -> None:
    """Show every claim made so far in this session, in one table."""
    claims = list(_claims.values())
    rows = "".join(
        f"<tr><td>{_tick(c)}</td><td>{markup(c.statement)}<br><small>{markup(c.source)}</small></td>"
        f"<td style='white-space:nowrap'>{comparison(c, rich=True)}</td></tr>"
        for c in claims
    )
    page = (
        "<div class='companion-claims tex2jax_process' style='overflow-x:auto'><table>"
        "<thead><tr><th>Holds</th><th style='text-align:left'>Claim</th>"
        f"<th>Value and bound</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
    _show({"text/html": page, "text/plain": "\n".join(map(str, claims)) or "no claims yet"})


def fill(text: str, values: dict[str, float], single: bool = False) -> str:
    """Replace `{{chapter/name:format}}` (one pair of braces if `single`) by the recorded values.

    >>> fill("a gap of {{ppca/gap:.1e}} nats", {"ppca/gap": 3e-15})
    'a gap of 3.0e-15 nats'
    """
    left, right = (r"\{", r"\}") if single else (r"\{\{\s*", r"\s*\}\}")
    pattern = re.compile(rf"{left}({IDENTIFIER.pattern})(?::([^{{}}]*?))?{right}")

    def replace(match: re.Match[str]) -> str:
        id, form = match.groups()
        if id not in values:
            known = ", ".join(sorted(values)) or "none"
            raise KeyError(f"no value was recorded as {id!r}; recorded so far: {known}")
        return format(values[id], form or ".6g")

    return pattern.sub(replace, text)


def comparison(claim: Claim, rich: bool = False) -> str:
    """The value against its bound in symbols: `3e-15 ≤ 1e-12`; as HTML if `rich`."""
    value, bound = _digits(claim.value, rich), _digits(claim.bound, rich)
    if claim.relation == "close_to":
        symbol = "=" if claim.holds else "≠"
        return f"{value} {symbol} {bound} ± {_digits(claim.within, rich)}"
    symbol = {
        ("at_most", True): "≤",
        ("at_most", False): ">",
        ("at_least", True): "≥",
        ("at_least", False): "<",
    }[claim.relation, claim.holds]
    return f"{value} {symbol} {bound}"


def markup(text: str) -> str:
    """Markdown of one sentence to HTML: $mathematics$ (left to MathJax), `code`, **strong**, *em*.

    >>> markup("The gap is $< 1$ in `verify`.")
    'The gap is \\\\(&lt; 1\\\\) in <code>verify</code>.'
    """
    styles = {"`": "code", "**": "strong", "*": "em"}

    def piece(part: str) -> str:
        if len(part) > 2 and part.startswith("$"):
            return f"\\({html.escape(part[1:-1])}\\)"
        for mark, tag in styles.items():
            if len(part) > 2 * len(mark) and part.startswith(mark) and part.endswith(mark):
                return f"<{tag}>{html.escape(part[len(mark) : -len(mark)])}</{tag}>"
        return html.escape(part)

    return "".join(map(piece, re.split(r"(\$[^$]+\$|`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*)", text)))


def _relation(
    at_most: float | None, at_least: float | None, close_to: float | None, within: float | None
) -> tuple[str, float]:
    given = {"at_most": at_most, "at_least": at_least, "close_to": close_to}
    chosen = [(name, bound) for name, bound in given.items() if bound is not None]
    if len(chosen) != 1:
        found = ", ".join(name for name, _ in chosen) or "none"
        raise ValueError(f"give exactly one of at_most, at_least, close_to: found {found}")
    relation, bound = chosen[0][0], _number(chosen[0][1], chosen[0][0])
    if not math.isfinite(bound):
        raise ValueError(f"{relation} must be finite: found {bound}")
    if (relation == "close_to") != (within is not None):
        raise ValueError(
            "close_to needs an absolute tolerance `within`, and only close_to takes one"
        )
    if within is not None and not 0 <= within < math.inf:
        raise ValueError(f"within must be finite and not negative: found {within}")
    return relation, bound


def _number(value: Any, name: str) -> float:
    try:
        return float(value)  # numbers, one-element arrays and tensors alike
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be one number: found {value!r}") from error


def _identifier(id: str) -> str:
    if not IDENTIFIER.fullmatch(id):
        raise ValueError(f'id must read "chapter/name" in lower case with hyphens: found {id!r}')
    return id


def _digits(number: float | None, rich: bool) -> str:
    if number is None:
        return "not a number"
    small_or_large = number != 0 and not 1e-3 <= abs(number) < 1e6
    text = f"{number:.3g}" if small_or_large else f"{number:.6g}"
    if rich and "e" in text:
        mantissa, exponent = text.split("e")
        product = "" if mantissa in ("1", "-1") else f"{mantissa} × "
        sign = "−" if mantissa == "-1" else ""
        text = f"{sign}{product}10<sup>{int(exponent)}</sup>"
    return text.replace("-", "−") if rich else text


def _tick(claim: Claim) -> str:
    symbol, word = ("✓", "holds") if claim.holds else ("✗", "fails")
    return f"<span role='img' aria-label='{word}' title='{word}'>{symbol}</span>"


def _row(claim: Claim) -> str:
    # Colours are left to the page, so that the row reads in light and dark; the bar is decoration.
    bar = "#2e8b57" if claim.holds else "#d1242f"
    anchor = "claim-" + claim.id.replace("/", "-")
    verdict = "" if claim.holds else " — <strong>this claim fails</strong>"
    return (
        f"<div class='companion-claim tex2jax_process' id='{anchor}' "
        f"style='border-left:4px solid {bar};padding:.3em .8em;margin:.3em 0;"
        f"display:flex;flex-wrap:wrap;gap:.1em 1.2em;overflow-wrap:anywhere'>"
        f"<span style='flex:1 1 16em'>{_tick(claim)} {markup(claim.statement)}"
        f"<br><small>{markup(claim.source)}{verdict}</small></span>"
        f"<span>{comparison(claim, rich=True)}</span></div>"
    )


def _show(bundle: dict[str, Any]) -> None:
    """Display in a notebook; print elsewhere. Text says what a reader without IPython sees."""
    module = sys.modules.get("IPython")
    if module is not None and module.get_ipython() is not None:
        module.display.display(bundle, raw=True)
    elif bundle["text/plain"]:
        print(bundle["text/plain"])

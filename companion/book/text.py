"""Numbers and sentences as a reader sees them, in plain text and in HTML."""

import html
import re

__all__ = ["IDENTIFIER", "digits", "fill", "markup"]

#: What claims and values are called: "chapter/name".
IDENTIFIER = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*/[a-z0-9]+(?:-[a-z0-9]+)*")

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def digits(number: float | None, rich: bool = False) -> str:
    """A number in at most six digits; as HTML with a true minus if ``rich``.

    >>> digits(-0.25), digits(3e-15), digits(3e-15, rich=True), digits(None)
    ('-0.25', '3e-15', '3\\xa0×\\xa010<sup>−15</sup>', 'not a number')
    """
    if number is None:
        return "not a number"
    small_or_large = number != 0 and not 1e-3 <= abs(number) < 1e6
    text = f"{number:.3g}" if small_or_large else f"{number:.6g}"
    if rich and "e" in text:
        mantissa, exponent = text.split("e")
        product = "" if mantissa in ("1", "-1") else f"{mantissa}\u00a0×\u00a0"
        sign = "−" if mantissa == "-1" else ""
        text = f"{sign}{product}10<sup>{int(exponent)}</sup>"
    return text.replace("-", "−") if rich else text


def readable(number: str) -> str:
    """A formatted number with a true minus, and its exponent as a power of ten.

    >>> readable("4.2e-03"), readable("-1e+06"), readable("-0.25")
    ('4.2\\xa0×\\xa010⁻³', '−1\\xa0×\\xa010⁶', '−0.25')
    """
    mantissa, _, exponent = number.partition("e")
    power = str(int(exponent)).translate(_RAISED) if exponent else ""
    return mantissa.replace("-", "−") + (f"\u00a0×\u00a010{power}" if power else "")


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


def fill(text: str, values: dict[str, float], single: bool = False) -> str:
    """Replace `{{chapter/name:format}}` (one pair of braces if `single`) by the recorded values.

    Numbers are written for readers, with a true minus and powers of ten.

    >>> fill("a gap of {{ppca/gap:.1e}} nats", {"ppca/gap": -3e-15})
    'a gap of −3.0\\xa0×\\xa010⁻¹⁵ nats'
    """
    left, right = (r"\{", r"\}") if single else (r"\{\{\s*", r"\s*\}\}")
    pattern = re.compile(rf"{left}({IDENTIFIER.pattern})(?::([^{{}}]*?))?{right}")

    def replace(match: re.Match[str]) -> str:
        id, form = match.groups()
        if id not in values:
            known = ", ".join(sorted(values)) or "none"
            raise KeyError(f"no value was recorded as {id!r}; recorded so far: {known}")
        return readable(format(values[id], form or ".6g"))

    return pattern.sub(replace, text)

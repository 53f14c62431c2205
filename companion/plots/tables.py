"""Small tables of computed values, for a notebook and for plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from companion.claims import markup
from companion.plots.display import _display

__all__ = ["table"]


def table(rows: Iterable[Sequence[Any]], columns: Sequence[str]) -> None:
    """Show ``rows`` under the heads ``columns``; the first entry of each row is its head.

    Heads may hold $mathematics$ and `code`. Numbers are shown to six significant digits, the very
    small ones as powers of ten; text is shown as it is.

    Raises
    ------
    ValueError
        If a row has another number of entries than there are columns.

    >>> table([("a row", 1.0, 2e-15)], ["what", "left", "difference"])
    what   left  difference
    a row  1     2.0e-15
    """
    body = [list(row) for row in rows]
    for row in body:
        if len(row) != len(columns):
            raise ValueError(f"each row must have {len(columns)} entries: got {len(row)}, {row!r}")
    texts = [list(columns)] + [[_text(value) for value in row] for row in body]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    plain = "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in texts
    )
    heads = "".join(f"<th scope='col'>{markup(name)}</th>" for name in columns)
    lines = "".join(
        f"<tr><th scope='row' style='text-align:left'>{markup(_text(row[0]))}</th>"
        + "".join(
            "<td style='text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap'>"
            f"{_rich(value)}</td>"
            for value in row[1:]
        )
        + "</tr>"
        for row in body
    )
    page = (
        "<div class='companion-table tex2jax_process' style='overflow-x:auto'>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )
    _display({"text/html": page, "text/plain": plain}, {})


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int):
        return str(value)
    number = float(value)  # numbers, one-element arrays and tensors alike
    small_or_large = number != 0 and not 1e-4 <= abs(number) < 1e7
    return f"{number:.1e}" if small_or_large else f"{number:.6g}"


def _rich(value: Any) -> str:
    text = _text(value)
    if isinstance(value, str):
        return markup(text)
    if "e" in text:
        mantissa, exponent = text.split("e")
        text = f"{mantissa} × 10<sup>{int(exponent)}</sup>"
    return text.replace("-", "−")

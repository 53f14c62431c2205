"""Small tables of results that read well in a notebook, in a terminal and in the book."""

from __future__ import annotations

import html
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

__all__ = ["Cell", "Record", "Table"]

Cell = str | int | float

#: With more letters in a row, a table of many columns is set smaller in the book.
_WIDE = 100

#: Text that is a number: with a sign of its own, its error, a share, or a count of so many.
_NUMBER = re.compile(r"[+−-]?\d+(\.\d+)?( ± \d+(\.\d+)?| of \d+| %)?")


class Record(ABC):
    """What prints as a table, in text and in HTML, from the rows that a subclass gives.

    ``columns`` are the heads; a record of labels and values has none. Numbers are shown to so many
    ``decimals``, those that are very small or large as 1.2e-15. A dataclass needs ``repr=False``,
    or it prints in its own way.

    >>> class Point(Record):
    ...     def rows(self):
    ...         return [("gap", 0.25), ("residual", 2e-15)]
    >>> Point()
    gap       0.2500
    residual  2.0e-15
    """

    columns: ClassVar[Sequence[str]] = ()
    decimals: ClassVar[int] = 4

    @abstractmethod
    def rows(self) -> Sequence[Sequence[Cell]]:
        """The cells of every row, text and numbers, in reading order."""

    def _text(self, cell: Cell) -> str:
        if not isinstance(cell, float):
            return str(cell)
        if cell == 0:
            return "0"
        plain = 1e-3 <= abs(cell) < 1e6
        return f"{cell:.{self.decimals}f}" if plain else f"{cell:.{self.decimals // 3}e}"

    def __str__(self) -> str:
        lines = [[printable(self._text(cell)) for cell in row] for row in self.rows()]
        lines = [list(map(printable, self.columns)), *lines] if self.columns else lines
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = ([f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)] for line in lines)
        return "\n".join("  ".join(line).rstrip() for line in padded)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = self.rows()
        right = [_mostly_numbers(column) for column in zip(*rows, strict=True)]
        right = right or [False] * len(self.columns)
        head = [
            f"<th style='{_style(name, side)};white-space:normal'>{html.escape(name)}</th>"
            for name, side in zip(self.columns, right, strict=False)
        ]
        # Without heads, the first cell of a row is the head of that row.
        tags = ["td" if head else "th"] + ["td"] * len(right)
        body = "".join(
            f"<tr>{''.join(map(self._cell, row, right, tags))}</tr>"  # the longer list is cut
            for row in rows
        )
        above = f"<thead><tr>{''.join(head)}</tr></thead>" if head else ""
        lines = [*rows, self.columns] if head else rows
        letters = sum(max(map(len, map(self._text, column))) for column in zip(*lines, strict=True))
        wide = " companion-wide" if letters > _WIDE else ""
        return (
            f"<div style='overflow-x:auto'><table class='companion-table{wide}'>"
            f"{above}<tbody>{body}</tbody></table></div>"
        )

    def _cell(self, cell: Cell, right: bool, tag: str) -> str:
        text = html.escape(self._text(cell))
        if isinstance(cell, float):
            text = re.sub(r"e([+-]\d+)", _power, text).replace("-", "−")
        return f"<{tag} style='{_style(cell, right)}'>{text}</{tag}>"


@dataclass(frozen=True, repr=False)
class Table(Record):
    """Rows of text and numbers under ``columns``; numbers are shown to four decimals or as 1.2e-15.

    Raises
    ------
    ValueError
        If a row has another length than ``columns``.

    >>> Table(("point", "gap"), [("maximum", 2e-15), ("saddle", 0.25)])
    point    gap
    maximum  2.0e-15
    saddle   0.2500
    """

    columns: Sequence[str] = field()  # type: ignore[misc]  # field(): not the record's default
    cells: Sequence[Sequence[Cell]]

    def __post_init__(self) -> None:
        for row in self.cells:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"rows must have {len(self.columns)} cells, one for each column: got {row!r}"
                )

    def rows(self) -> Sequence[Sequence[Cell]]:
        return self.cells


#: Signs as a terminal shows them that knows ASCII only.
_PLAIN = str.maketrans(
    {"−": "-", "–": "-", "∇": "grad ", "⟨": "<", "⟩": ">", "≤": "<=", "≥": ">=", "·": "*", "×": "x"}
)


def printable(text: str) -> str:
    """The text as it is; with plain signs where standard output can't show it (Latin-1, ASCII).

    >>> printable("gap = ELBO − entropy sum")
    'gap = ELBO − entropy sum'
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if text.encode(encoding, "ignore").decode(encoding) == text:
        return text
    return text.translate(_PLAIN).encode(encoding, "namereplace").decode(encoding)


def _power(exponent: re.Match[str]) -> str:
    return f" × 10<sup>{int(exponent[1])}</sup>"


def _is_number(cell: Cell) -> bool:
    return not isinstance(cell, str) or bool(_NUMBER.fullmatch(cell))


def _mostly_numbers(column: Sequence[Cell]) -> bool:
    return 2 * sum(map(_is_number, column)) > sum(c != "" for c in column)


def _style(cell: Cell, right: bool) -> str:
    """A column has one side, that of most of its cells; the digits of a number stay together."""
    side = f"text-align:{'right' if right else 'left'};padding:.2em .6em"
    if not _is_number(cell):
        return side
    return f"{side};white-space:nowrap;font-variant-numeric:tabular-nums"

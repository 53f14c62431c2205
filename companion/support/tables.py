"""Small tables of results that read well in a notebook, in a terminal and in the book."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Record", "Table", "record_html"]

Cell = str | int | float


def _text(cell: Cell) -> str:
    if not isinstance(cell, float):
        return str(cell)
    if cell == 0:
        return "0"
    return f"{cell:.4f}" if 1e-3 <= abs(cell) < 1e6 else f"{cell:.1e}"


@dataclass(frozen=True, repr=False)
class Table:
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

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"rows must have {len(self.columns)} cells, one for each column: got {row!r}"
                )

    def __str__(self) -> str:
        lines = [list(self.columns), *([_text(cell) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = ([f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)] for line in lines)
        return "\n".join("  ".join(line).rstrip() for line in padded)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        first = self.rows[0] if self.rows else self.columns
        head = "".join(
            f"<th style='{_style(cell)};white-space:normal'>{html.escape(name)}</th>"
            for name, cell in zip(self.columns, first, strict=True)
        )
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.rows)
        return (
            "<div style='overflow-x:auto'><table class='companion-table'>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )


class Record(ABC):
    """A result that prints as a table of its :meth:`rows`: labels and values, or ``columns``."""

    columns: ClassVar[Sequence[str]] = ("", "value")

    @abstractmethod
    def rows(self) -> Sequence[Sequence[Cell]]:
        """One sequence of cells for each line of the table, in reading order."""

    def table(self) -> Table:
        """The same as a table."""
        return Table(self.columns, self.rows())

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def record_html(rows: Iterable[tuple[str, str]]) -> str:
    """An HTML table of one record: a name and a value in every row."""
    body = "".join(
        f"<tr><th style='text-align:left'>{html.escape(label)}</th>"
        "<td style='text-align:right;font-variant-numeric:tabular-nums'>"
        f"{html.escape(value)}</td></tr>"
        for label, value in rows
    )
    return f"<table class='companion-verification'>{body}</table>"


def _style(cell: Cell) -> str:
    if isinstance(cell, str):
        return "text-align:left;padding:.2em .6em"
    return "text-align:right;padding:.2em .6em;white-space:nowrap;font-variant-numeric:tabular-nums"


def _cell(cell: Cell) -> str:
    return f"<td style='{_style(cell)}'>{html.escape(_text(cell))}</td>"

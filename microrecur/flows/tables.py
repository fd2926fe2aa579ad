"""Tables: rows of one dataclass that show as text, as HTML, as csv and as a DataFrame."""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import Any, TypeVar

from microrecur.files import write_whole
from microrecur.graphs import notation

Row = TypeVar("Row")

SHOWN = 60  # rows that a notebook or a prompt shows of a longer table


class Table(list[Row]):
    """Rows, all of one frozen dataclass whose fields are the columns.

    A list in every other way: ``table[0].value``, ``len(table)``, ``pandas.DataFrame(table)``.
    `str()` gives all rows as aligned text; a notebook and a prompt show the first and the last.

    Parameters
    ----------
    of : type
        The dataclass of the rows; `column` gives its fields titles.
    rows : iterable
        The rows.

    Examples
    --------
    >>> from dataclasses import dataclass, field
    >>> @dataclass(frozen=True)
    ... class Slope:
    ...     gate: str
    ...     value: float = field(metadata=column("σ′"))
    >>> print(Table(Slope, [Slope("forget", 0.1234), Slope("output", -2.5e-7)]))
    gate            σ′
    forget        0.12
    output  −2.5·10⁻⁷
    """

    def __init__(self, of: type[Row], rows: Iterable[Row] = ()) -> None:
        super().__init__(rows)
        self.of = of

    def __str__(self) -> str:
        return self._text(list(self))

    def __repr__(self) -> str:
        head, hidden, tail = self._ends()
        if not hidden:
            return str(self)
        lines = self._text([*head, *tail]).splitlines()
        between = f"… {hidden:,} rows between; print(table) shows all"
        return "\n".join([*lines[: 1 + len(head)], between, *lines[1 + len(head) :]])

    def _repr_html_(self) -> str:
        columns, right = self._columns(), self._right()
        head, hidden, tail = self._ends()
        lines = [_html_row("th", [title for _, title, _ in columns], right)]
        lines += [_html_row("td", self._cells(row), right) for row in head]
        if hidden:
            lines.append(f'<tr><td colspan="{len(columns)}">… {hidden:,} rows between</td></tr>')
        lines += [_html_row("td", self._cells(row), right) for row in tail]
        return "\n".join(["<table>", *lines, "</table>"])

    def to_csv(self, path: str | os.PathLike[str], names: Mapping[str, str] | None = None) -> Path:
        """Write all rows at full precision; a file that is there is replaced whole, or stays.

        Parameters
        ----------
        path : path-like
            The file.
        names : mapping, optional
            What the first line calls a column, where not by its attribute.

        Returns
        -------
        pathlib.Path
            Where it was written.

        Raises
        ------
        OSError
            If the folder is missing or cannot be written to; the message names it.
        """
        columns = [name for name, _, _ in self._columns()]
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow([(names or {}).get(column, column) for column in columns])
        writer.writerows([getattr(row, column) for column in columns] for row in self)
        return write_whole(path, text.getvalue())

    # -- cells -------------------------------------------------------------------------------------

    def _columns(self) -> list[tuple[str, str, Callable[[Any], str]]]:
        """Of each column: the field's name, its title, and what makes text of a value."""
        return [
            (f.name, f.metadata.get("title", f.name), f.metadata.get("show", show))
            for f in fields(self.of)  # type: ignore[arg-type]
        ]

    def _cells(self, row: Row) -> list[str]:
        return [
            "" if (value := getattr(row, name)) is None else printable(to_text(value))
            for name, _, to_text in self._columns()
        ]

    def _right(self) -> set[int]:
        """The columns that hold numbers, which stand to the right."""
        return {
            k
            for k, (name, _, _) in enumerate(self._columns())
            if any(isinstance(getattr(row, name), (int, float)) for row in self)
        }

    def _text(self, rows: Sequence[Row]) -> str:
        titles = [title for _, title, _ in self._columns()]
        padded = align([titles, *map(self._cells, rows)], self._right())
        return "\n".join("  ".join(cells).rstrip() for cells in padded)

    def _ends(self) -> tuple[list[Row], int, list[Row]]:
        """The first rows, how many are left out, and the last rows."""
        if len(self) <= SHOWN:
            return list(self), 0, []
        return self[: SHOWN // 2], len(self) - SHOWN, self[-(SHOWN // 2) :]


def column(title: str, show: Callable[[Any], str] | None = None) -> dict[str, Any]:
    """The metadata of a field: the column's title and, if not by `show`, how its values are set."""
    return {"title": title} | ({"show": show} if show else {})


def show(value: Any) -> str:
    """Set a value: whole numbers as counts, other numbers as `notation.number`, the rest as it is.

    Examples
    --------
    >>> show(2089), show(0.0346), show("σ′")
    ('2,089', '0.035', 'σ′')
    """
    if isinstance(value, float):
        return notation.number(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return notation.count(value)
    return str(value)


def align(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[list[str]]:
    """Pad the cells of each column to one width; those of the columns in `right` from the left.

    Examples
    --------
    >>> align([["a", "1"], ["bcd", "23"]], right={1})
    [['a  ', ' 1'], ['bcd', '23']]
    """
    widths = [max(map(width, cells)) for cells in zip(*rows, strict=True)]
    return [
        [
            " " * (wide - width(cell)) + cell if k in right else cell + " " * (wide - width(cell))
            for k, (cell, wide) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


def width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def printable(text: str) -> str:
    """The text without what would move a terminal's cursor or colour it: names are users' text."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _html_row(tag: str, cells: Sequence[str], right: Collection[int]) -> str:
    sides = ["right" if k in right else "left" for k in range(len(cells))]
    made = (
        f'<{tag} style="text-align:{side}">{escape(cell)}</{tag}>'
        for side, cell in zip(sides, cells, strict=True)
    )
    return f"<tr>{''.join(made)}</tr>"

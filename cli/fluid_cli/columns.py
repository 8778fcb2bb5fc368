"""Text in columns, as kubectl prints it: as wide as needed, no lines drawn, nothing behind the last word. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

_GAP = 3
_LEAST = 12
"""Columns that the last cell keeps, however narrow the terminal is."""

Row = Sequence[Text]


def widths_of(rows: Sequence[Row], before: Sequence[int] = ()) -> list[int]:
    """The width of each column over all rows, and over those that were printed `before`."""
    found = list(before)
    for row in rows:
        found += [0] * (len(row) - len(found))
        found = [max(width, cell.cell_len) for width, cell in zip(found, row, strict=True)]
    return found


def lines(rows: Sequence[Row], widths: Sequence[int], width: int | None) -> list[Text]:
    """One line for each row. With a `width` the last cell is cut where it would stand out; the others are not."""
    return [_line(row, widths, width) for row in rows]


def _line(row: Row, widths: Sequence[int], width: int | None) -> Text:
    line = Text()
    for cell, wanted in zip(row[:-1], widths, strict=False):
        line.append_text(cell)
        line.append(" " * (wanted - cell.cell_len + _GAP))
    last = row[-1].copy()
    if width is not None:
        last.truncate(max(width - line.cell_len, _LEAST), overflow="ellipsis")
    line.append_text(last)
    line.rstrip()
    return line

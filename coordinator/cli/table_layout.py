"""Prints tables that fit. On a narrow terminal it folds sentences and leaves out less important columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coordinator.presentation.terminal_text import safe

BETWEEN_COLUMNS = 3
AROUND_THE_TABLE = 2
WORD = re.compile(r"\S+(?: →)?")  # an arrow stays on the line of the name before it
NARROWEST_FOLD = 24  # a longer word is not a name, so it may be broken


@dataclass(frozen=True)
class Column:
    """`leaves` is the order in which columns are left out, 0 for never; `folds` allows cells of several lines."""

    title: str
    leaves: int = 0
    folds: bool = False


Row = Sequence[Text | str]


def show_table(console: Console, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Prints the table, and after it the titles of the columns that were left out."""
    chosen = _columns_that_fit(columns, rows, console.width)
    widths = _widths(columns, rows, chosen, console.width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", width=_total(widths))
    for index, width in zip(chosen, widths, strict=True):
        table.add_column(columns[index].title, overflow="fold", no_wrap=not columns[index].folds, width=width)
    for row in rows:
        table.add_row(*(row[index] for index in chosen))
    # If it still does not fit, the terminal wraps the lines, and no character is lost.
    console.print(table, crop=False)
    left_out = [column.title for index, column in enumerate(columns) if index not in chosen]
    if left_out:
        console.print(safe(f"Not shown for want of room: {', '.join(left_out)}", "dim"), soft_wrap=True)


def _columns_that_fit(columns: Sequence[Column], rows: Sequence[Row], room: int) -> list[int]:
    chosen = list(range(len(columns)))
    for index in sorted((i for i in chosen if columns[i].leaves), key=lambda i: columns[i].leaves):
        if _total([_least_width(columns[i], _cells(columns, rows, i)) for i in chosen]) <= room:
            break
        chosen.remove(index)
    return chosen


def _widths(columns: Sequence[Column], rows: Sequence[Row], chosen: Sequence[int], room: int) -> list[int]:
    """Gives each column its least width, then the free width to the columns from left to right."""
    widths = [_least_width(columns[index], _cells(columns, rows, index)) for index in chosen]
    for position, index in enumerate(chosen):
        spare = max(0, room - _total(widths))
        widths[position] += min(spare, _widest(_cells(columns, rows, index)) - widths[position])
    return widths


def _least_width(column: Column, cells: Sequence[str]) -> int:
    if not column.folds:
        return _widest(cells)
    longest_word = _widest([word for cell in cells for word in WORD.findall(cell)])
    return max(min(longest_word, NARROWEST_FOLD), cell_len(column.title))


def _cells(columns: Sequence[Column], rows: Sequence[Row], index: int) -> list[str]:
    return [columns[index].title, *(str(row[index]) for row in rows)]


def _widest(cells: Sequence[str]) -> int:
    return max((cell_len(cell) for cell in cells), default=0)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + BETWEEN_COLUMNS * (len(widths) - 1) + AROUND_THE_TABLE

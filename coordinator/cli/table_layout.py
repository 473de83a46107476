"""A table that fits: on a narrow terminal sentences are folded and lesser columns left out, but no name is broken."""

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
WORD = re.compile(r"\S+(?: →)?")  # an arrow stays with the name before it
NARROWEST_FOLD = 24  # a word longer than this is no name, and may be broken


@dataclass(frozen=True)
class Column:
    """`leaves` says in which turn it is left out, 0 never; `folds` whether its cells may take several lines."""

    title: str
    leaves: int = 0
    folds: bool = False


Row = Sequence[Text | str]


def show_table(console: Console, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    kept = _kept(columns, rows, console.width)
    widths = _widths(columns, rows, kept, console.width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", width=_total(widths))
    for index, width in zip(kept, widths, strict=True):
        table.add_column(columns[index].title, overflow="fold", no_wrap=not columns[index].folds, width=width)
    for row in rows:
        table.add_row(*(row[index] for index in kept))
    # What does not fit even so is wrapped by the terminal, which keeps every character.
    console.print(table, crop=False)
    left_out = [column.title for index, column in enumerate(columns) if index not in kept]
    if left_out:
        console.print(safe(f"Not shown for want of room: {', '.join(left_out)}", "dim"), soft_wrap=True)


def _kept(columns: Sequence[Column], rows: Sequence[Row], room: int) -> list[int]:
    kept = list(range(len(columns)))
    for index in sorted((i for i in kept if columns[i].leaves), key=lambda i: columns[i].leaves):
        if _total([_least(columns[i], _cells(columns, rows, i)) for i in kept]) <= room:
            break
        kept.remove(index)
    return kept


def _widths(columns: Sequence[Column], rows: Sequence[Row], kept: Sequence[int], room: int) -> list[int]:
    """Each column at its least; what is left goes to those that fold, the first one first."""
    widths = [_least(columns[index], _cells(columns, rows, index)) for index in kept]
    for position, index in enumerate(kept):
        spare = max(0, room - _total(widths))
        widths[position] += min(spare, _widest(_cells(columns, rows, index)) - widths[position])
    return widths


def _least(column: Column, cells: Sequence[str]) -> int:
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

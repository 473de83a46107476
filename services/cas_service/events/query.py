"""Builds the SQL of a query. Names of columns are constants from here; values are always parameters."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from migration_sidecar.contract.audit_queries import AuditQuery, Order
from migration_sidecar.contract.errors import BadRequest
from migration_sidecar.contract.query_parameters import LAST_SEQ

NEAR_SPAN = 20_000


@dataclass(frozen=True)
class Span:
    """Numbers of events: from `first`, and before `end`."""

    first: int = 1
    end: int = LAST_SEQ

    def beyond(self, cursor: int, order: Order) -> Span:
        """What follows a cursor, in this order."""
        if order is Order.OLDEST:
            return Span(max(self.first, cursor + 1), self.end)
        return Span(self.first, min(self.end, cursor))

    def near(self, order: Order) -> Span:
        """The part of the span in which a page of frequent events is found."""
        if order is Order.OLDEST:
            return Span(self.first, min(self.end, self.first + NEAR_SPAN))
        return Span(max(self.first, self.end - NEAR_SPAN), self.end)


def write_cursor(order: Order, seq: int) -> str:
    """The text of a cursor; the order is part of it."""
    return urlsafe_b64encode(f"{order}:{seq}".encode()).decode().rstrip("=")


def read_cursor(order: Order, cursor: str) -> int:
    """The number in a cursor. Raises BadRequest for a text that write_cursor did not make for this order."""
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        seq = int(text.removeprefix(f"{order}:"))
    except ValueError:
        seq = -1
    if not 0 <= seq <= LAST_SEQ or write_cursor(order, seq) != cursor:
        raise BadRequest("cursor: use next_cursor of the page before, unchanged and with the same order.")
    return seq


def statement(source: str, columns: str, query: AuditQuery, types: Sequence[str], span: Span) -> tuple[str, list[Any]]:
    """Looks up each event type separately, at most one page of it, and merges the pages: each lookup uses one index."""
    values: list[Any] = [span.first, span.end, query.limit + 1]  # one more shows whether there is a next page
    conditions = ["seq >= $1", "seq < $2"]
    for name, value in query.equals.items():
        values.append(value)
        conditions.append(f"{name} = ${len(values)}")
    ending = f"ORDER BY seq {'ASC' if query.order is Order.OLDEST else 'DESC'} LIMIT $3"
    if not query.types:
        return _select(columns, source, conditions, ending), values
    if not types:
        return _select(columns, source, [*conditions, "false"], ending), values
    # One parameter for each type: PostgreSQL cannot see in a list which types are rare.
    of_types = []
    for each in types:
        values.append(each)
        of_types.append(f"({_select(columns, source, [*conditions, f'event_type = ${len(values)}'], ending)})")
    return f"SELECT * FROM ({' UNION ALL '.join(of_types)}) AS matching {ending}", values  # noqa: S608


def scattered_statement(
    source: str, columns: str, query: AuditQuery, types: Sequence[str], span: Span
) -> tuple[str, list[Any]]:
    """For rare events: combines the indexes of all filters, and sorts the rows that match all of them.

    The expression `seq + 0` keeps PostgreSQL from using an index on `seq`. It would not combine two indexes that
    serve the same condition, and might walk one in order and read all of it to find little.
    """
    values: list[Any] = [span.first, span.end, query.limit + 1]
    conditions = ["seq + 0 >= $1", "seq + 0 < $2"]
    for name, value in query.equals.items():
        values.append(value)
        conditions.append(f"{name} = ${len(values)}")
    if query.types:
        values.append(list(types))
        conditions.append(f"event_type = ANY (${len(values)}::text[])")
    ending = f"ORDER BY seq + 0 {'ASC' if query.order is Order.OLDEST else 'DESC'} LIMIT $3"
    return _select(columns, source, conditions, ending), values


def _select(columns: str, source: str, conditions: Sequence[str], ending: str) -> str:
    return f"SELECT {columns} FROM {source} WHERE {' AND '.join(conditions)} {ending}"  # noqa: S608

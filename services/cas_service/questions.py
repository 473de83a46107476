"""The SQL of what is asked of the audit: names come from here, values are parameters."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from migration_sidecar.contract.audit_queries import AuditQuery, Order
from migration_sidecar.contract.errors import BadRequest
from migration_sidecar.contract.query_parameters import LAST_SEQ

NEAR = 20_000


@dataclass(frozen=True)
class Span:
    """Events from `first` on and before `end`; a page ends where the next cursor begins."""

    first: int = 1
    end: int = LAST_SEQ

    def beyond(self, cursor: int, order: Order) -> Span:
        if order is Order.OLDEST:
            return Span(max(self.first, cursor + 1), self.end)
        return Span(self.first, min(self.end, cursor))

    def near(self, order: Order) -> Span:
        """Where a page of what is frequent is found."""
        if order is Order.OLDEST:
            return Span(self.first, min(self.end, self.first + NEAR))
        return Span(max(self.first, self.end - NEAR), self.end)


def write_cursor(order: Order, seq: int) -> str:
    return urlsafe_b64encode(f"{order}:{seq}".encode()).decode().rstrip("=")


def read_cursor(order: Order, cursor: str) -> int:
    """Raises BadRequest for anything write_cursor did not make for this order."""
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        seq = int(text.removeprefix(f"{order}:"))
    except ValueError:
        seq = -1
    if not 0 <= seq <= LAST_SEQ or write_cursor(order, seq) != cursor:
        raise BadRequest("cursor: use next_cursor of the page before, unchanged and with the same order.")
    return seq


def statement(source: str, columns: str, query: AuditQuery, types: Sequence[str], span: Span) -> tuple[str, list[Any]]:
    """Each type is looked up by itself, at most a page of it, and the pages merged: one index does each of them."""
    values: list[Any] = [span.first, span.end, query.limit + 1]  # one more tells whether there is a next page
    conditions = ["seq >= $1", "seq < $2"]
    for name, value in query.equals.items():
        values.append(value)
        conditions.append(f"{name} = ${len(values)}")
    ending = f"ORDER BY seq {'ASC' if query.order is Order.OLDEST else 'DESC'} LIMIT $3"
    if not query.types:
        return _select(columns, source, conditions, ending), values
    if not types:
        return _select(columns, source, [*conditions, "false"], ending), values
    # A value of its own for each: of a joined list PostgreSQL would not know which types are rare.
    of_types = []
    for each in types:
        values.append(each)
        of_types.append(f"({_select(columns, source, [*conditions, f'event_type = ${len(values)}'], ending)})")
    return f"SELECT * FROM ({' UNION ALL '.join(of_types)}) AS found {ending}", values  # noqa: S608


def scattered_statement(
    source: str, columns: str, query: AuditQuery, types: Sequence[str], span: Span
) -> tuple[str, list[Any]]:
    """For what is rare: the indexes of all filters are asked together, and what is in all of them is sorted.

    The sum keeps `seq` out of those indexes: PostgreSQL neither combines two that answer the same condition, nor stays
    away from the order of one although it would read all of it to find little.
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

"""What may be asked of the audit, strictly read, and the SQL of it: names come from here, values are parameters."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from migration_sidecar.contract.errors import BadRequest
from migration_sidecar.contract.journal import LAST_SEQ

NEAR = 20_000
MOST_TYPES = 20
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
EVENT_TYPE = re.compile(r"[a-z]+(\.[a-z_]+)+|[a-z]+(\.[a-z_]+)*\.\*", re.ASCII)
FILTERS = ("request_id", "service", "database", "actor", "outcome", "revision")  # columns as well


class Order(StrEnum):
    OLDEST = "oldest"
    NEWEST = "newest"


def _moment(text: Any) -> Any:
    if isinstance(text, str) and MOMENT.fullmatch(text):
        return text
    raise ValueError("write it as 2026-11-22T15:00:00Z")


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Actor = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class AuditQuery(BaseModel):
    """The parameters of GET /audit/events; `from` and `to` are about when the audit recorded, on its own clock."""

    model_config = ConfigDict(extra="forbid")

    request_id: Name | None = None
    service: Name | None = None
    database: Name | None = None
    type: str | None = Field(default=None, min_length=1, max_length=1000)
    actor: Actor | None = None
    outcome: Name | None = None
    revision: Name | None = None
    since: Moment | None = Field(default=None, alias="from")
    until: Moment | None = Field(default=None, alias="to")  # the first moment that is not meant any more
    order: Order = Order.OLDEST
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=64)

    @model_validator(mode="after")
    def goes_forward(self) -> Self:
        if self.since and self.until and self.since >= self.until:
            raise ValueError("from must be before to")
        return self

    @property
    def types(self) -> list[str]:
        """Whole ones, and beginnings such as `revision.*`; raises BadRequest."""
        names = self.type.split(",") if self.type else []
        if len(names) > MOST_TYPES or not all(EVENT_TYPE.fullmatch(name) for name in names):
            raise BadRequest(f"type: give up to {MOST_TYPES}, such as revision.applied,attempt.* with commas between.")
        return names

    @property
    def asks_several(self) -> bool:
        return len(self.equals) + bool(self.type) > 1

    @property
    def equals(self) -> dict[str, str]:
        return {name: value for name in FILTERS if (value := getattr(self, name)) is not None}


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

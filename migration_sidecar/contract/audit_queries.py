"""The query parameters of the audit's routes: cas-audit reads them, the coordinator passes them on."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints, model_validator

from migration_sidecar.contract.query_parameters import LAST_SEQ, QueryParameters, WholeNumber

MAX_TYPES = 20
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})")
EVENT_TYPE = r"([a-z]+(\.[a-z_]+)+|[a-z]+(\.[a-z_]+)*\.\*)"
EVENT_TYPES = re.compile(rf"{EVENT_TYPE}(,{EVENT_TYPE}){{0,{MAX_TYPES - 1}}}")
FILTERS = ("request_id", "service", "database", "actor", "outcome", "revision")  # columns as well


class Order(StrEnum):
    """The order of the events of an answer."""

    OLDEST = "oldest"
    NEWEST = "newest"


def _moment(text: Any) -> Any:
    if isinstance(text, str) and MOMENT.fullmatch(text):
        return text
    raise ValueError("write it as 2026-11-22T15:00:00Z")


def _types(text: str) -> str:
    if EVENT_TYPES.fullmatch(text):
        return text
    raise ValueError(f"give up to {MAX_TYPES}, such as revision.applied,attempt.* with commas between")


Moment = Annotated[AwareDatetime, BeforeValidator(_moment), Field(json_schema_extra={"pattern": f"^{MOMENT.pattern}$"})]
Types = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1000),
    AfterValidator(_types),
    Field(json_schema_extra={"pattern": f"^{EVENT_TYPES.pattern}$"}),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Actor = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class AuditQuery(QueryParameters):
    """The parameters of GET /audit/events; `from` and `to` are about when the audit recorded, on its own clock."""

    request_id: Name | None = None
    service: Name | None = None
    database: Name | None = None
    type: Types | None = None
    actor: Actor | None = None
    outcome: Name | None = None
    revision: Name | None = None
    since: Moment | None = Field(default=None, alias="from")
    until: Moment | None = Field(default=None, alias="to")  # the first moment that is not meant any more
    order: Order = Order.OLDEST
    limit: WholeNumber = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=64)

    @model_validator(mode="after")
    def goes_forward(self) -> Self:
        """Refuses a time span that ends before it begins."""
        if self.since and self.until and self.since >= self.until:
            raise ValueError("from must be before to")
        return self

    @property
    def types(self) -> list[str]:
        """Whole ones, and beginnings such as `revision.*`."""
        return self.type.split(",") if self.type else []

    @property
    def equals(self) -> dict[str, str]:
        """The columns that must have one value each."""
        return {name: value for name in FILTERS if (value := getattr(self, name)) is not None}

    @property
    def asks_several(self) -> bool:
        """Whether there is more than one filter besides the time span."""
        return len(self.equals) + bool(self.type) > 1


class PieceQuery(QueryParameters):
    """The parameters of GET /audit/verify: up to `limit` events after the one with the number `after`."""

    after: WholeNumber = Field(default=0, ge=0, le=LAST_SEQ)
    limit: WholeNumber = Field(default=10_000, ge=1, le=20_000)


class AnchorQuery(QueryParameters):
    """The parameters of GET /audit/anchors."""

    after: WholeNumber = Field(default=0, ge=0, le=LAST_SEQ)
    limit: WholeNumber = Field(default=1000, ge=1, le=1000)


class ExportQuery(QueryParameters):
    """The parameters of GET /audit/export: sequence numbers, both included."""

    first: WholeNumber = Field(default=1, ge=1, le=LAST_SEQ, alias="from")
    until: WholeNumber | None = Field(default=None, ge=1, le=LAST_SEQ, alias="to")

    @model_validator(mode="after")
    def goes_forward(self) -> Self:
        """Refuses a range that ends before it begins."""
        if self.until is not None and self.first > self.until:
            raise ValueError("from must not be after to")
        return self


# An event is named by its number or by its id; what else Python reads as a UUID is not promised.
EVENT_NAME = "^([0-9]{1,19}|[0-9A-Fa-f]{8}(-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12})$"

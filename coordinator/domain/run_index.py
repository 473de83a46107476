"""The list of runs, which is needed because Dapr state cannot be listed: open runs, and the last thousand ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from coordinator.domain.request import MigrationRequest
from migration_sidecar.contract.request_id import REQUEST_ID

RECENT_LIMIT = 1000
T = TypeVar("T")

RequestId = Annotated[str, StringConstraints(pattern=f"^{REQUEST_ID.pattern}$", strict=True)]


class OpenRun(BaseModel):
    """A run that is not settled, and when it was accepted."""

    model_config = ConfigDict(frozen=True)

    request_id: RequestId
    at: AwareDatetime
    # Those that the request names; None where it is for all, or where an earlier release wrote the entry.
    services: list[str] | None = Field(default=None, exclude_if=lambda services: services is None)
    round: int = Field(default=1, exclude_if=lambda number: number == 1)  # of the run when it was entered

    @classmethod
    def of(cls, request_id: str, at: datetime, request: MigrationRequest, round_number: int = 1) -> Self:
        """The entry of a run. A dry run has no services: nobody waits for it."""
        named = [] if request.dry_run else None if request.services == "all" else list(request.services)
        return cls(request_id=request_id, at=at, services=named, round=round_number)

    def shares_services_with(self, other: OpenRun) -> bool:
        """Whether a service may be part of both; a run is never in the way of itself."""
        if self.request_id == other.request_id:
            return False
        if self.services is None or other.services is None:
            return self.services != [] and other.services != []
        return not set(self.services).isdisjoint(other.services)


class Index(BaseModel):
    """`open` has the runs that run recovery checks, `recent` those that `GET /migrations` lists."""

    model_config = ConfigDict(frozen=True)

    open: list[OpenRun] = []
    recent: list[RequestId] = []  # newest first

    def with_open_run(self, entry: OpenRun, *, last: bool = True) -> Index:
        """With one more open run, as the newest. Without `last`, one that is open already keeps its place."""
        if not last and any(known.request_id == entry.request_id for known in self.open):
            return self
        still_open = [known for known in self.open if known.request_id != entry.request_id]
        recent = [entry.request_id, *(known for known in self.recent if known != entry.request_id)]
        return self._with([*still_open, entry], recent)

    def without(self, done: Mapping[str, int], unknown: Iterable[str]) -> Index:
        """Without runs among the open ones that are settled, and without ids that never got a record.

        `done` has the rounds that are settled: a run that was retried meanwhile stays open.
        """
        without_record = set(unknown)
        return self._with(
            [
                entry
                for entry in self.open
                if entry.request_id not in without_record and done.get(entry.request_id, 0) < entry.round
            ],
            [request_id for request_id in self.recent if request_id not in without_record],
        )

    def merged_with(self, other: Index) -> Index:
        """With all entries that only the other index has; its ids are taken for newer."""
        ours = {entry.request_id for entry in self.open}
        known = set(self.recent)
        return self._with(
            [*self.open, *(entry for entry in other.open if entry.request_id not in ours)],
            [*(request_id for request_id in other.recent if request_id not in known), *self.recent],
        )

    def with_recovered(self, request_id: str, at: datetime, *, is_open: bool) -> Index:
        """With a run that was lost from the index; it is taken for the oldest."""
        opened = [OpenRun(request_id=request_id, at=at)] if is_open else []
        return self.merged_with(Index(open=opened))._with_oldest(request_id)

    def is_missing(self, request_id: str, at: datetime, *, is_open: bool) -> bool:
        """Whether a run with a record was lost with an index that was damaged or deleted, and may be entered again.

        A run is entered before its record is written, so only those that had to make room are rightly missing.
        """
        if at.tzinfo is None:
            return False
        is_looked_after = any(entry.request_id == request_id for entry in self.open)
        if is_open and not is_looked_after:
            return True
        return request_id not in self.recent and len(self.recent) < RECENT_LIMIT

    def _with_oldest(self, request_id: str) -> Index:
        return self if request_id in self.recent else self._with(self.open, [*self.recent, request_id])

    def _with(self, still_open: Iterable[OpenRun], recent: list[str]) -> Index:
        return self.model_copy(update={"open": list(still_open), "recent": recent[:RECENT_LIMIT]})


def read_index(value: Any) -> Index | None:
    """The index in a document; None where it is none, or names a run twice."""
    if not isinstance(value, dict) or not {"open", "recent"} <= value.keys():
        return None
    try:
        index = Index.model_validate(value)
    except ValidationError:
        return None
    named = [entry.request_id for entry in index.open]
    return index if len(set(named)) == len(named) and len(set(index.recent)) == len(index.recent) else None


def read_former_index(value: Any) -> Index | None:
    """The index as version 0.1 wrote it, under a key that a run may have too; None for a run record."""
    return read_index(value) if isinstance(value, dict) and value.keys() == {"open", "recent"} else None


def salvaged(value: Any) -> Index:
    """What can still be read of a damaged index."""
    document = value if isinstance(value, dict) else {}
    still_open = {entry.request_id: entry for entry in _valid_entries(TypeAdapter(OpenRun), document.get("open"))}
    recent = dict.fromkeys(_valid_entries(TypeAdapter(RequestId), document.get("recent")))
    return Index(open=list(still_open.values()), recent=list(recent)[:RECENT_LIMIT])


def _valid_entries(kind: TypeAdapter[T], values: Any) -> list[T]:
    valid: list[T] = []
    for value in values if isinstance(values, list) else []:
        try:
            valid.append(kind.validate_python(value))
        except ValidationError:
            continue
    return valid

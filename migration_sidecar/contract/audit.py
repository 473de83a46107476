"""The wire contract of the audit: what cas-audit accepts and answers, and the coordinator passes on."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from migration_sidecar.contract.messages import AuditEvent, Message, RecordedAuditEvent


class RunEvents(Message):
    """Answer of GET /audit/runs/{request_id}: all that was recorded with this request id, in the order it happened.

    Coordinator and services do not share a clock: `events` is sorted by `occurred_at`, and by `seq` within one moment.
    """

    request_id: str
    actor: str | None = None  # as far as migration.requested says it
    outcome: str | None = None  # of migration.finished; absent while the run goes on
    asked_at: datetime | None = None
    finished_at: datetime | None = None
    services: list[str] = []  # those that any event names, in the order of their first one
    events: list[RecordedAuditEvent]
    more: bool = False  # there are more events than one answer takes; GET /audit/events has them all


class StoredAuditEvent(RecordedAuditEvent):
    """Answer of GET /audit/events/{event}: the event with its place in the chain."""

    payload_hash: str
    prev_hash: str
    hash: str


class RetiredSegment(Message):
    """Events that are in a file and no longer in the database; `file_sha256` is that of the file."""

    first_seq: int
    last_seq: int
    last_hash: str
    file_sha256: str


class Verification(Message):
    """Answer of GET /audit/verify: one piece of the chain; ask again with `next_after` until it is absent.

    Where `ok` is false, `reason` is one of changed, moved, inserted, missing, cut, rewritten, anchor, keys, and
    `first_bad_seq` the first event that shows it.
    """

    chain_id: str
    first_seq: int
    last_seq: int
    events: int
    ok: bool
    first_bad_seq: int | None = None
    reason: str | None = None
    sentence: str | None = None
    next_after: int | None = None
    head_seq: int = 0  # of the whole chain, for a progress bar
    anchored_seq: int = 0  # the last event of this piece, or before it, that an anchor signs
    anchored_at: str | None = None  # when that anchor was signed, by the clock of cas-audit
    retired_until: int = 0  # events up to here are in sealed segments, outside the database
    retired: list[RetiredSegment] = Field(default=[], max_length=10_000)  # only with the piece that follows them
    contested: int = 0  # events of this piece that tell of a second content for a known event id
    keys_replaced: int = 0  # keys that signed after another was lost, and that nothing but the trusted keys vouches for
    anchoring: str | None = None  # why anchoring stands still, and since when


class SignedAnchor(Message):
    """One line of an anchors file; the formats are in docs/audit.md."""

    anchor: str
    signature: str


class AnchorPage(Message):
    """Answer of GET /audit/anchors, in order; ask again with `next_after` until it is absent."""

    chain_id: str
    anchors: list[SignedAnchor]
    next_after: int | None = None


class TrustedKey(Message):
    """A key that signs anchors. Every one but the first was signed by itself and by the one before it."""

    key_id: str
    public_key: str
    rotation: str | None = None
    signed_by_old: str | None = None
    signed_by_new: str | None = None


class TrustedKeys(Message):
    """Answer of GET /audit/keys, from the first to the newest."""

    format: Literal["audit-keys-1"]
    chain_id: str
    keys: list[TrustedKey]


class EventProof(Message):
    """Answer of GET /audit/proof/{event}: shows that the event is the `index`-th of those that the anchor signs."""

    format: Literal["audit-proof-1"]
    event: str  # its line in an export
    index: int
    path: list[str]
    anchor: str
    signature: str
    keys: TrustedKeys


class AuditBatch(Message):
    """Body of POST /audit/events; one transaction, in this order."""

    events: list[AuditEvent] = Field(min_length=1, max_length=1000)


class AuditReceipt(Message):
    """Answer to an AuditBatch: every event is stored once; conflicts are ids stored before with other content."""

    stored: int
    repeated: int
    conflicts: list[UUID] = Field(default=[], max_length=1000)

    def covers(self, events: int) -> bool:
        """False where the fate of some of that many events is not told: they count as not delivered."""
        return self.stored + self.repeated + len(self.conflicts) == events

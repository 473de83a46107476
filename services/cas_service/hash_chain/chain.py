"""Reads the chain from the audit's database: head, anchors, keys, segments, and events for an export."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_verifier.verify import NOTHING, Anchor

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

EVENTS = """
SELECT seq, audit.timestamp_text(recorded_at) AS recorded_at, prev_hash, hash, payload FROM audit.events
WHERE seq > $1 AND seq <= $2 ORDER BY seq
"""
SEGMENTS = """
SELECT first_seq, last_seq, prev_hash, last_hash, events, merkle_root, file_sha256,
       audit.timestamp_text(sealed_at) AS sealed_at, audit.timestamp_text(retired_at) AS retired_at
FROM audit.segments LEFT JOIN audit.retirements USING (first_seq) ORDER BY first_seq
"""
RETIRED = """
SELECT EXISTS (SELECT FROM audit.events
    WHERE event_type = 'audit.segment_retired' AND source = 'cas-audit' AND detail @> $1::jsonb)
"""


@dataclass(frozen=True)
class Link:
    """A position in the chain: number and hash of an event."""

    seq: int = 0
    hash: str = NOTHING


async def chain_id(connection: AnyConnection) -> str:
    """The id of this audit. It never changes."""
    return str(await connection.fetchval("SELECT chain_id FROM audit.chain"))


async def head(connection: AnyConnection) -> Link:
    """The last event, as the store itself recorded it."""
    row = await connection.fetchrow("SELECT seq, hash FROM audit.chain_head")
    return Link(*row) if row else Link()  # the row was deleted: verification then fails for every event


async def events_after(connection: AnyConnection, seq: int, until: int, limit: int) -> list[Any]:
    """The events with the next `limit` numbers, at most up to `until`. A missing number shows as a gap."""
    return list(await connection.fetch(EVENTS, seq, min(until, seq + limit)))


async def segments(connection: AnyConnection) -> list[dict[str, Any]]:
    """All sealed segments, oldest first; `retired_at` is None while the rows are still in the database."""
    return [dict(row) for row in await connection.fetch(SEGMENTS)]


async def retired(connection: AnyConnection) -> list[dict[str, Any]]:
    """The segments whose rows are only in their files, oldest first."""
    return [each for each in await segments(connection) if each["retired_at"]]


def retired_until(retired: Sequence[dict[str, Any]]) -> Link:
    """The end of the last retired segment; the stored rows begin after it."""
    return Link(retired[-1]["last_seq"], retired[-1]["last_hash"]) if retired else Link()


async def is_retirement_recorded(connection: AnyConnection, last: Link) -> bool:
    """Whether an event records that the rows up to `last` were retired. That event is younger than those rows."""
    retirement = {"last_seq": last.seq, "last_hash": last.hash}
    is_recorded: bool = await connection.fetchval(RETIRED, json.dumps(retirement))
    return is_recorded


async def anchors_after(
    connection: AnyConnection, seq: int, until: int = 2**62, limit: int | None = None
) -> list[Anchor]:
    """The anchors with `seq` < number <= `until`, in order."""
    return _anchors(
        await connection.fetch(
            "SELECT line, signature FROM audit.anchors WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
            seq,
            until,
            limit,
        )
    )


async def anchor_at_or_after(connection: AnyConnection, seq: int) -> Anchor | None:
    """The anchor that signs event `seq`, or None if it is not signed yet."""
    rows = await connection.fetch("SELECT line, signature FROM audit.anchors WHERE seq >= $1 ORDER BY seq LIMIT 1", seq)
    return next(iter(_anchors(rows)), None)


async def anchor_at_or_before(connection: AnyConnection, seq: int) -> Anchor | None:
    """The last anchor up to event `seq`, or None."""
    rows = await connection.fetch(
        "SELECT line, signature FROM audit.anchors WHERE seq <= $1 ORDER BY seq DESC LIMIT 1", seq
    )
    return next(iter(_anchors(rows)), None)


async def keys(connection: AnyConnection) -> dict[str, Any]:
    """The public keys, as the database stores them, in the form audit-keys-1."""
    rows = await connection.fetch(
        "SELECT key_id, public_key, rotation, signed_by_old, signed_by_new FROM audit.signing_keys ORDER BY number"
    )
    present = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return {"format": "audit-keys-1", "chain_id": await chain_id(connection), "keys": present}


async def delivered(connection: AnyConnection) -> dict[str, int]:
    """By place, the last event whose anchor was delivered there."""
    rows = await connection.fetch("SELECT place, max(seq) AS seq FROM audit.deliveries GROUP BY place")
    return {row["place"]: row["seq"] for row in rows}


def _anchors(rows: Sequence[Any]) -> list[Anchor]:
    return [Anchor.read({"anchor": row["line"], "signature": row["signature"]}) for row in rows]

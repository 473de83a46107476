"""Recomputes the hashes of a range of events inside the database, and names the first event that was changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_verifier.verify import INSERTED, MISSING, Anchor, Broken
from services.cas_service.hash_chain.chain import Link

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

# PostgreSQL assumes that hashing is cheap, and would hash the whole range on one core.
PARALLEL_SETTINGS = """
SET LOCAL parallel_setup_cost = 200; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_index_scan_size = 0;
SET LOCAL plan_cache_mode = 'force_custom_plan'; SET LOCAL work_mem = '64MB'
"""
# The window covers the stored rows only; $3 and $4 (the link before) are compared with the first row.
PIECE = """
WITH piece AS MATERIALIZED (
    SELECT seq, prev_hash, hash, payload_hash,
           encode(sha256(convert_to(payload, 'UTF8')), 'hex') AS fresh_payload_hash,
           revision IS DISTINCT FROM detail ->> 'revision' AS shown_otherwise,
           encode(sha256(convert_to(concat_ws('|', 'audit-chain-1', prev_hash, seq::text,
               audit.timestamp_text(recorded_at), payload_hash), 'UTF8')), 'hex') AS fresh_hash
    FROM audit.events WHERE seq > $1 AND seq <= $2
), checked AS (
    SELECT seq, hash, lag(seq, 1, $3::bigint) OVER w AS before, CASE
        WHEN seq <> lag(seq, 1, $3::bigint) OVER w + 1 THEN 'missing'
        WHEN payload_hash <> fresh_payload_hash OR shown_otherwise THEN 'changed'
        WHEN hash <> fresh_hash THEN 'moved'
        WHEN prev_hash <> lag(hash, 1, $4::text) OVER w THEN 'inserted'
    END AS reason
    FROM piece WINDOW w AS (ORDER BY seq)
)
SELECT count(*) AS events, max(seq) AS last_seq, (array_agg(hash ORDER BY seq DESC))[1] AS last_hash,
       min(seq) FILTER (WHERE reason IS NOT NULL) AS bad_seq,
       (array_agg(reason ORDER BY seq) FILTER (WHERE reason IS NOT NULL))[1] AS reason,
       (array_agg(before ORDER BY seq) FILTER (WHERE reason IS NOT NULL))[1] AS before
FROM checked
"""

# Rows missing in the index of audit.table_changes. One index lookup for each name, because PostgreSQL expects far more
# names than there are.
HIDDEN_TABLES = """
SELECT min(event.seq) FROM audit.events AS event
CROSS JOIN LATERAL jsonb_array_elements_text(
    CASE jsonb_typeof(event.detail -> 'tables') WHEN 'array' THEN event.detail -> 'tables' END
) AS changed (name)
WHERE event.seq > $1 AND event.seq <= $2 AND length(changed.name) <= 255
AND (SELECT known.seq FROM audit.changed_tables AS known
     WHERE known.table_name = changed.name AND known.seq = event.seq) IS NULL
"""

# What was refused is under the chain by its hash in the event that tells of the refusal. Refusals that were recorded
# before audit_0010 kept nothing, and do not say `refused_in`.
REFUSED_OTHERWISE = """
SELECT min(seq) FROM (
    SELECT event.seq FROM audit.events AS event
    LEFT JOIN audit.contested AS contested ON contested.conflict_seq = event.seq
    WHERE event.seq > $1 AND event.seq <= $2 AND event.event_type = 'audit.conflict' AND event.detail ? 'refused_in'
    AND (contested.conflict_seq IS NULL OR contested.event_id::text <> event.detail ->> 'event_id'
        OR contested.stored_seq::text <> event.detail ->> 'seq'
        OR encode(sha256(convert_to(contested.payload, 'UTF8')), 'hex') <> event.detail ->> 'refused_payload_hash')
    UNION ALL
    SELECT contested.conflict_seq FROM audit.contested AS contested
    WHERE contested.conflict_seq > $1 AND contested.conflict_seq <= $2 AND NOT EXISTS (
        SELECT FROM audit.events AS event
        WHERE event.seq = contested.conflict_seq AND event.event_type = 'audit.conflict'
    )
) AS wrong (seq)
"""
CONTESTED = """
SELECT count(*) FROM audit.events WHERE seq > $1 AND seq <= $2 AND event_type = 'audit.conflict'
"""

SENTENCES = {
    "missing": MISSING,
    "changed": "Event {seq} is not what was recorded: its content was changed.",
    "moved": "Event {seq} is not what was recorded: its number, time, hash or predecessor was changed.",
    "inserted": INSERTED,
}


@dataclass(frozen=True)
class ChainRange:
    """A range of events after the link `after` up to `last`, complete and in order."""

    after: Link
    last: Link
    events: int


async def check_piece(connection: AnyConnection, after: Link, limit: int) -> ChainRange:
    """Checks at most `limit` events.

    Raises Broken at the first one that was changed, or does not follow the one before.
    """
    await connection.execute(PARALLEL_SETTINGS)
    # Not fetchrow: PostgreSQL runs a query with a row limit on one core.
    [row] = await connection.fetch(PIECE, after.seq, after.seq + limit, after.seq, after.hash)
    if row["bad_seq"] is not None:
        seq, reason = row["bad_seq"], row["reason"]
        raise Broken(seq, reason, SENTENCES[reason].format(seq=seq, before=row["before"]))
    if not row["events"]:
        successor = await connection.fetchval("SELECT min(seq) FROM audit.events WHERE seq > $1", after.seq)
        if successor is not None:
            raise Broken(successor, "missing", SENTENCES["missing"].format(seq=successor, before=after.seq))
        return ChainRange(after, after, 0)
    return ChainRange(after, Link(row["last_seq"], row["last_hash"]), row["events"])


async def require_signed_events(connection: AnyConnection, anchors: list[Anchor]) -> None:
    """Raises Broken where a stored event is not the one that the anchor with its number signed."""
    rows = await connection.fetch(
        "SELECT seq, hash FROM audit.events WHERE seq = ANY ($1::bigint[])", [each.seq for each in anchors]
    )
    hashes = {row["seq"]: row["hash"] for row in rows}
    for anchor in anchors:
        if hashes.get(anchor.seq) != anchor.hash:
            first = anchor.seq - anchor.count + 1
            raise Broken(first, "rewritten", f"Events {first} to {anchor.seq} are not those that were signed.")


async def require_shown(connection: AnyConnection, piece: ChainRange) -> None:
    """Raises Broken where audit.table_changes does not show a table that an event says was changed."""
    seq = await connection.fetchval(HIDDEN_TABLES, piece.after.seq, piece.last.seq)
    if seq is not None:
        raise Broken(seq, "changed", f"Of the tables that event {seq} changed, audit.table_changes shows not all.")


async def contested(connection: AnyConnection, piece: ChainRange) -> int:
    """How many events tell of a second content that was refused. Raises Broken where that content is not kept."""
    seq = await connection.fetchval(REFUSED_OTHERWISE, piece.after.seq, piece.last.seq)
    if seq is not None:
        raise Broken(seq, "changed", f"Of what event {seq} refused, audit.contested shows not what was told.")
    number: int = await connection.fetchval(CONTESTED, piece.after.seq, piece.last.seq)
    return number

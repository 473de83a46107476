"""Writes evidence: an export line by line, and the proof of one event."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from audit_verifier.verify import NOTHING, Anchor, Tree, event_line, merkle_path
from migration_sidecar.database.pool import DatabasePool
from services.cas_service.anchors.signing import now
from services.cas_service.errors import NoSuchEvent, NotSignedYet
from services.cas_service.events.store import Role, session
from services.cas_service.hash_chain import chain
from services.cas_service.hash_chain.chain import Link

if TYPE_CHECKING:
    from services.cas_service.hash_chain.chain import AnyConnection

PAGE = 1000


class RowsAreMissing(Exception):
    """The chain has a gap. The export stops without its last line, which every verifier notices."""


@dataclass
class Export:
    """Events `start` to `until`, read page by page. Recorded events never change, so no snapshot is needed."""

    database: DatabasePool
    chain_id: str
    keys: dict[str, Any]
    start: Link
    until: int
    asked_until: int | None
    previous_anchor: Anchor | None
    segments: list[dict[str, Any]]

    async def lines(self) -> AsyncIterator[str]:
        """The lines without line ends. Afterwards `tree` holds the hashes of the exported events."""
        self.tree, last = Tree(), self.start
        yield _json(self._header())
        for segment in self.segments:
            last = Link(segment["last_seq"], segment["last_hash"])
            yield _json({"segment": segment})
            yield _json(_signed(await self._anchor_at(last.seq)))
        while last.seq < self.until:
            async with session(self.database, Role.WITNESS) as connection:
                rows = await chain.events_after(connection, last.seq, self.until, PAGE)
                until = rows[-1]["seq"] if rows else 0
                anchors = {each.seq: each for each in await chain.anchors_after(connection, last.seq, until)}
            if not rows:  # a smaller gap is reported by the verifier
                raise RowsAreMissing(f"after {last.seq}")
            for row in rows:
                self.tree.add(row["hash"])
                yield event_line(**row)
                if anchor := anchors.get(row["seq"]):
                    yield _json(_signed(anchor))
            last = Link(rows[-1]["seq"], rows[-1]["hash"])
        yield _json({"end": {"events": self.tree.count, "last_seq": last.seq, "last_hash": last.hash}})

    def _header(self) -> dict[str, Any]:
        return {
            "format": "audit-export-1",
            "chain_id": self.chain_id,
            "exported_at": now(),
            "from_seq": self.start.seq + 1,
            "to_seq": self.asked_until,
            "prev_hash": self.start.hash,
            "previous_anchor": _signed(self.previous_anchor) if self.previous_anchor else None,
            "keys": self.keys,
        }

    async def _anchor_at(self, seq: int) -> Anchor:
        async with session(self.database, Role.WITNESS) as connection:
            anchor = await chain.anchor_at_or_after(connection, seq)
        if anchor is None or anchor.seq != seq:
            raise RowsAreMissing(f"the anchor at {seq}")
        return anchor


async def begin_export(database: DatabasePool, first: int = 1, until: int | None = None) -> Export:
    """Decides which events the export holds. Raises NoSuchEvent when `first` is after the last event."""
    async with session(database, Role.WITNESS) as connection:
        head = await chain.head(connection)
        if first > max(head.seq, 1):
            raise NoSuchEvent(str(first))
        gone = [each for each in await chain.segments(connection) if each["retired_at"] and each["last_seq"] >= first]
        start = await _before(connection, gone[0]["first_seq"] if gone else first)
        return Export(
            database=database,
            chain_id=await chain.chain_id(connection),
            keys=await chain.keys(connection),
            start=start,
            until=min(until or head.seq, head.seq),
            asked_until=until,
            previous_anchor=await chain.anchor_at_or_before(connection, start.seq),
            segments=gone,
        )


async def _before(connection: AnyConnection, first: int) -> Link:
    if first == 1:
        return Link(0, NOTHING)
    hash = await connection.fetchval("SELECT hash FROM audit.events WHERE seq = $1", first - 1)
    if hash is None:
        anchor = await chain.anchor_at_or_before(connection, first - 1)
        if anchor is None or anchor.seq != first - 1:
            raise NoSuchEvent(str(first - 1))
        hash = anchor.hash
    return Link(first - 1, hash)


async def prove(database: DatabasePool, event: UUID | int) -> dict[str, Any]:
    """The proof that an anchor signs this event; a verifier needs nothing else but the public key.

    Raises NoSuchEvent, and NotSignedYet for an event after the last anchor.
    """
    column = "event_id" if isinstance(event, UUID) else "seq"
    async with session(database, Role.WITNESS) as connection:
        seq = await connection.fetchval(f"SELECT seq FROM audit.events WHERE {column} = $1", event)  # noqa: S608
        if seq is None:
            raise NoSuchEvent(str(event))
        anchor = await chain.anchor_at_or_after(connection, seq)
        if anchor is None:
            raise NotSignedYet(seq)
        first = anchor.seq - anchor.count + 1
        [row] = await chain.events_after(connection, seq - 1, seq, 1)
        hashes = await connection.fetch(
            "SELECT hash FROM audit.events WHERE seq BETWEEN $1 AND $2 ORDER BY seq", first, anchor.seq
        )
        keys = await chain.keys(connection)
    path = merkle_path([each["hash"] for each in hashes], seq - first)
    return {
        "format": "audit-proof-1",
        "event": event_line(**row),
        "index": seq - first,
        "path": path,
        **_signed(anchor),
        "keys": keys,
    }


def _signed(anchor: Anchor) -> dict[str, str]:
    return {"anchor": anchor.line, "signature": anchor.signature}


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

"""Verifies the live audit in ranges: the rows, the anchors in the database, and the anchors outside of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_verifier.verify import Anchor, Broken, Keys, Unreadable, require_follows
from migration_sidecar.contract.audit import RetiredSegment, Verification
from migration_sidecar.database.pool import DatabasePool
from services.cas_service.anchors.anchoring import Anchoring
from services.cas_service.events.store import Role, session
from services.cas_service.hash_chain import chain
from services.cas_service.hash_chain.chain import Link
from services.cas_service.hash_chain.chain_check import (
    ChainRange,
    check_piece,
    contested,
    require_shown,
    require_signed_events,
)

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection


@dataclass(frozen=True)
class TrustedAnchors:
    """Keys and anchors that the database administrator cannot write; they count more than those in the database."""

    trusted: Sequence[Keys]
    anchors: Sequence[Anchor]
    own_key: str | None
    missing: str | None  # which of the delivered anchors a sink no longer holds

    @property
    def last_seq(self) -> int:
        """The last event that an anchor outside signs, or 0."""
        return self.anchors[-1].seq if self.anchors else 0


@dataclass
class Findings:
    """The result for a range so far; `reason` is None while nothing is wrong."""

    first_seq: int
    last_seq: int
    events: int = 0
    first_bad_seq: int | None = None
    reason: str | None = None
    sentence: str | None = None
    next_after: int | None = None
    head_seq: int = 0
    anchored_seq: int = 0
    anchored_at: str | None = None
    retired_until: int = 0
    contested: int = 0
    keys_replaced: int = 0
    retired: Sequence[RetiredSegment] = ()


async def verify(database: DatabasePool, anchoring: Anchoring, after: int, limit: int) -> Verification:
    """Verifies at most `limit` events after number `after`.

    The last range is also compared with head and last anchor.
    """
    async with session(database, Role.WITNESS) as connection:
        chain_id, delivered = await chain.chain_id(connection), await chain.delivered(connection)
    findings = Findings(first_seq=after + 1, last_seq=after)
    try:
        # Read before the rows: a signed event was recorded earlier, so rows that are read later must contain it.
        outside = await asyncio.to_thread(_outside, anchoring, chain_id, delivered)
        async with session(database, Role.WITNESS) as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            await _verify(connection, outside, findings, limit)
    except Broken as broken:
        findings.next_after, findings.first_bad_seq = None, broken.seq
        findings.reason, findings.sentence = broken.reason, broken.sentence
    except Unreadable as error:
        findings.reason, findings.sentence = "anchor", f"In the database {error}."
    return Verification(chain_id=chain_id, ok=findings.reason is None, anchoring=anchoring.alarm, **vars(findings))


def _outside(anchoring: Anchoring, chain_id: str, delivered: Mapping[str, int]) -> TrustedAnchors:
    """Reads all sinks. Raises Broken when they disagree, or when the key signed another audit."""
    anchors: dict[int, Anchor] = {}
    sinks, own_key = anchoring.sinks, anchoring.public_key()
    for sink in sinks:
        for anchor in sink.anchors(chain_id):
            if anchors.setdefault(anchor.seq, anchor).line != anchor.line:
                raise Broken(anchor.seq, "anchor", f"Two sinks hold different anchors at seq {anchor.seq}.")
    trusted = [keys for sink in sinks if (keys := sink.keys(chain_id)) is not None]
    other = next(filter(None, (sink.other_audit(chain_id, own_key) for sink in sinks)), None)
    if other and (own_key or not trusted):
        raise Broken(None, "keys", f"The key signed audit {other}, and the database holds another one, {chain_id}.")
    missing = next(filter(None, (sink.missing(chain_id, delivered.get(sink.place, 0)) for sink in sinks)), None)
    return TrustedAnchors(trusted, sorted(anchors.values(), key=lambda each: each.seq), own_key, missing)


def _keys(document: dict[str, Any], outside: TrustedAnchors) -> Keys | None:
    """The keys of the database if they are trusted; None while there are no keys anywhere."""
    keys = Keys(document) if document["keys"] or outside.trusted else None
    for trusted in outside.trusted:
        keys = Keys(document, trusted)
    # Before the first delivery, only the service's own key is independent of the database.
    own_keys = [outside.own_key] if outside.own_key and not outside.trusted else []
    if keys and any(key not in [public_key for _, public_key, _ in keys.keys] for key in own_keys):
        raise Broken(None, "keys", "The keys in the database are not this service's, and none are kept outside.")
    return keys


async def _verify(connection: AnyConnection, outside: TrustedAnchors, findings: Findings, limit: int) -> None:
    head, segments = await chain.head(connection), await chain.retired(connection)
    retired = chain.retired_until(segments)
    start = await _start(connection, findings.first_seq - 1, retired)
    findings.first_seq, findings.last_seq = start.seq + 1, start.seq
    findings.head_seq, findings.retired_until = head.seq, retired.seq
    findings.retired = [_retired(each) for each in segments] if start == retired else []
    keys = _keys(await chain.keys(connection), outside)
    findings.keys_replaced = len(keys.replaced) if keys else 0
    if gone := outside.missing:
        raise Broken(None, "anchor", f"{gone[0].upper()}{gone[1:]}: their file was cut, emptied or replaced.")
    piece = await check_piece(connection, start, limit)
    findings.last_seq, findings.events = piece.last.seq, piece.events
    await require_shown(connection, piece)
    findings.contested = await contested(connection, piece)
    if keys is not None:
        await _require_outside(connection, keys, outside, piece)
        if last := await _require_stored(connection, keys, outside, piece, retired):
            findings.anchored_seq, findings.anchored_at = last.seq, last.signed_at
    if piece.after == retired != Link() and not await chain.is_retirement_recorded(connection, retired):
        raise Broken(1, "missing", f"Events up to {retired.seq} are gone, and no event tells that they were retired.")
    if piece.events and piece.last.seq < head.seq:
        findings.next_after = piece.last.seq
    else:
        _require_end(piece.last, head, outside)


def _retired(segment: dict[str, Any]) -> RetiredSegment:
    return RetiredSegment(**{name: segment[name] for name in RetiredSegment.model_fields})


async def _start(connection: AnyConnection, after: int, retired: Link) -> Link:
    """The link before the range; where rows were retired, the end of the last retired segment. Raises Broken."""
    if after <= retired.seq:
        return retired
    hash = await connection.fetchval("SELECT hash FROM audit.events WHERE seq = $1", after)
    if hash is None:
        raise Broken(after + 1, "missing", f"There is no event {after} for the next one to follow.")
    return Link(after, hash)


async def _require_outside(connection: AnyConnection, keys: Keys, outside: TrustedAnchors, piece: ChainRange) -> None:
    """Raises Broken unless each outside anchor is signed, signs the stored event, and is also in the database."""
    within = [each for each in outside.anchors if piece.after.seq < each.seq <= piece.last.seq]
    for anchor in within:
        keys.require_signed(anchor)
    await require_signed_events(connection, within)
    stored = {each.seq for each in await chain.anchors_after(connection, piece.after.seq, piece.last.seq)}
    for anchor in within:
        if anchor.seq not in stored:
            raise Broken(anchor.seq, "anchor", f"The anchor at seq {anchor.seq} was taken out of the database.")


async def _require_stored(
    connection: AnyConnection, keys: Keys, outside: TrustedAnchors, piece: ChainRange, retired: Link
) -> Anchor | None:
    """Raises Broken unless the anchors in the database are signed, form a chain, and equal those outside.

    Returns the last one.
    """
    outside_anchors = {each.seq: each for each in outside.anchors}
    before = await chain.anchor_at_or_before(connection, piece.after.seq)
    stored = await chain.anchors_after(connection, piece.after.seq, piece.last.seq)
    for anchor in [*([before] if before else []), *stored]:
        if anchor.seq <= outside.last_seq and outside_anchors.get(anchor.seq) != anchor:
            raise Broken(anchor.seq, "rewritten", f"Another anchor at seq {anchor.seq} is kept outside the database.")
        if anchor.seq not in outside_anchors:
            keys.require_signed(anchor)
    if piece.after == retired != Link() and (
        before is None or (before.seq, before.hash) != (retired.seq, retired.hash)
    ):
        raise Broken(retired.seq + 1, "missing", f"No anchor signs event {retired.seq}, after which rows are gone.")
    await require_signed_events(connection, stored)
    for anchor in stored:
        require_follows(anchor, before)
        before = anchor
    return before


def _require_end(last: Link, head: Link, outside: TrustedAnchors) -> None:
    if outside.last_seq > last.seq:
        sentence = f"The tail is cut: event {outside.last_seq} was signed, and the last is {last.seq}."
        raise Broken(last.seq + 1, "cut", sentence)
    if head.seq > last.seq:
        sentence = f"The tail is cut: the store recorded event {head.seq}, and the last is {last.seq}."
        raise Broken(last.seq + 1, "cut", sentence)
    if head != last:
        raise Broken(last.seq, "rewritten", f"The store's own head is another one than event {last.seq}.")

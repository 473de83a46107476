"""Signs the chain as it grows, and stores the signatures where the database administrator cannot rewrite them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from audit_verifier.verify import NOTHING, Broken, merkle_root
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.database.pool import DatabasePool
from services.cas_service.anchors.anchor_sinks import FolderSink, GitSink
from services.cas_service.anchors.settings import AnchoringSettings
from services.cas_service.anchors.signing import SigningKey, now, read_key, read_or_make_key
from services.cas_service.anchors.unsigned_age import UnsignedAge
from services.cas_service.errors import AnchoringHasStalled, AuditNotReady
from services.cas_service.events.store import Role, session
from services.cas_service.hash_chain import chain
from services.cas_service.hash_chain.chain import Link
from services.cas_service.hash_chain.chain_check import check_piece

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
PAUSE_AFTER_FAILURE_SECONDS = 5.0
LAST_ROUND_SECONDS = 5.0
SHORTEST_OVERDUE_SECONDS = 60.0
MAX_EVENTS = 10_000  # under one anchor: signing a database that is older than its anchors must not take much memory

OLDEST_UNSIGNED = "SELECT extract(epoch FROM clock_timestamp() - recorded_at) FROM audit.events WHERE seq = $1"
HASHES = "SELECT hash FROM audit.events WHERE seq > $1 AND seq <= $2 ORDER BY seq"


@dataclass(frozen=True)
class AnchoringStalled:
    """Why nothing is signed at present, and since when (UTC)."""

    since: datetime
    problem: ProblemError

    def __str__(self) -> str:
        return (
            f"{self.problem.problem.detail} Since {self.since:%Y-%m-%d %H:%M:%S} UTC. {self.problem.problem.next_step}"
        )


class Anchoring:
    """The background task that signs. When it fails, events are still recorded."""

    def __init__(self, database: DatabasePool, settings: AnchoringSettings) -> None:
        self._database = database
        self._settings = settings
        self.sinks: list[FolderSink] = [
            *([FolderSink(settings.folder)] if settings.folder else []),
            *([GitSink(settings.git)] if settings.git else []),
        ]
        self.standing_still: AnchoringStalled | None = None
        self._is_last = False
        self._unsigned = UnsignedAge()

    @property
    def alarm(self) -> str | None:
        """Why nothing is signed or delivered, for people; None while all is well."""
        if self.standing_still is not None:
            return str(self.standing_still)
        seconds = self._unsigned.seconds
        if seconds <= max(2.0 * self._settings.every_seconds, SHORTEST_OVERDUE_SECONDS):
            return None
        return f"Anchoring is overdue: the oldest unsigned event has waited for {seconds:.0f} s; the signer hangs."

    async def run(self) -> None:
        """Signs until the task is cancelled. Pauses one second after a good round, and five after a failed one."""
        while True:
            went_well = await self.attempt()
            await asyncio.sleep(PAUSE_SECONDS if went_well else PAUSE_AFTER_FAILURE_SECONDS)

    async def stop(self) -> None:
        """Signs the rest at an orderly stop, so that no unsigned event is left that could be rewritten unnoticed."""
        self._is_last = True
        try:
            async with asyncio.timeout(LAST_ROUND_SECONDS):
                await self.attempt()
        except TimeoutError:
            log.warning("anchoring_was_not_finished")

    async def attempt(self) -> bool:
        """One round. Returns whether it succeeded; a failure is stored in `standing_still` until a round succeeds."""
        try:
            await self.round()
        except AuditNotReady:
            return False  # nothing to sign yet
        except Exception as error:
            self._record_failure(error)
            return False
        if self.standing_still is not None:
            log.info("anchoring_goes_on")
        self.standing_still = None
        return True

    async def round(self) -> None:
        """Signs what is due, then delivers to each sink the anchors it lacks. Raises what prevents either."""
        key = await asyncio.to_thread(read_or_make_key, self._settings.key_file, may_make=self._settings.key_is_ours)
        while await self._sign(key):
            pass
        for sink in self.sinks:
            await self._deliver(sink)

    async def _sign(self, key: SigningKey) -> bool:
        """Signs one anchor if one is due. Returns whether there may be more to sign."""
        async with session(self._database, Role.WITNESS) as connection:
            await self._require_one_audit(connection, key)
            await _require_newest(connection, key)
            last = await chain.anchor_at_or_before(connection, 2**62)
            signed = Link(last.seq, last.hash) if last else Link()
            head = await chain.head(connection)
            if not await self._is_due(connection, signed.seq, head.seq):
                return False
            try:
                piece = await check_piece(connection, signed, min(MAX_EVENTS, head.seq - signed.seq))
            except Broken as broken:
                raise AnchoringHasStalled(
                    f"the chain is broken and will not be signed ({broken.sentence.rstrip('.')})",
                    "Run coordinator audit verify, and find out who changed it",
                ) from None
            rows = await connection.fetch(HASHES, signed.seq, piece.last.seq)
            root = merkle_root([row["hash"] for row in rows])
            fields = (piece.last.seq, piece.last.hash, piece.events, root, last.sha256 if last else NOTHING, now())
            line = "|".join(map(str, ("audit-anchor-1", await chain.chain_id(connection), *fields, key.key_id)))
            await connection.fetchval("SELECT audit.record_anchor($1, $2)", line, key.sign(line))
        return True  # also when another replica was faster: the next call looks again

    async def _require_one_audit(self, connection: AnyConnection, key: SigningKey) -> None:
        """Refuses to sign when the chain id changed: a signature would vouch for a replaced history."""
        chain_id = await chain.chain_id(connection)
        for sink in self.sinks:
            if other := await asyncio.to_thread(sink.other_audit, chain_id, key.public_key):
                raise AnchoringHasStalled(
                    f"its key signed audit {other}, and the database holds audit {chain_id}",
                    "Find out who replaced the database; an audit that is to begin anew needs a key of its own",
                )

    def public_key(self) -> str | None:
        """The public key in base64, or None while the key cannot be read."""
        try:
            return read_key(self._settings.key_file).public_key
        except AnchoringHasStalled:
            return None

    async def _is_due(self, connection: AnyConnection, signed_seq: int, head_seq: int) -> bool:
        self._unsigned.note(signed_seq, head_seq)
        if head_seq <= signed_seq:
            return False
        if self._is_last or head_seq - signed_seq >= self._settings.every_events:
            return True
        if self._unsigned.seconds >= self._settings.every_seconds:
            return True
        # What waited before this process began only the database knows; its clock can but hasten a signature.
        age = await connection.fetchval(OLDEST_UNSIGNED, signed_seq + 1)
        return age is None or age >= self._settings.every_seconds  # None: the event is missing; signing reports it

    async def _deliver(self, sink: FolderSink) -> None:
        async with session(self._database, Role.WITNESS) as connection:
            keys = await chain.keys(connection)
            anchors = await chain.anchors_after(connection, sink.compared(keys["chain_id"]))
            delivered = (await chain.delivered(connection)).get(sink.place, 0)
        if not keys["keys"]:
            return
        await asyncio.to_thread(sink.deliver, anchors, keys, delivered)
        last = sink.compared(keys["chain_id"])
        if last > delivered:
            async with session(self._database, Role.WITNESS) as connection:
                await connection.fetchval("SELECT audit.record_delivery($1, $2)", sink.place, last)

    def _record_failure(self, error: Exception) -> None:
        if not isinstance(error, ProblemError):
            log.exception("anchoring_broke_off")
            error = AnchoringHasStalled(f"something unexpected ({type(error).__name__})", "The service's log says more")
        elif self.standing_still is None:
            log.warning("anchoring_stands_still", extra={"reason": error.problem.detail})
        since = self.standing_still.since if self.standing_still else datetime.now(UTC)
        self.standing_still = AnchoringStalled(since, error)


async def _require_newest(connection: AnyConnection, key: SigningKey) -> None:
    """The first key of a chain becomes known with its first signature, every later key only by a rotation."""
    known = (await chain.keys(connection))["keys"]
    if not known:
        await connection.fetchval("SELECT audit.record_key(1, $1, $2, 0, NULL, NULL, NULL)", key.key_id, key.public_key)
    elif known[-1]["key_id"] != key.key_id:
        raise AnchoringHasStalled(
            f"the key file holds {key.key_id}, and this audit is signed by {known[-1]['key_id']}",
            "Put that key back; only while it is there, rotate_key can replace it. If it is lost for good, see"
            " repair_keys in docs/audit-operations.md",
        )

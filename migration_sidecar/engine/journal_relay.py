"""Brings the service's journal to the fleet's audit: at least once, in order, and resumed after any outage."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from migration_sidecar.alembic_environment.target_database import TargetDatabase
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import AuditBatch, AuditEvent, AuditReceipt
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.journal_events import NOT_RELAYED, audit_event

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

Pair: TypeAlias = tuple[int, AuditEvent]

IDLE_SECONDS = 2.0  # how late a migration made by hand may appear in the audit
GATHER_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
BATCH = 200
HEADERS = {"content-type": "application/json", "accept-encoding": "identity"}
ANSWER_BYTES = 1024 * 1024
CHUNK_BYTES = 64 * 1024
SKIP_SECONDS = 600.0
# The audit's own words for what it will never take as it is; everything else passes.
PERMANENT_REFUSALS = {"CM-104", "CM-106", "CM-603"}


class JournalRelay:
    """One per service; the audit recognises repeats by event id, so losing an answer is harmless."""

    def __init__(self, settings: Settings, place: TargetDatabase, database: DatabasePool) -> None:
        self._settings = settings
        self._place = place
        self._database = database
        self._wanted = asyncio.Event()
        self._waiting_since_logged = False
        self._aside: dict[int, float] = {}  # rows the audit refused as they are, and when to try them again

    def wake(self) -> None:
        """There may be new rows."""
        self._wanted.set()

    async def run(self) -> None:
        """Until cancelled."""
        import httpx  # a command by hand has nobody to tell, and need not wait for it

        pause = IDLE_SECONDS
        async with httpx.AsyncClient(base_url=self._address(), timeout=10, headers=_token(), trust_env=False) as client:
            while True:
                try:
                    more = await self._deliver(client)
                    pause, self._waiting_since_logged = IDLE_SECONDS, False
                except (ProblemError, httpx.HTTPError) as error:
                    self._log_once(error)
                    more, pause = False, min(pause * 1.5, LONGEST_PAUSE_SECONDS)
                except Exception:
                    # Whatever it is, the rows are still there: giving up would lose them until the next restart.
                    log.exception("relay_stumbled", extra={"service": self._settings.service})
                    more, pause = False, min(pause * 1.5, LONGEST_PAUSE_SECONDS)
                if not more:
                    await self._sleep(pause)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
                # The next service of a run migrates now; what this one tells the audit can wait for a calmer moment.
                await asyncio.sleep(GATHER_SECONDS)
        self._wanted.clear()

    async def _deliver(self, client: httpx.AsyncClient) -> bool:
        """True when there may be more; raises when the audit does not take them."""
        rows = await self._unrelayed()
        silent = [row["seq"] for row in rows if row["kind"] in NOT_RELAYED]
        if silent:
            await self._mark(silent)
        pairs = [(row["seq"], event) for row in rows if (event := self._parse_receipt(row)) is not None]
        if pairs:
            await self._send(client, pairs)
        return len(rows) == BATCH

    async def _send(self, client: httpx.AsyncClient, pairs: list[Pair]) -> None:
        """In order; a batch that is refused for what one of its events says is halved until that one stands alone."""
        batch = AuditBatch(events=[event for _, event in pairs])
        answer = await _posted(client, batch)
        refusal = _refusal(answer)
        if refusal is not None and len(pairs) > 1:
            middle = len(pairs) // 2
            await self._send(client, pairs[:middle])
            await self._send(client, pairs[middle:])
        elif refusal is not None:
            self._skip(pairs[0][0], pairs[0][1].event_type, refusal)
        else:
            answer.raise_for_status()
            _check(AuditReceipt.model_validate_json(answer.content), batch)
            await self._mark([seq for seq, _ in pairs])

    def _parse_receipt(self, row: Any) -> AuditEvent | None:
        if row["kind"] in NOT_RELAYED:
            return None
        try:
            return audit_event(row, self._settings.service, self._place.database)
        except Exception as error:  # one row that nobody can read must not keep the others from the audit
            self._skip(row["seq"], row["kind"], type(error).__name__)
            return None

    def _skip(self, seq: int, kind: str, reason: str) -> None:
        """It stays unrelayed, and is counted as such, until the audit takes it: never skipped for good."""
        facts = {"service": self._settings.service, "journal_seq": seq, "kind": kind, "reason": reason}
        log.error("audit_refuses_an_event", extra=facts)
        self._aside[seq] = monotonic() + SKIP_SECONDS

    async def _mark(self, numbers: list[int]) -> None:
        records = await self._place.records()
        async with self._database.connection() as connection:
            await records.journal.mark_relayed(connection, numbers)
        for seq in numbers:
            self._aside.pop(seq, None)

    async def _unrelayed(self) -> list[Any]:
        records = await self._place.records()
        aside = [seq for seq, until in self._aside.items() if until > monotonic()]
        async with self._database.connection() as connection:
            return await records.journal.unrelayed(connection, BATCH, aside)

    def _address(self) -> str:
        return f"http://127.0.0.1:{self._settings.dapr_http_port}/v1.0/invoke/{self._settings.audit_app_id}/method"

    def _log_once(self, error: Exception) -> None:
        if not self._waiting_since_logged:
            log.warning("audit_not_reached", extra={"service": self._settings.service, "reason": type(error).__name__})
            self._waiting_since_logged = True


async def _posted(client: httpx.AsyncClient, batch: AuditBatch) -> httpx.Response:
    """Raises ValueError for an answer that does not end: a receipt is short."""
    import httpx

    content = bytearray()
    async with client.stream("POST", "/audit/events", content=batch.model_dump_json(), headers=HEADERS) as answer:
        async for chunk in answer.aiter_raw(CHUNK_BYTES):
            content += chunk
            if len(content) > ANSWER_BYTES:
                raise ValueError(f"the audit answered with more than {ANSWER_BYTES} bytes")
    return httpx.Response(answer.status_code, content=bytes(content), request=answer.request)


def _refusal(answer: httpx.Response) -> str | None:
    """Why the audit will not take this as it is; None where it did, or where it may take it later."""
    if answer.status_code not in (400, 413, 422):
        return None
    try:
        problem = answer.json()
        return str(problem["detail"]) if problem["code"] in PERMANENT_REFUSALS else None
    except (ValueError, KeyError, TypeError):
        return None  # not the audit's own answer


def _check(receipt: AuditReceipt, batch: AuditBatch) -> None:
    """Raises ValueError for a receipt that does not cover the batch; a conflict is on record in the audit itself."""
    if not receipt.covers(len(batch.events)):
        raise ValueError("the receipt does not cover every event that was sent")
    for event_id in receipt.conflicts:
        log.error("audit_conflict", extra={"event_id": str(event_id)})


def _token() -> dict[str, str]:
    token = os.environ.get("DAPR_API_TOKEN")
    return {"dapr-api-token": token} if token else {}

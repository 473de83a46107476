"""Sends the journal rows of a service to the audit: in order, at least once, and again after every failure."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from migration_sidecar.alembic_environment.target_database import TargetDatabase
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.audit import AuditBatch, AuditReceipt
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import AuditEvent
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.journal_events import NOT_RELAYED, audit_event

if TYPE_CHECKING:
    import httpx

    from signed_calls.signer import Signer

log = logging.getLogger(__name__)

Pair: TypeAlias = tuple[int, AuditEvent]

IDLE_SECONDS = 2.0  # the longest delay for rows of the command line
BATCH_DELAY_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
BATCH = 200
HEADERS = {"content-type": "application/json", "accept-encoding": "identity"}
ANSWER_BYTES = 1024 * 1024
CHUNK_BYTES = 64 * 1024
REFUSED_RETRY_SECONDS = 600.0
# By which the audit refuses an event for good; all other errors are temporary. CM-109: it is another service's.
PERMANENT_REFUSALS = {"CM-104", "CM-106", "CM-109", "CM-603"}
AUDIT_EVENTS = "/audit/events"


class JournalRelay:
    """One per service. Sending a row twice is harmless, because the audit recognises its event id."""

    def __init__(self, settings: Settings, target_database: TargetDatabase, database: DatabasePool) -> None:
        self._settings = settings
        self._target_database = target_database
        self._database = database
        self._signer: Signer | None = None
        self._wake_event = asyncio.Event()
        self._failure_logged = False
        self._retry_times: dict[int, float] = {}  # by `seq`: when to send a refused row again

    def wake(self) -> None:
        """Called when the journal may have new rows."""
        self._wake_event.set()

    async def run(self, signer: Signer | None = None) -> None:
        """Sends rows until it is cancelled. Its calls are signed if there is a `signer`."""
        self._signer = signer
        import httpx  # not at the top: the command line does not need it, and it loads slowly

        pause = IDLE_SECONDS
        async with httpx.AsyncClient(
            base_url=self._address(), timeout=10, headers=_auth_headers(), trust_env=False
        ) as client:
            while True:
                try:
                    more = await self._deliver(client)
                    pause, self._failure_logged = IDLE_SECONDS, False
                except (ProblemError, httpx.HTTPError) as error:
                    self._log_once(error)
                    more, pause = False, min(pause * 1.5, LONGEST_PAUSE_SECONDS)
                except Exception:
                    # The rows are stored. Ending here would leave them unsent until the next restart.
                    log.exception("relay_stumbled", extra={"service": self._settings.service})
                    more, pause = False, min(pause * 1.5, LONGEST_PAUSE_SECONDS)
                if not more:
                    await self._sleep(pause)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake_event.wait()
                # The next service of a run migrates now, so this one does not use the CPU at once.
                await asyncio.sleep(BATCH_DELAY_SECONDS)
        self._wake_event.clear()

    async def _deliver(self, client: httpx.AsyncClient) -> bool:
        """Sends one batch. Returns True if there may be more rows; raises if the audit did not accept the batch."""
        rows = await self._unrelayed()
        silent = [row["seq"] for row in rows if row["kind"] in NOT_RELAYED]
        if silent:
            await self._mark(silent)
        pairs = [(row["seq"], event) for row in rows if (event := self._to_event(row)) is not None]
        if pairs:
            await self._send(client, pairs)
        return len(rows) == BATCH

    async def _send(self, client: httpx.AsyncClient, pairs: list[Pair]) -> None:
        """Sends the events in order. A batch that is refused for its content is halved until one event is left."""
        batch = AuditBatch(events=[event for _, event in pairs])
        answer = await self._post(client, batch)
        refusal = _refusal(answer)
        if refusal is not None and len(pairs) > 1:
            middle = len(pairs) // 2
            await self._send(client, pairs[:middle])
            await self._send(client, pairs[middle:])
        elif refusal is not None:
            self._skip(pairs[0][0], pairs[0][1].event_type, refusal)
        else:
            answer.raise_for_status()
            _check_receipt(AuditReceipt.model_validate_json(answer.content), batch)
            await self._mark([seq for seq, _ in pairs])

    async def _post(self, client: httpx.AsyncClient, batch: AuditBatch) -> httpx.Response:
        """Sends one batch. Raises ValueError if the answer is longer than ANSWER_BYTES."""
        import httpx

        content, body = bytearray(), batch.model_dump_json().encode()
        async with client.stream(
            "POST", AUDIT_EVENTS, content=body, headers={**HEADERS, **self._signed(body)}
        ) as answer:
            async for chunk in answer.aiter_raw(CHUNK_BYTES):
                content += chunk
                if len(content) > ANSWER_BYTES:
                    raise ValueError(f"the audit answered with more than {ANSWER_BYTES} bytes")
        return httpx.Response(answer.status_code, content=bytes(content), request=answer.request)

    def _signed(self, body: bytes) -> dict[str, str]:
        if self._signer is None:
            return {}
        from signed_calls.signature import Call

        return self._signer.sign(Call("POST", AUDIT_EVENTS, self._settings.audit_app_id, body))

    def _to_event(self, row: Any) -> AuditEvent | None:
        if row["kind"] in NOT_RELAYED:
            return None
        try:
            return audit_event(row, self._settings.service, self._target_database.database)
        except Exception as error:  # an unreadable row must not stop the others
            self._skip(row["seq"], row["kind"], type(error).__name__)
            return None

    def _skip(self, seq: int, kind: str, reason: str) -> None:
        """Sends this row again after REFUSED_RETRY_SECONDS. Until the audit accepts it, it counts as not sent."""
        facts = {"service": self._settings.service, "journal_seq": seq, "kind": kind, "reason": reason}
        log.error("audit_refuses_an_event", extra=facts)
        self._retry_times[seq] = monotonic() + REFUSED_RETRY_SECONDS

    async def _mark(self, numbers: list[int]) -> None:
        records = await self._target_database.records()
        async with self._database.connection() as connection:
            await records.journal.mark_relayed(connection, numbers)
        for seq in numbers:
            self._retry_times.pop(seq, None)

    async def _unrelayed(self) -> list[Any]:
        await self._target_database.require_named()
        records = await self._target_database.records()
        aside = [seq for seq, until in self._retry_times.items() if until > monotonic()]
        async with self._database.connection() as connection:
            return await records.journal.unrelayed(connection, BATCH, aside)

    def _address(self) -> str:
        return f"http://127.0.0.1:{self._settings.dapr_http_port}/v1.0/invoke/{self._settings.audit_app_id}/method"

    def _log_once(self, error: Exception) -> None:
        if not self._failure_logged:
            facts = {"service": self._settings.service, "reason": type(error).__name__}
            status = getattr(getattr(error, "response", None), "status_code", None)
            log.warning("audit_not_reached", extra=facts | ({"status": status} if status else {}))
            self._failure_logged = True


def _refusal(answer: httpx.Response) -> str | None:
    """The reason if the audit will never accept this batch as it is; None if it accepted it or may accept it later."""
    if answer.status_code not in (400, 403, 413, 422):
        return None
    try:
        problem = answer.json()
        return str(problem["detail"]) if problem["code"] in PERMANENT_REFUSALS else None
    except (ValueError, KeyError, TypeError):
        return None  # not the audit's own answer


def _check_receipt(receipt: AuditReceipt, batch: AuditBatch) -> None:
    """Raises ValueError if the receipt does not cover the batch. The audit itself has recorded each conflict."""
    if not receipt.covers(len(batch.events)):
        raise ValueError("the receipt does not cover every event that was sent")
    for event_id in receipt.conflicts:
        log.error("audit_conflict", extra={"event_id": str(event_id)})


def _auth_headers() -> dict[str, str]:
    token = os.environ.get("DAPR_API_TOKEN")
    return {"dapr-api-token": token} if token else {}

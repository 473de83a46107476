"""Brings the service's journal to the fleet's audit: at least once, in order, and resumed after any outage."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from migration_sidecar.database import Database
from migration_sidecar.errors import ProblemError
from migration_sidecar.messages import AuditBatch, AuditEvent
from migration_sidecar.place import Place
from migration_sidecar.settings import Settings

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

IDLE_SECONDS = 2.0  # how late a migration made by hand may appear in the audit
GATHER_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
BATCH = 200
EVENT_TYPES = {
    "attempt": "attempt.started",
    "nontx_started": "revision.started",
    "applied": "revision.applied",
    "reverted": "revision.reverted",
    "stamped": "revision.stamped",
    "failed": "attempt.failed",
    "refused": "attempt.refused",
    "cancelled": "attempt.cancelled",
    "resolved": "attempt.resolved",
}
# A committed `started` says no more than the `applied` beside it; without one, attempt.failed tells (CM-402).
NOT_RELAYED = ("started",)


class Relay:
    """One per service; the audit recognises repeats by event id, so losing an answer is harmless."""

    def __init__(self, settings: Settings, place: Place, database: Database) -> None:
        self._settings = settings
        self._place = place
        self._database = database
        self._wanted = asyncio.Event()
        self._waiting_since_logged = False

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
                    more = await self._pass_on(client)
                    pause, self._waiting_since_logged = IDLE_SECONDS, False
                except (ProblemError, httpx.HTTPError) as error:
                    self._say_once(error)
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

    async def _pass_on(self, client: httpx.AsyncClient) -> bool:
        """True when there may be more; raises when the audit does not take them."""
        rows = await self._unrelayed()
        events = [
            audit_event(row, self._settings.service, self._place.database)
            for row in rows
            if row["kind"] not in NOT_RELAYED
        ]
        if events:
            answer = await client.post("/audit/events", content=AuditBatch(events=events).model_dump_json())
            answer.raise_for_status()
        if rows:
            records = await self._place.records()
            async with self._database.connection() as connection:
                await records.relayed(connection, [row["seq"] for row in rows])
        return len(rows) == BATCH

    async def _unrelayed(self) -> list[Any]:
        records = await self._place.records()
        async with self._database.connection() as connection:
            return await records.unrelayed(connection, BATCH)

    def _address(self) -> str:
        return f"http://127.0.0.1:{self._settings.dapr_http_port}/v1.0/invoke/{self._settings.audit_app_id}/method"

    def _say_once(self, error: Exception) -> None:
        if not self._waiting_since_logged:
            log.warning("audit_not_reached", extra={"service": self._settings.service, "reason": type(error).__name__})
            self._waiting_since_logged = True


def audit_event(row: Any, service: str, database: str) -> AuditEvent:
    """One journal row as the audit wants it; only fields that are known to hold no data of users are passed on.

    Services that share a journal relay each other's rows, so a row says itself whose it is: a repeat must be the same.
    """
    detail = json.loads(row["detail"])
    service = detail.get("service", service)
    problem = detail.get("problem", {})
    kind = row["kind"]
    revision = row["revision"] or problem.get("revision")
    facts = {**detail, **{key: problem[key] for key in ("sqlstate",) if problem.get(key)}}
    return AuditEvent(
        event_id=row["event_id"],
        event_type=EVENT_TYPES[kind],
        occurred_at=row["at"],
        source=f"{service}/journal",
        request_id=detail.get("request_id"),
        service=service,
        database=database,
        actor=detail.get("actor"),
        from_revision=",".join(detail.get("before", [])) or None,
        to_revision=",".join(detail.get("heads", [])) or None,
        outcome=problem.get("code") or kind,
        duration_ms=detail.get("duration_ms"),
        detail={
            "operation_id": row["operation_id"],
            "attempt": row["attempt"],
            **({"revision": revision} if revision else {}),
            **{key: facts[key] for key in ("way_in", "sha256", "error", "sqlstate") if facts.get(key)},
            **({"error": problem["detail"]} if problem else {}),
        },
    )


def _token() -> dict[str, str]:
    token = os.environ.get("DAPR_API_TOKEN")
    return {"dapr-api-token": token} if token else {}

"""One run on its way: drives the service to head over HTTP as its users do, and remembers what it was told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.campaign.corpus import CONCURRENT_INDEX, REVISIONS
from tests.campaign.ground import Database, patient
from tests.campaign.service import Service

ENDED = {"succeeded", "failed", "cancelled", "needs_attention"}
LONGEST_OPERATION_SECONDS = 90.0
MOST_OPERATIONS = 8


@dataclass(frozen=True)
class Ended:
    """What the endpoint said of one operation, and when; `version` is what SQL said right after."""

    operation_id: str
    began: float
    ended: float
    record: dict[str, Any]
    version: tuple[str, ...]

    @property
    def state(self) -> str:
        return str(self.record["state"])

    @property
    def code(self) -> str:
        return str((self.record.get("error") or {}).get("code", ""))

    @property
    def error(self) -> str:
        error = self.record.get("error") or {}
        return f"{self.code} {error['detail']} {error.get('server_message') or ''}".rstrip() if self.code else ""


@dataclass
class Course:
    """Sends operations until the database is at head; heals the service whenever it is found dead."""

    service: Service
    database: Database
    name: str
    operations: list[Ended] = field(default_factory=list)
    repeated: int = 0
    problems: list[str] = field(default_factory=list)
    between: Callable[[Ended], list[str]] = lambda _: []

    def to_head(self) -> None:
        for number in range(1, MOST_OPERATIONS + 1):
            ended = self._operation(f"{self.name}-{number}")
            if ended is None:
                return
            self.operations.append(ended)
            self.problems += self.between(ended)
            if ended.state == "succeeded":
                return
            if ended.state == "needs_attention":
                self.as_a_person_would()
        self.problems.append(f"not at head after {MOST_OPERATIONS} operations")

    def _operation(self, operation_id: str) -> Ended | None:
        began = time.time()
        body = {"operation_id": operation_id, "action": "upgrade", "target": "head", "requested_by": "campaign"}
        accepted = False
        while time.time() - began < LONGEST_OPERATION_SECONDS:
            try:
                if not accepted:
                    answer = self.service.ask("POST", "/migrations/operations", body)
                    accepted = answer.status_code == 202
                else:
                    answer = self.service.ask("GET", f"/migrations/operations/{operation_id}?wait_seconds=5")
            except httpx.HTTPError:
                self.repeated += 1
                self.service.heal()
                accepted = False  # repeating it is harmless, and says at once whether it is still known
                time.sleep(0.05)
                continue
            record = answer.json()
            if answer.status_code >= 500 or record.get("retryable"):
                time.sleep(0.1)
                continue
            if answer.status_code >= 400:
                self.problems.append(f"{operation_id}: refused with {record.get('code')}: {record.get('detail')}")
                return None
            if record["state"] in ENDED:
                return Ended(operation_id, began, time.time(), record, version(self.database))
        self.problems.append(f"{operation_id}: not ended after {LONGEST_OPERATION_SECONDS:.0f} s")
        return None

    def as_a_person_would(self) -> None:
        """Looks at what the unfinished revision left, and removes it, while nobody else migrates."""
        patient(self._drop_unfinished_index, "the person's look at the unfinished revision")

    def _drop_unfinished_index(self) -> None:
        with self.database.address.connect(self.database.name) as connection:
            # Without the lock it may be the index of somebody who has gone on with the revision. Polled, because a
            # blocking wait deadlocks with CREATE INDEX CONCURRENTLY.
            while connection.execute("SELECT pg_try_advisory_lock(19785, 285493415)").fetchone() != (True,):
                time.sleep(0.05)
            if "c3" not in reached(version(self.database)):
                connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {CONCURRENT_INDEX}")


def version(database: Database) -> tuple[str, ...]:
    if not database.rows("SELECT to_regclass('alembic_version') IS NOT NULL")[0][0]:
        return ()
    return tuple(name for (name,) in database.rows("SELECT version_num FROM alembic_version ORDER BY 1"))


def reached(found: tuple[str, ...]) -> tuple[str, ...]:
    """The revisions that a version stands for: itself and all below it."""
    if len(found) != 1 or found[0] not in REVISIONS:
        return ()
    return REVISIONS[: REVISIONS.index(found[0]) + 1]

"""A live audit that signs itself, the superuser who tampers with it, and both ways to find out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from audit_verifier.verify import Verdict, verify_file
from migration_sidecar.config.settings import read_settings
from migration_sidecar.contract.audit import Verification
from migration_sidecar.engine.engine import Engine
from services.cas_service.anchors.anchoring import Anchoring
from services.cas_service.anchors.settings import AnchoringSettings
from services.cas_service.evidence.export import begin_export
from services.cas_service.evidence.live_verification import verify
from tests.integration.databases import Database
from tests.integration.services.fleet import BY_FOLDER

# What a superuser can do and nobody else: the guards are off for him.
WITHOUT_GUARDS = """
ALTER TABLE audit_events DISABLE TRIGGER ALL;
ALTER TABLE audit_events DROP CONSTRAINT IF EXISTS uq_audit_events_prev_hash;
ALTER TABLE audit.anchors DISABLE TRIGGER ALL; ALTER TABLE audit.signing_keys DISABLE TRIGGER ALL;
"""

# Computes every hash anew from the stored values, as the store itself would have.
REWRITE = """
DO $$
DECLARE
    event audit_events;
    last text := repeat('0', 64);
BEGIN
    FOR event IN SELECT * FROM audit_events ORDER BY seq LOOP
        event.payload_hash := audit.payload_hash(event);
        event.prev_hash := last;
        event.hash := audit.event_hash(event);
        last := event.hash;
        UPDATE audit_events SET payload_hash = event.payload_hash, prev_hash = event.prev_hash, hash = event.hash
        WHERE seq = event.seq;
    END LOOP;
    UPDATE audit.chain_head SET hash = last, seq = (SELECT max(seq) FROM audit_events);
END
$$
"""


@dataclass
class Evidence:
    audit: Database
    engine: Engine
    settings: AnchoringSettings
    anchoring: Anchoring
    folder: Path

    def record(self, count: int) -> list[str]:
        """The ids of that many new events."""
        return [event_id for event_id, _, _ in self.send(self.events(count))]

    def events(self, count: int) -> list[dict[str, Any]]:
        return [_event() for _ in range(count)]

    def send(self, events: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
        """Of each event its id, its seq, and whether it was stored, repeated or a conflict."""
        with self.audit.connect() as connection:
            return connection.execute(
                "SELECT event_id::text, seq, result FROM audit.append_events(%s::jsonb)", [json.dumps(events)]
            ).fetchall()

    async def sign(self) -> None:
        assert await self.anchoring.attempt(), self.anchoring.standing_still

    async def sign_all(self) -> None:
        """As an orderly stop does: also what is not due yet."""
        await Anchoring(self.engine.database, self.settings).stop()

    def tamper(self, *statements: str) -> None:
        with self.audit.connect() as connection:
            connection.execute(WITHOUT_GUARDS)
            for statement in statements:
                connection.execute(statement)

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        with self.audit.connect() as connection:
            return connection.execute(question).fetchall()

    async def verify(self, limit: int = 4) -> Verification:
        """Piece after piece, as the command does; the first bad answer, or the last."""
        after: int | None = 0
        while after is not None:
            answer = await verify(self.engine.database, self.anchoring, after, limit)
            after = answer.next_after
        return answer

    async def export(self, first: int = 1, until: int | None = None) -> Path:
        export = await begin_export(self.engine.database, first, until)
        file = self.folder / f"export-{uuid4()}.jsonl"
        file.write_text("".join([line + "\n" async for line in export.lines()]))
        return file

    async def verify_export(self, first: int = 1, until: int | None = None) -> Verdict:
        return verify_file(str(await self.export(first, until)), str(self.keys_file), str(self.anchors_file))

    @property
    def keys_file(self) -> Path:
        [file] = self.folder.glob("anchors/audit-keys-*.json")
        return file

    @property
    def anchors_file(self) -> Path:
        [file] = self.folder.glob("anchors/anchors-*.jsonl")
        return file


@asynccontextmanager
async def evidence_of(audit: Database, folder: Path, every_events: int = 5) -> AsyncIterator[Evidence]:
    engine = Engine(read_settings(BY_FOLDER["cas_service"].path / "alembic.ini", {"DATABASE_URL": audit.url}))
    settings = AnchoringSettings(
        key_file=folder / "signing-key.pem", key_is_ours=True, folder=folder / "anchors", every_events=every_events
    )
    try:
        yield Evidence(audit, engine, settings, Anchoring(engine.database, settings), folder)
    finally:
        await engine.close()


def _event() -> dict[str, Any]:
    fresh = {"event_id": str(uuid4()), "event_type": "revision.applied", "occurred_at": "2026-01-02T03:04:05.123456Z"}
    return {**fresh, "source": "cds-task/journal", "actor": "release-bot", "detail": {"revision": "task_0002"}}

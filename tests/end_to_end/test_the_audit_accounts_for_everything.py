"""Whatever way a migration came, it is in the audit exactly once; and what is not as it was is named."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from psycopg.types.json import Jsonb

from tests.end_to_end.accounting import by_hand, reconciled
from tests.end_to_end.ground import TABLES, Ground

JOURNAL_ROWS = "SELECT count(*) FROM migration_sidecar.journal WHERE kind <> 'started'"
EVENTS = "SELECT count(*), count(DISTINCT event_id) FROM audit_events WHERE source LIKE '%%/journal'"
KINDS = "SELECT DISTINCT service, event_type, detail->>'way_in' FROM audit_events WHERE source LIKE '%%/journal'"
# Start-up has a fleet of its own, in test_start_up.
OF_EVERY_KIND = {
    ("cds-client", "revision.applied", "endpoint"),
    ("cds-interaction", "attempt.failed", "endpoint"),
    ("cds-client", "revision.reverted", "by hand"),
    ("cds-client", "revision.applied", "by hand"),
}
NEWEST_ROW = "SELECT event_id FROM migration_sidecar.journal WHERE kind = 'applied' ORDER BY seq DESC LIMIT 1"
REMOVE_ROW = "DELETE FROM migration_sidecar.journal WHERE event_id = %s"
REMOVE_EVENT = (
    "ALTER TABLE audit_events DISABLE TRIGGER ALL",
    "DELETE FROM audit_events WHERE event_id = %s",
    "ALTER TABLE audit_events ENABLE ALWAYS TRIGGER refuse_change",
    "ALTER TABLE audit_events ENABLE ALWAYS TRIGGER refuse_truncation",
)
APPEND = ("SET ROLE cas_ingest", "SELECT audit.append_events(%s)")
INSERT_RAW = """
INSERT INTO audit_events (seq, event_id, event_type, occurred_at, recorded_at, source, request_id, detail,
                          payload_hash, prev_hash, hash)
SELECT seq + 1, %s, 'migration.finished', now(), now(), 'migration-coordinator', 'nobody-asked', '{}',
       repeat('0', 64), hash, repeat('0', 64)
FROM audit_events ORDER BY seq DESC LIMIT 1
"""


def asked(ground: Ground, **body: Any) -> dict[str, Any]:
    request = f"asked-{uuid4()}"
    ground.publish({"request_id": request, "services": "all", **body})
    return ground.ended(request)


def test_migrations_by_every_way_in_are_in_the_audit_exactly_once(ground: Ground) -> None:
    file = ground.add_revision("interaction_service", "broken", 'op.execute("SELECT 1/0")')
    try:
        assert asked(ground)["state"] == "failed"
        file.write_text(file.read_text().replace("1/0", "1"))
        called = f"called-{uuid4()}"
        ground.ask("POST", "/migrations", json={"request_id": called, "services": "all"})
        assert ground.ended(called)["state"] == "succeeded"
        by_hand(ground, "cds-client", "downgrade", "client_0003")
        by_hand(ground, "cds-client", "upgrade")
        assert {step["state"] for step in asked(ground)["steps"]} == {"unchanged"}

        code, found = reconciled(ground)
        assert (code, found["gaps"]) == (0, [])
        assert found["runs"] == 3
        rows = sum(int(ground.query(database, JOURNAL_ROWS)[0][0]) for database in TABLES)
        assert ground.query("cas_audit", EVENTS) == [(rows, rows)]
        assert set(ground.query("cas_audit", KINDS)) > OF_EVERY_KIND
    finally:
        file.unlink()


def test_what_is_removed_or_forged_is_named(fresh_ground: Ground) -> None:
    """Each harm stays, so that every one of them is seen beside the others."""
    ground = fresh_ground
    assert asked(ground)["state"] == "succeeded"
    assert reconciled(ground)[0] == 0

    ((row,),) = ground.query("cds_task", NEWEST_ROW)
    done(ground, "cds_task", (REMOVE_ROW,), row)
    # The record of the run says that this revision was applied.
    harm = {("not_in_journal", str(row)), ("version_unexplained", None), ("not_in_any_journal", None)}
    assert named(ground) == harm

    ((event,),) = ground.query("cds_product", NEWEST_ROW)
    done(ground, "cas_audit", REMOVE_EVENT, event)
    harm |= {("not_in_audit", str(event)), ("not_verified", None)}
    assert named(ground) == harm

    appended = forged()
    done(ground, "cas_audit", APPEND, Jsonb([appended]))
    harm |= {("not_in_journal", appended["event_id"])}
    assert named(ground) == harm

    inserted = uuid4()
    done(ground, "cas_audit", (INSERT_RAW,), inserted)
    assert named(ground) == harm | {("no_run_record", str(inserted))}


def forged() -> dict[str, Any]:
    facts = {"event_id": str(uuid4()), "event_type": "revision.applied", "occurred_at": "2026-01-01T00:00:00Z"}
    return facts | {"source": "cds-task/journal", "service": "cds-task", "detail": {"revision": "task_0099"}}


def done(ground: Ground, database: str, statements: tuple[str, ...], value: Any) -> None:
    """As the superuser of the server, whom no trigger and no right holds back."""
    with ground.infrastructure.settings.postgres.connect(database) as connection:
        for statement in statements:
            connection.execute(statement, (value,) if "%s" in statement else None)


def named(ground: Ground) -> set[tuple[str, str | None]]:
    code, found = reconciled(ground, "--wait", "0")
    assert code == 1
    return {(gap["kind"], gap.get("event_id")) for gap in found["gaps"]}

"""A run whose fifth step takes long enough to be hit, and what must be true of it whatever was."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.end_to_end.ground import TABLES, Ground

SLEEPING = """SELECT 1 FROM pg_stat_activity
              WHERE datname = 'cds_product' AND query LIKE '%%pg_sleep%%' AND pid <> pg_backend_pid()"""


def started_slow_step(ground: Ground) -> str:
    request = f"crash-{uuid4()}"
    ground.publish({"request_id": request, "services": "all"})

    def sleeping(_: dict[str, Any]) -> bool:
        return bool(ground.query("postgres", SLEEPING))

    ground.run_when(request, sleeping)
    return request


def require_all_applied_once(ground: Ground, request: str) -> None:
    run = ground.ended(request, timeout_seconds=120)
    assert run["state"] == "succeeded", run
    assert {step["state"] for step in run["steps"]} == {"succeeded"}
    for database in TABLES:
        applied = ground.applied(database)
        assert applied
        assert len(applied) == len(set(applied))
    assert ground.revision("cds_product") == "slow"
    types = [each["event_type"] for each in ground.audit(request)]
    assert types.count("migration.finished") == 1
    assert types.count("migration.step_finished") == len(TABLES)

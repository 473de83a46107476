"""kill -9 in the middle of a run: the same run ends succeeded on its own, and no revision is applied twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.end_to_end.ground import COORDINATOR, TABLES, Ground, Killed

SLOW_SECONDS = 4


@pytest.fixture
def slow_product(ground: Ground) -> Iterator[Ground]:
    """The fifth service has one more revision, slow enough to be hit."""
    file = ground.add_revision("product_service", "slow", f'op.execute("SELECT pg_sleep({SLOW_SECONDS})")')
    yield ground
    file.unlink()


def started_slow_step(ground: Ground) -> str:
    request = f"crash-{uuid4()}"
    ground.publish({"request_id": request, "services": "all"})

    def sleeping(_: dict[str, Any]) -> bool:
        running = """SELECT 1 FROM pg_stat_activity
                     WHERE datname = 'cds_product' AND query LIKE '%%pg_sleep%%' AND pid <> pg_backend_pid()"""
        return bool(ground.query("postgres", running))

    ground.run_when(request, sleeping)
    return request


def assert_all_applied_once(ground: Ground, request: str) -> None:
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


def test_the_coordinator_is_killed_while_a_service_migrates(slow_product: Ground, log: Path) -> None:
    request = started_slow_step(slow_product)
    Killed.now(slow_product.application(COORDINATOR), log).again()
    assert_all_applied_once(slow_product, request)


def test_the_coordinators_daprd_is_killed_while_a_service_migrates(slow_product: Ground, log: Path) -> None:
    request = started_slow_step(slow_product)
    Killed.now(slow_product.daprd(COORDINATOR), log).again()
    assert_all_applied_once(slow_product, request)


def test_a_service_is_killed_during_its_step(slow_product: Ground, log: Path) -> None:
    request = started_slow_step(slow_product)
    Killed.now(slow_product.application("cds-product"), log).again()
    assert_all_applied_once(slow_product, request)
    attempts = slow_product.query(
        "cds_product", "SELECT kind FROM migration_sidecar.journal WHERE kind IN ('attempt', 'resolved') ORDER BY seq"
    )
    assert [kind for (kind,) in attempts] == ["attempt", "resolved", "attempt"]

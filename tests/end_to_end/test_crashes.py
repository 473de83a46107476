"""kill -9 in the middle of a run: the same run ends succeeded on its own, and no revision is applied twice."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.ground import COORDINATOR, Ground, Killed
from tests.end_to_end.slow_step import require_all_applied_once, started_slow_step


def test_the_coordinator_is_killed_while_a_service_migrates(slow_product: Ground, log: Path) -> None:
    request = started_slow_step(slow_product)
    Killed.now(slow_product.application(COORDINATOR), log).again()
    require_all_applied_once(slow_product, request)


def test_the_coordinators_daprd_is_killed_while_a_service_migrates(slow_product: Ground, log: Path) -> None:
    request = started_slow_step(slow_product)
    Killed.now(slow_product.daprd(COORDINATOR), log).again()
    require_all_applied_once(slow_product, request)


def test_a_service_is_killed_during_its_step(slow_product: Ground, log: Path) -> None:
    request = started_slow_step(slow_product)
    Killed.now(slow_product.application("cds-product"), log).again()
    require_all_applied_once(slow_product, request)
    attempts = slow_product.query(
        "cds_product", "SELECT kind FROM migration_sidecar.journal WHERE kind IN ('attempt', 'resolved') ORDER BY seq"
    )
    assert [kind for (kind,) in attempts] == ["attempt", "resolved", "attempt"]

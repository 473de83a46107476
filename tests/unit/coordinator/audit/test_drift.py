"""Drift is what a database holds, and not that nobody could tell what it holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from coordinator.audit.drift import DriftRecorder
from migration_sidecar.contract.messages import DatabaseState, Problem, ServiceStatus


class Spool:
    def __init__(self) -> None:
        self.recorded: list[Any] = []

    def is_known(self, event_id: UUID) -> bool:
        return False

    async def record_once(self, event: Any) -> bool:
        self.recorded.append(event)
        return True


def status(state: DatabaseState, code: str) -> ServiceStatus:
    error = Problem.of(code, "It is so.")
    return ServiceStatus(service="orders", database="orders", state=state, current_revisions=["a1"], error=error)


@pytest.mark.parametrize(
    ("state", "code", "drifted"),
    [
        (DatabaseState.FOREIGN, "CM-552", True),
        (DatabaseState.UNKNOWN, "CM-304", True),
        (DatabaseState.UNKNOWN, "CM-407", False),
        (DatabaseState.UNKNOWN, "CM-703", False),
        (DatabaseState.UNKNOWN, "CM-308", False),
        (DatabaseState.UNREACHABLE, "CM-513", False),
    ],
)
async def test_a_database_that_env_py_did_not_name_has_not_drifted(
    state: DatabaseState, code: str, drifted: bool
) -> None:
    spool: Any = Spool()
    recorder = DriftRecorder(spool, lambda: datetime.now(UTC))
    recorder.record(status(state, code))
    await recorder.wait_recorded()
    assert bool(spool.recorded) is drifted

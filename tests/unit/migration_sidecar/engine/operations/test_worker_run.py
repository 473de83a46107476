"""What is made of the word of a migration process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from typing import Any, cast

import pytest

from migration_sidecar.contract.messages import OperationRequest
from migration_sidecar.engine.operations import worker_run
from migration_sidecar.engine.operations.execution import OperationExecution
from migration_sidecar.engine.operations.session_end import UnclearEnd
from migration_sidecar.engine.operations.worker_run import WorkerRun
from migration_sidecar.forkserver.client import WorkerProcess
from migration_sidecar.protocol.origin import Origin
from tests.unit.migration_sidecar.accepted import RECORD

SESSION = {"event": "session", "pid": 7}
KILLED = {"event": "exited", "code": None, "signal": 9}


class Lingering:
    """Says what it has to say and then does not go away, until it is killed: then it says its last words."""

    def __init__(self, *said: dict[str, Any], last_words: tuple[dict[str, Any], ...]) -> None:
        self.said, self.last_words = said, last_words
        self.killed = asyncio.Event()

    async def send_orders(self, orders: dict[str, Any]) -> None:
        pass

    async def reports(self) -> AsyncGenerator[dict[str, Any], None]:
        for report in self.said:
            yield report
        await self.killed.wait()
        for report in self.last_words:
            yield report
        await asyncio.Event().wait()  # somebody else may keep the connection open

    async def kill(self) -> None:
        self.killed.set()


async def heard(
    *said: dict[str, Any], last_words: tuple[dict[str, Any], ...] = (KILLED,), deadline_seconds: int = 1
) -> WorkerRun:
    wanted = OperationRequest(
        operation_id="op-1", target="head", requested_by="test", deadline_seconds=deadline_seconds
    )
    execution = OperationExecution(wanted, RECORD, Origin.BY_HAND)
    talk = WorkerRun(execution)
    process = cast(WorkerProcess, Lingering(*said, last_words=last_words))
    with execution.executing(None, cast(Any, None)):
        execution.next_attempt()
        async with asyncio.timeout(10):
            await talk.run(nullcontext(process), cast(Any, {}))
    return talk


async def test_nobody_waits_for_a_process_to_be_taken_down_that_said_it_is_done() -> None:
    talk = await heard(SESSION, {"event": "done", "result": None}, deadline_seconds=60)
    assert talk.unclear_end is None
    assert talk.ending.problem is None


async def test_of_one_that_says_no_more_until_the_deadline_only_its_sessions_are_known() -> None:
    talk = await heard(SESSION)
    assert talk.session_may_live
    assert talk.unclear_end == UnclearEnd(1, frozenset({7}))


async def test_one_that_was_killed_before_it_had_a_session_wrote_nothing() -> None:
    talk = await heard()
    assert talk.ending.lost
    assert talk.wrote_nothing
    assert talk.unclear_end is None


async def test_a_session_that_it_reported_in_the_moment_of_its_end_is_known() -> None:
    talk = await heard(last_words=(SESSION, KILLED))
    assert talk.unclear_end == UnclearEnd(1, frozenset({7}))


async def test_of_one_whose_last_reports_cannot_be_read_nothing_is_concluded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_run, "LAST_REPORTS_SECONDS", 0.1)
    talk = await heard(last_words=())
    assert not talk.wrote_nothing
    assert talk.unclear_end == UnclearEnd(1, None)


async def test_one_that_was_never_there_wrote_nothing() -> None:
    talk = WorkerRun(OperationExecution(OperationRequest(operation_id="op-1", target="head"), RECORD, Origin.BY_HAND))
    assert talk.wrote_nothing
    assert talk.unclear_end is None

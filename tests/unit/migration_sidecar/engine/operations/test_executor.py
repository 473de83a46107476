"""What an operation ends as when its database cannot be asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from migration_sidecar.contract.errors import DatabaseUnreachable, LockBusy, ProblemError, WorkerUnavailable
from migration_sidecar.contract.messages import Operation, OperationRequest, OperationState
from migration_sidecar.database.operations_table import StoredOperation
from migration_sidecar.engine.operations.execution import OperationExecution
from migration_sidecar.engine.operations.executor import OperationExecutor
from migration_sidecar.protocol.origin import Origin
from tests.unit.migration_sidecar.accepted import RECORD

BUSY = LockBusy(None)  # somebody else holds the lock for longer than it is waited for
AWAY = DatabaseUnreachable("CM-513", "No session.")
CLOSED = DatabaseUnreachable("CM-501", "The password was refused.")
NO_FILES = WorkerUnavailable("No process could be started")


class Unread:
    """A database of which nothing can be read."""

    def __init__(self, problem: ProblemError) -> None:
        self.problem = problem

    async def read(self, *_: Any, **__: Any) -> None:
        raise self.problem


async def ended(problem: ProblemError, attempts: int) -> Operation:
    place, settings = SimpleNamespace(mask_problem=lambda problem: problem), SimpleNamespace(service="orders")
    executor = OperationExecutor(*cast(Any, (settings, place, None, None, None, Unread(problem))))
    execution = OperationExecution(OperationRequest(operation_id="op-1", target="head"), RECORD, Origin.ENDPOINT)
    with execution.executing(StoredOperation(RECORD, attempts=attempts), cast(Any, None)):
        return await executor.execute(execution)


@pytest.mark.parametrize("problem", [BUSY, CLOSED, NO_FILES], ids=lambda each: each.problem.code)
@pytest.mark.parametrize(("attempts", "state"), [(0, OperationState.FAILED), (1, OperationState.NEEDS_ATTENTION)])
async def test_what_a_former_process_attempted_is_not_called_failed_before_it_was_read_back(
    attempts: int, state: OperationState, problem: ProblemError
) -> None:
    assert (await ended(problem, attempts)).state is state


async def test_a_server_that_is_away_ends_no_operation_that_had_begun() -> None:
    """That we waited says nothing about the database; whoever asks later reads what the attempt did."""
    with pytest.raises(DatabaseUnreachable):
        await ended(AWAY, 1)
    assert (await ended(AWAY, 0)).state is OperationState.FAILED

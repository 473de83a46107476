"""What an operation ends as when its database cannot be asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from migration_sidecar.contract.errors import LockBusy
from migration_sidecar.contract.messages import OperationRequest, OperationState
from migration_sidecar.database.operations_table import StoredOperation
from migration_sidecar.engine.operations.execution import OperationExecution
from migration_sidecar.engine.operations.executor import OperationExecutor
from migration_sidecar.protocol.origin import Origin
from tests.unit.migration_sidecar.accepted import RECORD


class Unread:
    """A database in which somebody else holds the lock for longer than it is waited for."""

    async def read(self, *_: Any, **__: Any) -> None:
        raise LockBusy(None)


@pytest.mark.parametrize(("attempts", "state"), [(0, OperationState.FAILED), (1, OperationState.NEEDS_ATTENTION)])
async def test_what_a_former_process_attempted_is_not_called_failed_before_it_was_read_back(
    attempts: int, state: OperationState
) -> None:
    place, settings = SimpleNamespace(mask_problem=lambda problem: problem), SimpleNamespace(service="orders")
    executor = OperationExecutor(*cast(Any, (settings, place, None, None, None, Unread())))
    execution = OperationExecution(OperationRequest(operation_id="op-1", target="head"), RECORD, Origin.ENDPOINT)
    with execution.executing(StoredOperation(RECORD, attempts=attempts), cast(Any, None)):
        assert (await executor.execute(execution)).state is state

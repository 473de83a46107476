"""What one operation knows of itself: what holds for a moment only, what may be done, what others did before."""

from __future__ import annotations

from time import monotonic
from typing import Any, cast

import pytest

from migration_sidecar.alembic_environment.agreed_revisions import AgreedPlan
from migration_sidecar.contract.messages import Action, OperationRequest
from migration_sidecar.database.operations_table import StoredOperation
from migration_sidecar.engine.operations.execution import FRESH_SECONDS, OperationExecution
from migration_sidecar.engine.operations.verdict import ReadBack
from tests.unit.migration_sidecar.accepted import RECORD
from tests.unit.migration_sidecar.alembic_environment.test_agreed_revisions import LINE
from tests.unit.migration_sidecar.alembic_environment.test_history import history

FOUND = ReadBack(revisions=[], rows=[], moved=[], recorded=set(), left=1, obstacles=[], invalid_indexes=[])


def begun(stored: StoredOperation | None, *, accepted_seconds_ago: float = 0.0) -> OperationExecution:
    request = OperationRequest(operation_id="op-1", target="head", deadline_seconds=60)
    execution = OperationExecution(request, RECORD, "endpoint", FOUND, created_at=monotonic() - accepted_seconds_ago)
    with execution.executing(stored, cast(Any, None)):
        return execution


def test_an_operation_that_begins_at_once_goes_by_what_was_just_read() -> None:
    assert begun(StoredOperation(RECORD)).planned is FOUND


def test_one_that_another_replica_attempted_meanwhile_reads_again() -> None:
    assert begun(StoredOperation(RECORD, attempts=1)).planned is None
    assert begun(None).planned is None


def test_one_that_waited_for_its_turn_reads_again() -> None:
    assert begun(StoredOperation(RECORD), accepted_seconds_ago=FRESH_SECONDS).planned is None


def test_attempts_and_time_that_another_process_spent_count() -> None:
    execution = begun(StoredOperation(RECORD, attempts=2, began_seconds_ago=50.0))
    assert execution.seconds_left <= 10
    assert execution.next_attempt().number == 3
    assert execution.record.attempts == 3


def agreed_to(**facts: object) -> OperationExecution:
    request = OperationRequest(operation_id="op", target="a1", **facts)  # type: ignore[arg-type]
    rows, target = (["a1"], "head") if request.action is Action.UPGRADE else (["a3"], "a1")
    return OperationExecution(
        request, RECORD, "endpoint", agreed=AgreedPlan.by(history(LINE), request.action, rows, target)
    )


@pytest.mark.parametrize(
    ("facts", "limits"),
    [
        ({}, None),
        ({"expected_revisions": ["a1"]}, {"a2": None, "a3": None}),
        ({"plan_digest": "0" * 64}, {"a2": "sha of a2", "a3": "sha of a3"}),
        ({"action": "downgrade"}, {"a3": None, "a2": None}),
    ],
)
def test_what_a_caller_said_is_what_may_be_done(facts: dict[str, object], limits: dict[str, str | None] | None) -> None:
    execution = agreed_to(**facts)
    assert execution.agreed is not None
    named = [each.model_copy(update={"sha256": f"sha of {each.id}"}) for each in execution.agreed.revisions]
    execution.agreed = execution.agreed.model_copy(update={"revisions": named})
    assert execution.limits == limits
    execution.is_limited = False
    assert execution.limits is None


def test_only_who_agreed_to_a_plan_is_held_to_the_text_of_its_files() -> None:
    for facts, is_held in (({"plan_digest": "0" * 64}, True), ({}, False)):
        execution = agreed_to(**facts)
        assert execution.changed_files(history(LINE)) is None
        assert execution.agreed is not None
        other = [each.model_copy(update={"sha256": "another"}) for each in execution.agreed.revisions]
        execution.agreed = execution.agreed.model_copy(update={"revisions": other})
        assert (execution.changed_files(history(LINE)) is not None) is is_held

"""Where a database stands, and what an agreement is bound to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from migration_sidecar.contract.messages import (
    Action,
    DatabaseState,
    LockHolder,
    Operation,
    OperationRequest,
    OperationState,
)
from migration_sidecar.database.facts import DatabaseFacts
from migration_sidecar.engine.planning.database_state import classify, is_settled
from migration_sidecar.engine.planning.reader import digest
from migration_sidecar.protocol.attempt import session_name
from migration_sidecar.protocol.first_upgrade.relations import Relation
from tests.unit.migration_sidecar.alembic_environment.test_history import BRANCHES, LINE, history

NOTHING: dict[str, Any] = {
    "revisions": (),
    "has_version_table": False,
    "has_journal": False,
    "is_ours": False,
    "read_only": False,
    "missing_grant": None,
    "pooled": False,
    "lock_holder": None,
}
ORDERS = Relation("public", "orders", on_path=True, has_neighbour=False, is_filled=False, columns=())
HOLDER = LockHolder(pid=1, application="x", since=datetime.now(UTC))


def facts(**known: Any) -> DatabaseFacts:
    return DatabaseFacts(**{**NOTHING, **known})


@pytest.mark.parametrize(
    ("known", "state"),
    [
        ({}, DatabaseState.EMPTY),
        ({"has_version_table": True}, DatabaseState.EMPTY),
        ({"relations": (ORDERS,)}, DatabaseState.UNMANAGED),
        ({"relations": (ORDERS,), "has_version_table": True}, DatabaseState.UNMANAGED),
        ({"relations": (ORDERS,), "beside_other_tables": True}, DatabaseState.EMPTY),
        ({"revisions": ("a1",)}, DatabaseState.BEHIND),
        ({"revisions": ("a3",)}, DatabaseState.AT_HEAD),
        ({"revisions": ("z9",), "has_journal": True, "is_ours": True}, DatabaseState.AHEAD),
        ({"revisions": ("z9",), "has_journal": True}, DatabaseState.FOREIGN),
        ({"revisions": ("z9",)}, DatabaseState.FOREIGN),
        ({"revisions": ("a3", "z9"), "is_ours": True}, DatabaseState.AHEAD),
        ({"lock_holder": HOLDER}, DatabaseState.MIGRATING),
        ({"lock_holder": HOLDER, "revisions": ("a3",)}, DatabaseState.MIGRATING),
    ],
)
def test_a_database_stands_where_its_facts_say(known: dict[str, Any], state: DatabaseState) -> None:
    assert classify(facts(**known), history(LINE)) is state


@pytest.mark.parametrize(
    ("known", "state"),
    [
        ({}, DatabaseState.EMPTY),
        ({"relations": (ORDERS,)}, DatabaseState.UNMANAGED),
        ({"revisions": ("a1",)}, DatabaseState.UNKNOWN),
        ({"revisions": ("a1",), "has_journal": True, "is_ours": True}, DatabaseState.UNKNOWN),
        ({"has_version_table": True, "has_version_column": False}, DatabaseState.FOREIGN),
        ({"lock_holder": HOLDER, "revisions": ("a1",)}, DatabaseState.MIGRATING),
    ],
)
def test_without_a_history_only_what_sql_tells_is_told(known: dict[str, Any], state: DatabaseState) -> None:
    assert classify(facts(**known), None) is state


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        (("b1",), DatabaseState.BEHIND),
        (("c2",), DatabaseState.BEHIND),
        (("b1", "c1"), DatabaseState.BEHIND),
        (("b1", "c2"), DatabaseState.AT_HEAD),
    ],
)
def test_a_database_with_two_branches_is_at_head_when_both_are(rows: tuple[str, ...], state: DatabaseState) -> None:
    assert classify(facts(revisions=rows), history(BRANCHES)) is state


AGREED = ("orders", Action.UPGRADE, ["a1"], ["a3"], ["x", "y"])


def test_a_digest_is_the_same_everywhere_and_for_ever() -> None:
    """Frozen: an approval that was given before a release must hold after it."""
    assert digest(*AGREED) == "2f276b9f2fba083fc86f02652139c4580e5924a7c18289f8844acd0988f2fc18"


@pytest.mark.parametrize(
    "other",
    [
        ("other", *AGREED[1:]),
        ("orders", Action.DOWNGRADE, *AGREED[2:]),
        ("orders", Action.UPGRADE, [], *AGREED[3:]),
        (*AGREED[:3], ["a2"], AGREED[4]),
        (*AGREED[:4], ["y", "x"]),
        (*AGREED[:4], ["x"]),
        (*AGREED[:4], ["xy"]),
    ],
)
def test_a_digest_changes_with_anything_that_was_agreed_to(other: tuple[Any, ...]) -> None:
    assert digest(*other) != digest(*AGREED)


def test_the_order_of_version_rows_changes_no_digest() -> None:
    assert digest("s", Action.UPGRADE, ["b", "a"], ["d", "c"], []) == digest(
        "s", Action.UPGRADE, ["a", "b"], ["c", "d"], []
    )


def test_a_body_has_one_digest_however_it_was_spelt() -> None:
    short = OperationRequest.model_validate_json('{"target": "head", "operation_id": "x"}')
    long = OperationRequest.model_validate_json(
        '{"operation_id": "x", "action": "upgrade", "target": "head", "deadline_seconds": 3600, "plan_digest": null}'
    )
    assert short.digest == long.digest
    assert short.digest != short.model_copy(update={"target": "heads"}).digest
    assert short.digest != short.model_copy(update={"beside_other_tables": True}).digest


LONG_ID = "release-41." + "x" * 80


@pytest.mark.parametrize(
    ("state", "application", "holds"),
    [
        (OperationState.SUCCEEDED, session_name(LONG_ID), False),
        (OperationState.SUCCEEDED, session_name("another"), True),
        (OperationState.RUNNING, session_name(LONG_ID), True),
        (OperationState.NEEDS_ATTENTION, session_name(LONG_ID), True),
    ],
)
def test_the_session_of_an_operation_that_has_succeeded_is_only_just_ending(
    state: OperationState, application: str, holds: bool
) -> None:
    last = Operation(
        operation_id=LONG_ID,
        service="orders",
        database="orders",
        action=Action.UPGRADE,
        target="head",
        state=state,
        accepted_at=datetime.now(UTC),
    )
    seen = is_settled(facts(lock_holder=LockHolder(pid=1, application=application)), last)
    assert (seen.lock_holder is not None) is holds

"""The check of the protocol's messages finds what differs from their declaration."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from migration_sidecar.adoption.stamp import AdoptionProof
from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.catalog.snapshot import Exclusions
from migration_sidecar.protocol.jobs import StampProof
from migration_sidecar.protocol.orders import MigrationOrders, OrdersMessage
from migration_sidecar.protocol.reports import Report
from tests.protocol_messages import check

PROBLEM = {"code": "CM-401", "detail": "It did.", "next_step": "Mend it."}
ATTEMPT = Attempt("op-1", 2, "test", "endpoint", facts={"service": "orders"})
ORDERS: OrdersMessage = {
    "attempt": ATTEMPT.message(),
    "lock_wait_seconds": 5.0,
    "guards": {"lock_timeout": "2s"},
    "journal_table": "ops.migrations",
    "same_database": True,
    "default_schema": "tenant",
    "reads_schema": True,
    "transaction_per_revision": True,
    "agreed": {"a1": None},
    "goals": ["a1"],
    "beside": None,
}


@pytest.mark.parametrize(
    "report",
    [
        {"event": "session", "pid": 7},
        {"event": "waiting", "sentence": None},
        {"event": "failed", "problem": {**PROBLEM, "revision": None}},
        {"event": "done", "result": {"a1": {"sql": "SELECT 1", "reason": None}}},
    ],
)
def test_a_declared_report_passes(report: dict[str, Any]) -> None:
    check(report, Report)


@pytest.mark.parametrize(
    "report",
    [
        {"event": "sesion", "pid": 7},
        {"event": "session"},
        {"event": "session", "pid": "7"},
        {"event": "session", "pid": 7, "role": "x"},
        {"event": "failed", "problem": {**PROBLEM, "colour": "red"}},
        {"event": "failed", "problem": {"code": "CM-401"}},
        {"event": "done", "result": 7},
    ],
)
def test_a_report_that_is_not_declared_so_is_found(report: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        check(report, Report)


def test_orders_arrive_as_they_were_sent() -> None:
    check(ORDERS, OrdersMessage)
    orders = MigrationOrders.read(ORDERS)
    assert orders.attempt == ATTEMPT
    assert (orders.reads_schema, orders.transaction_per_revision) == (True, True)
    assert (orders.tables.journal, orders.goals, orders.agreed) == ('"ops"."migrations"', ("a1",), {"a1": None})


def test_what_is_left_out_of_a_comparison_arrives_as_it_was_sent() -> None:
    left_out = Exclusions(("migration_sidecar",), (("", "alembic_version"),))
    message = AdoptionProof(["a1"], "0" * 64, 3, left_out, "a scratch schema").message()
    check(message, StampProof)
    assert Exclusions.read(message["left_out"]) == left_out

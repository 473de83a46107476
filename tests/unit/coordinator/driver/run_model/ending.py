"""Once everything is whole again and people do what they are asked to, every run ends, and the audit has all of it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from tests.unit.coordinator.driver.run_model.fleet_under_test import FleetUnderTest

MOST_ROUNDS = 40


def end_of_all(fleet: FleetUnderTest) -> None:
    """Heals what is broken, resumes and approves what is held, and looks at what is left."""
    _heal(fleet)
    for _ in range(MOST_ROUNDS):
        if not fleet.loop.run_until_complete(_open(fleet)):
            break
        for request_id in fleet.witness.records:
            answer(fleet, request_id, f"end-{fleet.witness.records[request_id]['version']}")
            fleet.drive(request_id, 3)
        fleet.recover()
        fleet.world.clock.at += timedelta(minutes=10)
    _look_at_what_is_left(fleet)


def _heal(fleet: FleetUnderTest) -> None:
    fleet.begin_life()
    world = fleet.world
    world.audit.down = world.topic.down = world.documents.down = False
    for service in fleet.services.values():
        service.down, service.fails_with, service.questions = False, None, 1


def answer(fleet: FleetUnderTest, request_id: str, command_id: str, *, again: bool = False) -> None:
    """Does what the run waits for; with `again`, one that has failed is retried."""
    run = fleet.witness.records[request_id]
    if run["state"] == "paused":
        fleet.command(request_id, "resume", "bob", command_id)
    if run["state"] == "awaiting_approval":
        somebody_else = "bob" if run["caller"] == "ann" else "ann"
        fleet.command(request_id, "approve", somebody_else, command_id, plan_digest=run["plan_digest"])
    if run["state"] in ("failed", "needs_attention") and again:
        fleet.command(request_id, "retry", "bob", command_id)


async def _open(fleet: FleetUnderTest) -> list[str]:
    return [entry.request_id for entry in (await fleet.life.runs.index()).open]


def _look_at_what_is_left(fleet: FleetUnderTest) -> None:
    left = fleet.loop.run_until_complete(_open(fleet))
    unsettled = [
        (run["request_id"], run["state"], run["waiting_for"])
        for run in fleet.witness.records.values()
        if run["finished_at"] is None or run["outbox"]
    ]
    if left or unsettled:
        fleet.violations.append(f"after {MOST_ROUNDS} rounds {left} are open, and {unsettled} are not settled")
    if fleet.world.audit.conflicts:
        fleet.violations.append(f"the audit has conflicts about {fleet.world.audit.conflicts}")
    for request_id in fleet.witness.records:
        told, expected = Counter(fleet.world.audit.told(request_id)), fleet.witness.ledger.expected[request_id]
        if told != expected:
            fleet.violations.append(f"{request_id}: the audit has {told - expected}, and not {expected - told}")

"""The record of a run against the audit's events of it, as the coordinator really writes both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coordinator.domain.run import Run
from coordinator.report.consistency import disagreements
from coordinator.report.inputs import ReportedEvent
from tests.unit.coordinator.conftest import world as world
from tests.unit.coordinator.domain.test_run import FAILURE, carried_out
from tests.unit.coordinator.fakes import World

Events = list[dict[str, Any]]


def audited(world: World, run: Run) -> Events:
    """With what the journals of the services would have told of the revisions."""
    plain = {"recorded_at": "2026-01-01T00:00:00Z"}
    events = [{**event.model_dump(mode="json"), **plain} for event in world.audit.events.values()]
    for step in run.steps:
        for one in step.applied:
            detail = {"revision": one.revision, "sha256": one.sha256}
            events.append({"event_type": "revision.applied", "service": step.service, "detail": detail, **plain})
    return [{**event, "seq": seq} for seq, event in enumerate(events, 1)]


def found(run: Run, events: Events) -> list[str] | None:
    return disagreements(run.public(), [ReportedEvent.model_validate(event) for event in events])


def without(events: Events, event_type: str, service: str | None = None) -> Events:
    return [each for each in events if (each["event_type"], each["service"]) != (event_type, service)]


def changed(events: Events, event_type: str, service: str | None = None, **facts: Any) -> Events:
    return [
        {**each, **facts} if (each["event_type"], each["service"]) == (event_type, service) else each for each in events
    ]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_record_and_audit_of_a_run_agree(world: World, fails: bool, dry_run: bool) -> None:
    world.fleet.services["first"].fails_with = FAILURE if fails else None
    run = await carried_out(world, dry_run=dry_run)
    assert found(run, audited(world, run)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda events: without(events, "migration.finished"), "migration.finished was recorded, and the audit does"),
        (lambda events: changed(events, "migration.finished", outcome="failed"), "what differs: outcome."),
        (lambda events: without(events, "migration.step_finished", "first"), "migration.step_finished of first was"),
        (lambda events: changed(events, "migration.step_finished", "first", outcome="failed"), "differs: outcome."),
        (lambda events: changed(events, "migration.step_finished", "first", to_revision="r9"), "differs: to_revision."),
        (lambda events: changed(events, "migration.finished", source=""), "is not of the form that the audit takes."),
        (
            lambda events: without(events, "revision.applied", "first"),
            "first: the audit has no event from the journal for the revision r1.",
        ),
        (
            lambda events: changed(events, "revision.applied", "first", detail={"revision": "r1", "sha256": "e" * 64}),
            "first: the file of r1 has another SHA-256 in the audit.",
        ),
    ],
    ids=[
        "no end", "another end", "no end of a step", "another end of a step", "another revision", "no event",
        "a revision is missing", "another file",
    ],
)  # fmt: skip
async def test_what_the_audit_says_otherwise_is_named(
    world: World, change: Callable[[Events], Events], said: str
) -> None:
    run = await carried_out(world)
    assert said in " ".join(found(run, change(audited(world, run))) or [])


async def test_what_the_coordinator_still_owes_is_said_instead_of_a_loss(world: World) -> None:
    run = await carried_out(world)
    events = without(audited(world, run), "migration.finished")
    owing = {**run.public(), "audit": "pending"}
    (said,) = disagreements(owing, [ReportedEvent.model_validate(event) for event in events]) or []
    assert "events of this run that the audit has not taken in yet" in said


async def test_a_record_of_another_release_is_not_compared(world: World) -> None:
    run = await carried_out(world)
    assert disagreements({**run.public(), "state": "unheard of"}, []) is None

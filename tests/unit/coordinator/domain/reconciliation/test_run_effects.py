"""A run that says it applied something, held against the journals: one that never was has nothing there."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.domain.reconciliation.declarations import Declarations, Former
from coordinator.domain.reconciliation.discrepancy import Kind
from coordinator.domain.reconciliation.reconciliation import Reconciliation
from coordinator.domain.run import Run
from coordinator.domain.step import StepState
from migration_sidecar.contract.journal import JournalEntry, JournalPage
from migration_sidecar.contract.messages import Action, AppliedRevision
from tests.unit.coordinator.domain.reconciliation.test_run_matching import recorded, some_run
from tests.unit.coordinator.fakes import START, World


def journal_of(run: Run, service: str) -> list[JournalEntry]:
    step = run.step(service)
    facts: dict[str, Any] = {"history": "alembic_version", "attempt": 1, "relayed": True, "seconds_ago": 99}
    facts |= {"operation_id": step.operation_id or "", "is_sent": False}
    rows = [
        JournalEntry(seq=seq, kind="applied", revision=one.revision, heads=[one.revision], before=[], **facts)
        for seq, one in enumerate(step.applied, 2)
    ]
    return [JournalEntry(seq=1, kind="attempt", **facts), *rows]


def compared(
    run: Run, world: World, journals: dict[str, list[JournalEntry]], declared: Declarations | None = None
) -> Reconciliation:
    found = Reconciliation(frozenset({"first", "second"}), declared=declared or Declarations())
    for service, entries in journals.items():
        found.journal_matcher.begin(service)
        found.journal_matcher.add_entry(
            JournalPage(service=service, database=f"{service}_db", entries=entries, positions=[])
        )
    found.add_run(run, owed=False)
    for event in recorded(world):
        found.add_audit_event(event)
    return found


def unconfirmed(found: Reconciliation) -> list[tuple[str | None, str | None]]:
    return [(gap.request_id, gap.service) for gap in found.gaps() if gap.kind is Kind.NOT_IN_ANY_JOURNAL]


@pytest.fixture
async def run(world: World) -> Run:
    run = await some_run(world, "succeeded")
    assert run.step("first").applied
    return run


async def test_what_a_run_applied_is_confirmed_by_the_journals(run: Run, world: World) -> None:
    journals = {service: journal_of(run, service) for service in ("first", "second")}
    assert unconfirmed(compared(run, world, journals)) == []


async def test_a_run_that_never_was_is_named_though_record_and_audit_agree(run: Run, world: World) -> None:
    found = compared(run, world, {"first": [], "second": journal_of(run, "second")})
    assert unconfirmed(found) == [("r-1", "first")]
    assert (
        "the record was forged, or journal rows were removed"
        in next(iter(found.run_effects.gaps({"first": set()}))).sentence
    )


async def test_rows_of_another_operation_confirm_nothing(run: Run, world: World) -> None:
    others = [entry.model_copy(update={"operation_id": "by-hand"}) for entry in journal_of(run, "first")]
    assert unconfirmed(compared(run, world, {"first": others})) == [("r-1", "first")]


async def test_a_revision_that_was_reverted_was_not_applied(run: Run, world: World) -> None:
    reverted = [entry.model_copy(update={"kind": "reverted"}) for entry in journal_of(run, "first")]
    assert unconfirmed(compared(run, world, {"first": reverted})) == [("r-1", "first")]


async def test_success_without_any_revision_is_named(run: Run, world: World) -> None:
    empty = run.model_copy(update={"steps": [step.model_copy(update={"applied": []}) for step in run.steps]})
    found = compared(empty, world, {"first": journal_of(run, "first")})
    assert unconfirmed(found) == [("r-1", "first")]


async def test_a_failed_step_is_held_to_what_it_says_was_applied(run: Run, world: World) -> None:
    one = AppliedRevision(revision="r9", action=Action.UPGRADE, at=START, duration_ms=1)
    failed = run.step("first").model_copy(update={"state": StepState.FAILED, "applied": [one]})
    forged = run.model_copy(update={"steps": [failed]})
    assert unconfirmed(compared(forged, world, {"first": journal_of(run, "first")})) == [("r-1", "first")]


async def test_a_journal_that_was_not_read_proves_nothing(run: Run, world: World) -> None:
    assert unconfirmed(compared(run, world, {})) == []


async def test_a_service_is_looked_for_under_its_present_name(run: Run, world: World) -> None:
    declared = Declarations(former={"today": Former(frozenset({"first"}))})
    assert unconfirmed(compared(run, world, {"today": journal_of(run, "first")}, declared)) == []
    assert unconfirmed(compared(run, world, {"today": []}, declared)) == [("r-1", "today")]


async def test_the_journal_of_a_step_that_ended_since_is_read_again_and_only_once(run: Run, world: World) -> None:
    found = compared(run, world, {"first": [], "second": journal_of(run, "second")})
    assert "first" in found.journals_to_look_for()
    assert "first" not in found.journals_to_look_for()
    found.journal_matcher.begin("first")
    found.journal_matcher.add_entry(
        JournalPage(service="first", database="first_db", entries=journal_of(run, "first"), positions=[])
    )
    assert unconfirmed(found) == []


def forged(operation_id: str, first_seq: int = 90) -> list[JournalEntry]:
    """T-n: a revision reverted and applied again in the name of whoever the service's own login likes."""
    facts: dict[str, Any] = {"history": "alembic_version", "attempt": 1, "relayed": True, "seconds_ago": 99}
    moves = [("attempt", None, None, None), ("reverted", "r2", ["r2"], ["r1"]), ("applied", "r2", ["r1"], ["r2"])]
    return [
        JournalEntry(
            seq=seq, kind=kind, revision=revision, before=before, heads=heads, operation_id=operation_id, **facts
        )
        for seq, (kind, revision, before, heads) in enumerate(moves, first_seq)
    ]


def unknown_to_runs(found: Reconciliation) -> list[tuple[str | None, str | None]]:
    return [(gap.request_id, gap.service) for gap in found.gaps() if gap.kind is Kind.NOT_IN_RUN_RECORD]


async def test_what_only_the_service_itself_tells_is_no_gap_and_is_counted(run: Run, world: World) -> None:
    """The limit: its own journal is the only witness. What a person did by hand looks the same."""
    journals = {service: journal_of(run, service) for service in ("first", "second")}
    assert compared(run, world, journals).known_by_journal_alone == {}
    found = compared(run, world, journals | {"first": journals["first"] + forged("ceo-at-bank")})
    assert (unknown_to_runs(found), found.known_by_journal_alone) == ([], {"first": 2})


async def test_rows_that_are_forged_into_an_operation_of_a_run_are_named(run: Run, world: World) -> None:
    operation_id = run.step("first").operation_id or ""
    journals = {service: journal_of(run, service) for service in ("first", "second")}
    assert unknown_to_runs(compared(run, world, journals)) == []
    found = compared(run, world, journals | {"first": journals["first"] + forged(operation_id)})
    assert unknown_to_runs(found) == [("r-1", "first")]
    # Nor in the journal of another service.
    found = compared(run, world, journals | {"second": journals["second"] + forged(operation_id)})
    assert {service for _, service in unknown_to_runs(found)} == {"second"}


async def test_of_an_operation_that_went_otherwise_the_record_may_not_have_everything(run: Run, world: World) -> None:
    """The coordinator may have heard last of it before it was over; its rows are of the run all the same."""
    step = run.step("first").model_copy(update={"state": StepState.NEEDS_ATTENTION, "applied": []})
    stopped = run.model_copy(update={"steps": [step]})
    found = compared(stopped, world, {"first": journal_of(run, "first")})
    assert (unknown_to_runs(found), found.known_by_journal_alone) == ([], {})


async def test_services_that_share_a_journal_vouch_for_each_others_operations(run: Run, world: World) -> None:
    both = journal_of(run, "first") + journal_of(run, "second")
    found = compared(run, world, {"first": both, "second": both})
    assert (unknown_to_runs(found), found.known_by_journal_alone) == ([], {})

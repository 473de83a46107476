"""What a report says of a run; nothing here knows how it looks."""

from __future__ import annotations

import dataclasses

import pytest

from coordinator.client.audit_verification import LiveVerdict
from coordinator.report.build import report_of
from coordinator.report.document import Tone
from coordinator.report.inputs import Evidence, Proof, RunFacts
from coordinator.report.run_from_audit import rebuilt
from coordinator.report.sections.evidence import contradicts_record
from tests.unit.coordinator.report.story import (
    ANCHOR,
    CHAIN,
    DIGEST,
    ERROR,
    EVENTS,
    FAILED,
    FILE,
    MIGRATED,
    PROVEN,
    REQUEST,
    THERE,
    event,
    facts,
    run,
    step,
)
from tests.unit.coordinator.report.words import section, words

WHO = "Who asked, and why"
HAPPENED = "What happened in each database"
NOT_TOUCHED = "What was not touched"
CHECKED = "What was checked"


def test_it_says_who_asked_how_that_is_known_and_why() -> None:
    said = section(facts(), WHO)
    assert "Asked by | release-bot" in said
    assert "How that is known | claimed by the sender of the request; not checked" in said
    assert said.endswith("release 41")


def test_it_says_that_an_agent_asked() -> None:
    agent = event(101, "migration.requested", actor="robot", detail={"actor_kind": "agent"})
    assert "Kind of operator | agent" in section(facts(events=[agent, *EVENTS[1:]]), WHO)
    assert "Kind of operator" not in section(facts(), WHO)


def test_a_name_in_the_request_is_never_shown_as_the_one_that_asked() -> None:
    proven = event(101, "migration.requested", actor="orders", detail={"actor_basis": "dapr caller orders"})
    said = section(facts(events=[proven, *EVENTS[1:]]), WHO)
    assert (
        "Asked by | orders | How that is known | dapr caller orders | Name given in the request | release-bot" in said
    )


def test_without_an_approval_it_says_that_none_was_asked_for() -> None:
    assert "No approval was asked for" in section(facts(), "Who agreed")


def test_the_plan_names_every_database_with_from_and_to() -> None:
    said = section(facts(), "What was planned")
    assert "cas_audit | cas-audit | 0a1 | 0a1 | none" in said
    assert "cds_client | cds-client | 0a1 | 0c3 | 2" in said
    assert "cds_task | cds-task | 0a1 | 0f1 | 1" in said
    assert "cds_client | 0b2, 0c3 | cds_task | 0f1" in said
    assert DIGEST in said


def test_a_plan_that_leads_to_several_heads_names_all_of_them() -> None:
    """The run record has only where the database ended, and that is another place after a failure."""
    failed = step("cds-fork", "failed", planned=["0b1", "0b2"], error=ERROR)
    started = event(104, "migration.step_started", "cds-fork", from_revision="0a1", to_revision="0b1,0b2")
    said = section(RunFacts(run(failed), [started]), "What was planned")
    assert "cds_fork | cds-fork | 0a1 | 0b1, 0b2 | 2" in said


def test_revisions_are_told_as_the_database_itself_recorded_them() -> None:
    said = section(facts(), HAPPENED)
    assert f"0b2  Make 0b2\n{FILE} | 2026-11-22 15:00:45.123 | 412 ms" in said
    assert "release-bot (claimed), origin: operation" in said


def test_a_failed_database_is_told_with_its_code_and_what_to_do() -> None:
    said = section(facts(), HAPPENED)
    assert "CM-401 A revision failed | Revision 0f1 failed with DuplicateColumn. | Next: Correct the file" in said
    assert "an attempt failed | CM-401 DuplicateColumn" in said


def test_databases_left_alone_are_told_apart_from_those_that_were_worked_on() -> None:
    said, happened = section(facts(), NOT_TOUCHED), section(facts(), HAPPENED)
    assert "cas_audit | cas-audit | 0a1 | It was at its target revision already." in said
    assert "cds_store | cds-store | 0a1 | The run ended before its turn came." in said
    assert "cds_store" not in happened
    assert "cds_client" not in said


def test_a_database_that_somebody_else_migrated_meanwhile_is_told_where_it_is_and_not_where_it_was() -> None:
    remark = "The database is at 0a9, beyond 0a2, because somebody else migrated it too."
    there = step("cas-audit", "unchanged", to_revisions=["0a9"], planned=["0a2"], remark=remark)
    said = section(RunFacts(run(there), [], PROVEN), NOT_TOUCHED)
    assert f"cas_audit | cas-audit | 0a9 | {remark}" in said
    assert "Somebody else migrated 1 database of these meanwhile." in said
    del there["remark"]  # as from the audit alone, and of a database that is at the target
    assert "| 0a9 | Somebody else migrated it." in section(RunFacts(run(there), [], PROVEN), NOT_TOUCHED)


def test_a_database_that_its_journal_says_was_changed_is_never_called_untouched() -> None:
    lost = facts(events=[*EVENTS, event(113, "revision.applied", "cds-store", detail={"revision": "0d2"})])
    assert "cds_store" not in section(lost, NOT_TOUCHED)
    assert "cds_store" in section(lost, HAPPENED)


def test_the_picture_shows_bars_on_the_clock_of_the_run() -> None:
    picture = next(one for one in report_of(facts()).sections[4].blocks if one.kind == "timeline")
    assert [(bar.label, bar.tone) for bar in picture.bars] == [("cds_client", Tone.GOOD), ("cds_task", Tone.BAD)]
    assert all(0 <= bar.start <= bar.end <= 1 for bar in picture.bars)


def test_the_events_stand_with_number_hash_and_anchor() -> None:
    said = section(facts(), "What this report rests on")
    assert f"105 | 15:00:45.123 | revision.applied\napplied | cds_client | {'b' * 64} | anchor 120" in said
    assert ANCHOR.signature in said
    assert ANCHOR.key_id in said


def test_when_everything_holds_it_says_so_and_nothing_contradicts() -> None:
    said = section(facts(), CHECKED)
    assert "The chain of the audit is whole" in said
    assert "Every event is proven" in said
    assert "The run record and the audit agree" in said
    assert not contradicts_record(facts())


def test_events_after_the_last_anchor_are_not_called_proven() -> None:
    fresh = {**PROVEN.proofs, EVENTS[-1].event_id: Proof(trouble="no anchor covers it yet")}
    told = facts(evidence=Evidence(fresh, PROVEN.chain))
    sentence = "11 of 12 events are covered by a signed anchor. The others: no anchor covers it yet."
    assert sentence in section(told, CHECKED)
    assert not contradicts_record(told)


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (
            Evidence({}, LiveVerdict(ok=False, first_bad_seq=71, sentence="Event 71 was changed.")),
            "that is wrong is number 71. Event 71 was",
        ),
        (
            Evidence({EVENTS[3].event_id: Proof("b" * 64, trouble="of another", forged=True)}),
            "Numbers 104: | of another.",
        ),
    ],
    ids=["a broken chain", "a proof of something else"],
)
def test_evidence_against_the_report_is_the_first_thing_said(evidence: Evidence, said: str) -> None:
    told = facts(evidence=evidence)
    assert said in section(told, "In short")
    assert said in section(told, CHECKED)
    assert contradicts_record(told)


def test_a_run_record_that_the_audit_contradicts_is_said() -> None:
    told = facts(disagreements=["cds-client: the file of 0c3 has another SHA-256 in the audit."])
    assert "The run record and the audit disagree" in section(told, CHECKED)
    assert "the file of 0c3 has another SHA-256" in section(told, CHECKED)
    assert contradicts_record(told)


def test_an_event_that_was_told_twice_speaks_against_the_report() -> None:
    conflict = event(40, "audit.conflict", source="cas-audit", detail={"event_id": "0", "seq": 1})
    told = facts(events=[*facts().events, conflict])
    assert "Event 1: event 40 tells of the second content." in section(told, CHECKED)
    assert contradicts_record(told)


@pytest.mark.parametrize("is_signed", [None, True, False])
def test_a_run_record_without_a_signature_is_said_and_contradicts_nothing(is_signed: bool | None) -> None:
    told = facts(is_signed=is_signed)
    assert ("bears no signature of the coordinator" in section(told, CHECKED)) is (is_signed is False)
    assert not contradicts_record(told)


def test_a_run_record_that_could_not_be_compared_is_said_and_contradicts_nothing() -> None:
    assert "was not compared with the audit" in section(facts(disagreements=None), CHECKED)
    assert not contradicts_record(facts(disagreements=None))


def test_without_a_run_record_the_events_alone_tell_the_same() -> None:
    alone = RunFacts(rebuilt("release-41", EVENTS), EVENTS, PROVEN, recorded=False)
    assert report_of(alone).verdict == "Failed"
    assert "cds_store | cds-store | 0a1" in section(alone, NOT_TOUCHED)
    assert "0b2  Make 0b2" in section(alone, HAPPENED)
    assert "From the audit alone" in section(alone, CHECKED)


def test_a_refused_request_is_a_report_too() -> None:
    refused = [event(7, "migration.rejected", outcome="rejected", detail=ERROR)]
    alone = RunFacts(rebuilt("release-41", refused), refused, recorded=False)
    assert report_of(alone).verdict == "Refused"
    assert "CM-401" in section(alone, "In short")
    assert "never" not in words(report_of(alone).sections[0])


def test_a_run_with_nothing_to_do_says_so() -> None:
    events = [EVENTS[0], EVENTS[2], event(112, "migration.finished", outcome="succeeded")]
    idle = RunFacts(run(THERE, state="succeeded", error=None), events, PROVEN)
    assert report_of(idle).summary.endswith("nothing had to be done.")
    assert "Nothing was started in any database." in section(idle, HAPPENED)


def test_the_same_server_giving_events_and_keys_is_a_limit_that_is_said() -> None:
    with_own = section(facts(), "What this does not prove")
    without = section(facts(evidence=dataclasses.replace(PROVEN, keys_from="")), "What this does not prove")
    assert "came from the same server" not in with_own
    assert "came from the same server" in without


def test_nothing_of_a_request_but_its_known_fields_is_shown() -> None:
    """What nobody meant to show, such as a field of tomorrow that holds a secret, stays where it is."""
    odd = run(MIGRATED, request={**REQUEST, "password": "canary-7291"})
    assert "canary-7291" not in str(report_of(RunFacts(odd, EVENTS, PROVEN)).as_data())


def test_a_row_that_a_database_quoted_in_its_error_is_left_out() -> None:
    quoting = (
        "Revision 0f1 stopped with IntegrityError: Key (iban)=(canary-7291); the database is at the revision before it."
    )
    error = {**ERROR, "detail": quoting}
    told = str(report_of(facts(error=error, obstacles=[error], steps=[{**FAILED, "error": error}])).as_data())
    assert "stopped with IntegrityError; the database is at the revision before it." in told
    assert "canary-7291" not in told


def test_a_request_that_names_nobody_is_asked_by_nobody_known() -> None:
    nobody = event(101, "migration.requested", actor="unknown", detail={"actor_basis": "claimed"})
    said = section(facts(events=[nobody, *EVENTS[1:]], request={**REQUEST, "requested_by": "unknown"}), WHO)
    assert said.startswith("Asked by | not known | Accepted")
    assert "claimed by" not in said


def test_an_actor_of_whom_nobody_says_how_he_is_known_is_only_claimed() -> None:
    silent = event(101, "migration.requested", actor="ada")
    said = section(facts(events=[silent, *EVENTS[1:]]), WHO)
    assert "Asked by | ada | How that is known | claimed by the sender of the request" in said


def test_a_database_outside_the_plan_that_the_audit_names_is_said() -> None:
    strange = event(113, "attempt.refused", "cds-other", outcome="CM-601")
    assert "the audit names for this request: cds-other." in section(facts(events=[*EVENTS, strange]), NOT_TOUCHED)


def test_what_the_audit_says_besides_its_verdict_is_passed_on() -> None:
    standing = CHAIN.model_copy(update={"anchoring": "Anchoring stands still since noon."})
    assert "Anchoring stands still since noon." in section(facts(evidence=Evidence(PROVEN.proofs, standing)), CHECKED)


@pytest.mark.parametrize("forged", [1, 1.5, True, "x", [1], [[]], [None], {"a": {"b": 1}}, {"code": 7}], ids=str)
def test_whatever_a_forged_event_holds_there_is_a_report_of_the_run(forged: object) -> None:
    names = ("actor_basis", "way_in", "revision", "sha256", "tables", "error", "applied", "attempts", "started_at")
    more = ("planned", "plan_digest", "services", "reason", "target", "requested_by", "title", "code", "obstacles")
    detail = dict.fromkeys((*names, *more), forged)
    types = ("requested", "rejected", "started", "step_started", "step_finished", "finished")
    told = [event(200 + at, f"migration.{each}", "cds-client", detail=detail) for at, each in enumerate(types)]
    told += [event(210, "revision.applied", "cds-client", detail=detail)]
    told += [event(211, "attempt.failed", "cds-client", detail=detail)]
    events = [*EVENTS, *told]
    assert report_of(facts(events=events)).verdict
    assert report_of(RunFacts(rebuilt("release-41", events), events, PROVEN, recorded=False)).verdict

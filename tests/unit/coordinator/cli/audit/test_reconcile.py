"""`coordinator audit reconcile`: what it reads, what it waits for, and what its exit code says."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from audit_verifier.verify import verify_file
from coordinator.cli.audit import reconcile_sources
from migration_sidecar.contract.journal import JournalPage
from migration_sidecar.contract.messages import AuditPage, RecordedAuditEvent
from tests.unit.audit_verifier.audits import CHAIN, Audit
from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, problem
from tests.unit.coordinator.domain.reconciliation.stories import Story, told

VERIFIED = {"ok": True, "events": 3, "first_seq": 1, "last_seq": 3, "next_after": None}
FLEET = {
    "services": [
        {"service": "s0", "database": "s0_db", "state": "at_head"},
        {"service": "s1", "database": "s1_db", "state": "at_head"},
        {"service": "plain", "state": "no_database", "reason": "it keeps nothing"},
    ]
}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_sources, "RECHECK_SECONDS", 0.01)


@pytest.fixture
def story() -> Story:
    return told(7)


def journal(story: Story, service: str) -> tuple[int, dict[str, Any]]:
    positions, entries = story.positions[service], story.entries[service]
    page = JournalPage(service=service, database=f"{service}_db", entries=entries, positions=positions)
    return 200, page.model_dump(mode="json")


def audit(story: Story, upto: int | None = None) -> tuple[int, dict[str, Any]]:
    return 200, AuditPage(events=story.events[:upto]).model_dump(mode="json")


def answer(coordinator: ScriptedCoordinator, story: Story) -> None:
    coordinator.answers("GET /fleet", (200, FLEET))
    coordinator.answers("GET /migrations", (200, {"runs": [], "next_cursor": None}))
    coordinator.answers("GET /audit/events", audit(story))
    coordinator.answers("GET /audit/verify", (200, VERIFIED))
    for service in story.entries:
        coordinator.answers(f"GET /journals/{service}", journal(story, service))


def test_a_fleet_that_agrees_is_accounted_for(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story
) -> None:
    answer(coordinator, story)
    done = command("audit", "reconcile")
    assert done.exit_code == 0, done.output
    assert "everything is accounted for, and the audit's own chain holds" in done.output
    rows = sum(map(len, story.entries.values()))
    assert f"Compared: {rows} journal rows, 0 run records, {len(story.events)} audit events" in done.output


def test_what_only_a_service_itself_tells_is_counted_aloud(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story
) -> None:
    answer(coordinator, story)
    rows = {
        service: sum(entry.kind in ("applied", "reverted") for entry in entries)
        for service, entries in story.entries.items()
    }
    counted = ", ".join(f"{number} journal rows of {service}" for service, number in rows.items())
    alone = "told by their own service alone (by hand, at start-up, or forged with its login)"
    assert f"{alone}: {counted}" in command("audit", "reconcile").output
    document = json.loads(command("audit", "reconcile", "--json").stdout)
    assert document["known_by_journal_alone"] == [{"service": name, "rows": number} for name, number in rows.items()]


def test_what_the_catalog_declares_is_counted_in_the_summary(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story
) -> None:
    today = {"service": "new", "database": "s0_db", "state": "at_head", "former_names": ["s0"]}
    gone = {"service": "s1", "left": "2026-03-01", "until": "2026-03-02T00:00:00+00:00", "reason": "its work is done"}
    story.entries["new"], story.positions["new"] = story.entries.pop("s0"), story.positions.pop("s0")
    answer(coordinator, story)
    coordinator.answers("GET /fleet", (200, {"services": [today], "former_services": [gone]}))
    coordinator.answers("GET /journals/new", journal(story, "new"))
    done = command("audit", "reconcile")
    assert done.exit_code == 0, done.output
    former, left = (sum(event.service == name for event in story.events) for name in ("s0", "s1"))
    accepted = f"{former} events of s0 (former name of new), {left} events of s1 (left the fleet: its work is done)"
    assert f"accepted as the catalog declares: {accepted}" in done.output
    document = json.loads(command("audit", "reconcile", "--json").stdout)
    assert [one["events"] for one in document["accepted_as_declared"]] == [former, left]
    refused = command("audit", "reconcile", "s0")
    assert (refused.exit_code, "use new, as it is called now" in refused.output) == (2, True)


def test_a_gap_is_told_in_a_sentence_and_in_the_exit_code(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story
) -> None:
    removed = story.events.pop()
    answer(coordinator, story)
    done = command("audit", "reconcile", "--json")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    (gap,) = document["gaps"]
    assert (gap["kind"], gap["event_id"]) == ("not_in_audit", str(removed.event_id))
    assert document["accounted_for"] is False
    plain = command("audit", "reconcile")
    assert gap["sentence"] in plain.output
    assert plain.output.rstrip().endswith("; found: 1 gap.")


def test_a_service_that_cannot_be_asked_is_named_and_the_rest_is_compared(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story
) -> None:
    answer(coordinator, story)
    coordinator.answers("GET /journals/s1", (503, problem("CM-802", "away", detail="s1 does not answer")))
    done = command("audit", "reconcile")
    assert done.exit_code == 3
    assert "not compared: s1 does not answer" in done.output
    assert "; not compared: 1 service." in done.output


def test_a_gap_weighs_more_than_a_service_that_is_away(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story
) -> None:
    story.events = [event for event in story.events if event.source == "s1/journal"]
    answer(coordinator, story)
    coordinator.answers("GET /journals/s1", (503, problem("CM-802", "away")))
    assert command("audit", "reconcile").exit_code == 1


def test_what_is_on_its_way_is_waited_for(coordinator: ScriptedCoordinator, command: RunCommand, story: Story) -> None:
    answer(coordinator, on_its_way(story))
    coordinator.answers("GET /audit/events", audit(story, -1), audit(story, -1), audit(story))
    done = command("audit", "reconcile", "--wait", "5", "--json")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["on_their_way"]) == (0, 0)
    assert document["audit_events"] == len(story.events)


def test_what_does_not_come_in_time_is_no_gap_and_not_accounted_for(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story
) -> None:
    answer(coordinator, on_its_way(story))
    coordinator.answers("GET /audit/events", audit(story, -1))
    done = command("audit", "reconcile", "--wait", "0.1")
    assert done.exit_code == 3
    assert "still on the way to the audit: 1 event." in done.output


def test_an_event_that_the_journal_had_not_yet_written_is_looked_for_once_more(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story
) -> None:
    answer(coordinator, story)
    whole = story.entries["s0"]
    before = replace(story, entries={**story.entries, "s0": whole[:-1]})
    coordinator.answers("GET /journals/s0", journal(before, "s0"), journal(story, "s0"))
    assert command("audit", "reconcile", "--wait", "0").exit_code == 0


def test_pages_are_followed_to_their_end(coordinator: ScriptedCoordinator, command: RunCommand, story: Story) -> None:
    answer(coordinator, story)
    status, whole = journal(story, "s0")
    first = {**whole, "entries": whole["entries"][:2], "next_after": whole["entries"][1]["seq"]}
    second = {**whole, "entries": whole["entries"][2:]}
    coordinator.answers("GET /journals/s0", (status, first), (status, second))
    _, events = audit(story)
    pages = [{"events": events["events"][:5], "next_cursor": "abc"}, {"events": events["events"][5:]}]
    coordinator.answers("GET /audit/events", *((200, page) for page in pages))
    assert command("audit", "reconcile").exit_code == 0
    asked = [one.parameters for one in coordinator.asked]
    assert {"after": str(first["next_after"]), "limit": "500"} in asked
    assert {"cursor": "abc", "limit": "1000", "order": "oldest"} in asked


def test_the_audits_own_verdict_is_part_of_the_answer(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story
) -> None:
    answer(coordinator, story)
    unsound = {**VERIFIED, "ok": False, "first_bad_seq": 3, "reason": "changed", "sentence": "Event 3 was changed."}
    coordinator.answers("GET /audit/verify", (200, unsound))
    done = command("audit", "reconcile", "--json")
    (gap,) = json.loads(done.stdout)["gaps"]
    assert (done.exit_code, gap["kind"], gap["seq"]) == (1, "not_verified", 3)


def test_what_only_a_sealed_segment_can_hold_is_not_seen_and_not_accounted_for(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story
) -> None:
    total, story.events = len(story.events), []
    answer(coordinator, story)
    assert command("audit", "reconcile").exit_code == 1
    coordinator.answers("GET /audit/verify", (200, {**VERIFIED, "retired_until": total}))
    done = command("audit", "reconcile")
    assert done.exit_code == 3
    assert f"in sealed segments outside the database: {total} events" in done.output
    assert f"not seen: events 1 to {total}, in sealed segments whose files were not given" in done.output
    assert "accounted for" not in done.output
    document = json.loads(command("audit", "reconcile", "--json").stdout)
    assert (document["accounted_for"], document["not_seen"]) == (False, {"first_seq": 1, "last_seq": total})


def test_an_event_that_was_told_with_two_contents_is_a_gap(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story
) -> None:
    known = story.events[0]
    facts = {"event_id": str(known.event_id), "seq": known.seq, "differing": ["actor", "detail"]}
    conflict = {"event_id": uuid4(), "event_type": "audit.conflict", "source": "cas-audit", "detail": facts}
    story.events.append(known.model_copy(update={**conflict, "seq": len(story.events) + 1}))
    answer(coordinator, story)
    done = command("audit", "reconcile", "--json")
    (gap,) = json.loads(done.stdout)["gaps"]
    assert (done.exit_code, gap["kind"], gap["event_id"]) == (1, "contested", str(known.event_id))
    plain = command("audit", "reconcile").output
    assert f"Audit event {known.seq} was told a second time with another content; what differs: actor, detail." in plain


def test_a_conflict_that_an_operator_answers_for_is_counted_aloud_and_is_no_failure(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story
) -> None:
    known, last = story.events[0], len(story.events)
    facts = {"event_id": str(known.event_id), "seq": known.seq, "differing": ["actor"]}
    conflict = {"event_id": uuid4(), "event_type": "audit.conflict", "source": "cas-audit", "detail": facts}
    story.events.append(known.model_copy(update={**conflict, "seq": last + 1}))
    answer(coordinator, story)
    before = command("audit", "reconcile")
    assert (before.exit_code, "coordinator audit acknowledge NUMBER" in before.output) == (1, True)
    about = {"gap": "contested", "about_seq": last + 1, "reason": "a test, INC-7", "actor_basis": "signed call, key a"}
    told_by = {"event_type": "gap.acknowledged", "source": "migration-coordinator", "actor": "chief", "detail": about}
    story.events.append(known.model_copy(update={**told_by, "event_id": uuid4(), "seq": last + 2}))
    answer(coordinator, story)
    done = command("audit", "reconcile")
    assert done.exit_code == 0, done.output
    assert f"Acknowledged by chief (signed call, key a) in audit event {last + 2}: 'a test, INC-7'." in done.output
    assert "acknowledged by an operator: 1 gap" in done.output
    assert "everything else is accounted for" in done.output
    document = json.loads(command("audit", "reconcile", "--json").stdout)
    [one] = document["acknowledged"]
    assert (one["kind"], one["seq"], one["acknowledged_by"], document["gaps"]) == ("contested", last + 1, "chief", [])


def test_the_command_that_acknowledges_says_what_and_why(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers("POST /audit/acknowledgements", (202, {"actor": "chief", "event_id": "e"}))
    done = command("audit", "acknowledge", "93", "--reason", "a test, INC-7")
    assert (done.exit_code, "Acknowledged by chief: audit event 93" in done.output) == (0, True)
    assert coordinator.asked[-1].body == {"seq": 93, "reason": "a test, INC-7"}
    assert command("audit", "acknowledge", "93").exit_code == 2


@pytest.mark.parametrize(
    "event_type",
    [
        "migration.rejected",
        "migration.conflict",
        "migration.rejections_counted",
        "migration.resubmitted",
        "drift.found",
    ],
)
def test_events_that_no_other_record_can_confirm_are_counted_aloud(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story, event_type: str
) -> None:
    told = {"event_id": uuid4(), "event_type": event_type, "source": "migration-coordinator"}
    story.events.append(story.events[0].model_copy(update={**told, "seq": len(story.events) + 1}))
    answer(coordinator, story)
    done = command("audit", "reconcile")
    assert done.exit_code == 0
    assert f"believed because no other record tells of them: 1 {event_type} event; everything else is" in done.output
    document = json.loads(command("audit", "reconcile", "--json").stdout)
    assert document["not_checkable"] == [{"event_type": event_type, "events": 1}]


def test_the_file_of_a_sealed_segment_tells_which_events_it_holds(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story, tmp_path: Path
) -> None:
    file = tmp_path / "segment.jsonl"
    removed = story.events.pop(3)
    file.write_bytes(segment(story.events))
    story.events = []
    answer(coordinator, story)
    coordinator.answers("GET /audit/verify", (200, retired(file)))
    done = command("audit", "reconcile", "--segment", str(file), "--json")
    assert done.exit_code == 1, done.output
    document = json.loads(done.stdout)
    assert [gap["event_id"] for gap in document["gaps"]] == [str(removed.event_id)]
    assert document["in_sealed_segments"] == 0


def test_a_file_that_is_not_the_sealed_one_leaves_its_events_unseen(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story, tmp_path: Path
) -> None:
    file = tmp_path / "segment.jsonl"
    file.write_bytes(segment(story.events))
    answer(coordinator, replace(story, events=[]))
    verified = retired(file)
    coordinator.answers("GET /audit/verify", (200, verified))
    assert command("audit", "reconcile", "--segment", str(file)).exit_code == 0
    assert command("audit", "verify", "--segment", str(file)).exit_code == 0
    assert command("audit", "verify").exit_code == 3
    verified["retired"][0]["file_sha256"] = "f" * 64
    coordinator.answers("GET /audit/verify", (200, verified))
    assert command("audit", "reconcile", "--segment", str(file)).exit_code == 3
    done = command("audit", "verify", "--segment", str(file), "--json")
    assert (done.exit_code, json.loads(done.stdout)["not_seen"]["first_seq"]) == (3, 1)


@pytest.mark.parametrize("harm", ["another audit's", "changed"])
def test_a_file_that_is_no_segment_of_this_audit_is_refused(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story, tmp_path: Path, harm: str
) -> None:
    file = tmp_path / "segment.jsonl"
    file.write_bytes(segment(story.events).replace(b"ada", b"eve" if harm == "changed" else b"ada", 1))
    answer(coordinator, story)
    chain = "another" if harm == "another audit's" else CHAIN
    coordinator.answers("GET /audit/verify", (200, {**VERIFIED, "chain_id": chain, "retired_until": 3}))
    done = command("audit", "reconcile", "--segment", str(file), "--json")
    problem = json.loads(done.stdout)
    assert (done.exit_code, problem["code"]) == (2, "CM-603")
    assert problem["detail"].startswith("That segment cannot be used: ")


@pytest.mark.parametrize("name", ["s9", "plain", "s0;drop"])
def test_a_name_that_is_no_service_is_refused_before_any_journal_is_read(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story, name: str
) -> None:
    answer(coordinator, story)
    done = command("audit", "reconcile", name, "--json")
    assert (done.exit_code, json.loads(done.stdout)["code"]) == (2, "CM-201")
    assert not any(one.path.startswith("/journals") for one in coordinator.asked)


def test_only_the_named_services_are_asked(coordinator: ScriptedCoordinator, command: RunCommand, story: Story) -> None:
    answer(coordinator, story)
    assert command("audit", "reconcile", "s0").exit_code == 0
    assert {one.path for one in coordinator.asked if one.path.startswith("/journals")} == {"/journals/s0"}


@pytest.mark.parametrize("page", [{"entries": []}, {"service": "s0", "surprise": 1}, []])
def test_a_page_that_is_none_is_not_compared(
    coordinator: ScriptedCoordinator, command: RunCommand, story: Story, page: Any
) -> None:
    answer(coordinator, story)
    coordinator.answers("GET /journals/s0", (200, page))
    done = command("audit", "reconcile", "--json")
    assert (done.exit_code, json.loads(done.stdout)["code"]) == (3, "CM-841")


def retired(file: Path) -> dict[str, Any]:
    """A verdict on an audit whose one retired segment is in this file."""
    facts = verify_file(str(file))
    end = {
        "last_seq": facts.last_seq,
        "last_hash": facts.last_hash,
        "file_sha256": sha256(file.read_bytes()).hexdigest(),
    }
    return {**VERIFIED, "chain_id": CHAIN, "retired_until": facts.last_seq, "retired": [{"first_seq": 1, **end}]}


def segment(events: list[RecordedAuditEvent]) -> bytes:
    payloads = [event.model_dump(mode="json", exclude={"seq", "recorded_at"}) for event in events]
    texts = [json.dumps({"format": "audit-payload-1", **payload}) for payload in payloads]
    return b"".join(Audit().record(*texts).sign().export())


def on_its_way(story: Story) -> Story:
    last = story.events[-1].event_id
    entries = {
        service: [
            entry.model_copy(update={"relayed": False, "seconds_ago": 1.0})
            if entry.event and entry.event.event_id == last
            else entry
            for entry in rows
        ]
        for service, rows in story.entries.items()
    }
    return replace(story, entries=entries)

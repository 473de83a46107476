"""`coordinator audit verify` without a file: the audit where it is stored, piece by piece."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audit_verifier.verify import CONTESTED, Verdict, sentence
from coordinator.client.audit_verification import LiveVerdict
from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, problem

ROUTE = "GET /audit/verify"


def piece(first: int, last: int, **facts: Any) -> tuple[int, dict[str, Any]]:
    plain = {"chain_id": "c", "ok": True, "first_seq": first, "last_seq": last, "events": last - first + 1}
    return 200, plain | {"head_seq": 250, "anchored_seq": last, "retired_until": 0} | facts


def test_pieces_are_asked_for_until_none_follows_and_told_as_one(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers(ROUTE, piece(1, 100, next_after=100), piece(101, 200, next_after=200), piece(201, 250))
    result = command("audit", "verify")
    assert result.exit_code == 0
    assert "OK. 250 events, 1 to 250, are one chain; signed up to 250." in result.stdout
    assert [each.parameters["after"] for each in coordinator.asked] == ["0", "100", "200"]


def test_the_first_piece_that_does_not_hold_ends_it_and_names_the_seq(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    broken = {"ok": False, "first_bad_seq": 150, "reason": "changed", "sentence": "Event 150 was changed."}
    coordinator.answers(ROUTE, piece(1, 100, next_after=100), piece(101, 149, **broken))
    result = command("audit", "verify")
    assert result.exit_code == 1
    assert "NOT OK (changed). Event 150 was changed. First bad seq: 150." in result.stdout
    document = json.loads(command("audit", "verify", "--json").stdout)
    assert (document["ok"], document["first_bad_seq"], document["reason"]) == (False, 150, "changed")


def test_what_is_not_signed_or_not_here_or_stands_still_is_said(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    facts = {"anchored_seq": 200, "retired_until": 50, "anchoring": "Anchoring stands still since noon."}
    coordinator.answers(ROUTE, piece(51, 250, **facts))
    shown = command("audit", "verify").stdout
    assert "No anchor signs events 201 to 250 yet: they are only consistent." in shown
    assert "Events 1 to 50 are in sealed segments" in shown
    assert "Anchoring stands still since noon." in shown


def test_what_was_told_twice_is_counted_over_all_pieces_in_the_words_of_the_verifier(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers(ROUTE, piece(1, 100, next_after=100, contested=2), piece(101, 200, contested=1))
    assert CONTESTED.format(number=3) in command("audit", "verify").stdout


@pytest.mark.parametrize(
    "facts",
    [
        {"ok": True, "first_seq": 3, "last_seq": 9, "events": 7, "anchored_seq": 8},
        {"ok": True, "last_seq": 9, "events": 7, "anchored_seq": 8, "anchored_at": "2026-01-02T03:04:05.000006Z"},
        {"ok": False, "first_bad_seq": 7, "reason": "moved", "sentence": "Event 7 was moved."},
        {"ok": False, "first_bad_seq": None, "reason": "keys", "sentence": "The keys are others."},
    ],
)
def test_the_judgement_on_the_live_audit_is_told_as_that_on_a_file(facts: dict[str, Any]) -> None:
    assert LiveVerdict.model_validate(facts).lines()[0] == sentence(Verdict("export", **facts))


@pytest.mark.parametrize(
    ("bound", "code"), [("2026-01-02", 0), ("2026-01-02T03:04:06Z", 1), ("1m", 1), ("100d", 1), ("soon", 2)]
)
def test_an_audit_whose_last_anchor_is_too_old_does_not_hold(
    coordinator: ScriptedCoordinator, command: RunCommand, bound: str, code: int
) -> None:
    last = {"anchored_at": "2026-01-02T03:04:05.000006Z"}
    coordinator.answers(ROUTE, piece(1, 100, next_after=100), piece(101, 200, **last))
    done = command("audit", "verify", "--not-older-than", bound)
    assert done.exit_code == code
    if code == 1:
        assert "NOT OK (old). Nothing shows that this is the present" in done.stdout
        assert "the last one is of 2026-01-02 03:04:05 UTC." in done.stdout
        document = json.loads(command("audit", "verify", "--not-older-than", bound, "--json").stdout)
        assert (document["ok"], document["reason"]) == (False, "old")


def test_an_audit_that_was_never_signed_is_not_the_present(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers(ROUTE, piece(1, 100, anchored_seq=0))
    assert command("audit", "verify").exit_code == 0
    assert command("audit", "verify", "--not-older-than", "1000d").exit_code == 1


def test_an_audit_without_events_holds(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers(ROUTE, piece(1, 0, anchored_seq=0, head_seq=0))
    result = command("audit", "verify")
    assert (result.exit_code, result.stdout) == (0, "OK. The audit holds no events to verify.\n")


def test_a_verdict_without_an_end_is_not_asked_for_for_ever(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers(ROUTE, piece(1, 100, next_after=100), piece(101, 200, next_after=100))
    result = command("audit", "verify")
    assert result.exit_code == 3
    assert "cannot be continued" in result.stderr


def test_a_verdict_that_says_nothing_is_not_taken_for_a_good_one(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers(ROUTE, (200, {}))
    assert command("audit", "verify").exit_code == 1


def test_an_audit_that_is_not_there_is_no_verdict(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers(ROUTE, (503, problem("CM-522", "The audit is not ready")))
    result = command("audit", "verify")
    assert result.exit_code == 3
    assert "CM-522" in result.stderr


@pytest.mark.parametrize("option", ["--keys", "--anchors"])
def test_keys_and_anchors_without_a_file_are_bad_input(
    coordinator: ScriptedCoordinator, command: RunCommand, option: str
) -> None:
    assert command("audit", "verify", option, "x.json").exit_code == 2
    assert coordinator.asked == []

"""The commands that steer a run: what they send, what they show, and how they end."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, run_record

DIGEST = "3f5a" * 16


@pytest.mark.parametrize(
    ("words", "verb", "said"),
    [
        (["pause", "release-41"], "pause", {}),
        (["pause", "release-41", "--now"], "pause", {"now": True}),
        (["resume", "release-41"], "resume", {}),
        (["cancel", "release-41"], "cancel", {}),
        (["retry", "release-41"], "retry", {}),
        (["approve", "release-41", "--plan", DIGEST], "approve", {"plan_digest": DIGEST}),
        (["reject", "release-41"], "reject", {}),
    ],
)
def test_a_verb_carries_who_and_why_and_an_id_that_makes_a_repeat_harmless(
    coordinator: ScriptedCoordinator, command: RunCommand, words: list[str], verb: str, said: dict[str, Any]
) -> None:
    coordinator.answers(f"POST /migrations/release-41/{verb}", (200, run_record("running")))
    assert command(*words, "--reason", "as was agreed").exit_code == 0
    body = coordinator.asked[0].body
    assert UUID(body.pop("command_id"))
    assert body.pop("requested_by")
    assert body == {"reason": "as was agreed", **said}


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "retry", "reject"])
def test_nobody_steers_without_saying_why(coordinator: ScriptedCoordinator, command: RunCommand, verb: str) -> None:
    assert command(verb, "release-41").exit_code == 2
    assert coordinator.asked == []


def test_what_the_state_does_not_allow_is_told_with_what_is_possible(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    problem = {
        "code": "CM-606",
        "title": "t",
        "detail": "Run release-41 is succeeded, so it cannot pause now. Possible is nothing: it has ended.",
        "next_step": "Look at the run.",
        "retryable": False,
    }
    coordinator.answers("POST /migrations/release-41/pause", (409, problem))
    done = command("pause", "release-41", "--reason", "too late")
    assert done.exit_code == 2
    assert "Possible is nothing" in done.stderr


def test_a_held_run_is_shown_with_what_it_waits_for_and_what_to_type(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    held = run_record("awaiting_approval") | {
        "plan_digest": DIGEST,
        "waiting_for": "Its plan needs an approval (downgrade).",
        "waiting": {
            "kind": "approval",
            "sentence": "Its plan needs an approval (downgrade).",
            "since": "2026-11-30T05:00:00Z",
            "until": None,
            "next": "It starts once somebody else approves this plan.",
        },
        "approval": {"state": "awaited", "because": ["downgrade"]},
        "possible": ["approve", "reject", "cancel"],
    }
    request_id = held["request_id"]
    coordinator.answers(f"GET /migrations/{request_id}", (200, held))
    done = command("status", request_id)
    assert done.exit_code == 4
    for text in (
        "waits: Its plan needs an approval (downgrade). (since 2026-11-30 05:00:00Z)",
        "next: It starts once somebody else approves this plan.",
        f"coordinator approve {request_id} --plan {DIGEST}",
        "possible: approve, reject, cancel",
    ):
        assert text in done.stdout


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["--on-failure", "continue", "--max-failures", "20%"], {"on_failure": "continue", "max_failures": "20%"}),
        (["--on-failure", "continue", "--max-failures", "3"], {"on_failure": "continue", "max_failures": 3}),
        (["--max-parallel", "4", "--first", "cds-client"], {"max_parallel": 4, "first": ["cds-client"]}),
        (["--pause-between", "resume"], {"pause_between": "resume"}),
        (["--pause-between", "600", "--needs-approval"], {"pause_between": 600, "approval": "required"}),
        (
            ["--not-before", "2026-12-01T22:00:00+01:00", "--deadline", "2026-12-02T04:00:00+01:00"],
            {"not_before": "2026-12-01T22:00:00+01:00", "deadline": "2026-12-02T04:00:00+01:00"},
        ),
    ],
)
def test_the_policy_of_a_request_is_sent_as_it_was_said(
    coordinator: ScriptedCoordinator, command: RunCommand, words: list[str], fields: dict[str, Any]
) -> None:
    coordinator.answers("POST /migrations", (202, run_record("accepted")))
    assert command("request", "--all", *words).exit_code == 0
    body = coordinator.asked[0].body
    assert {name: body[name] for name in fields} == fields


def test_a_downgrade_names_the_revision_of_each_service(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers("POST /migrations", (202, run_record("accepted")))
    command("request", "--downgrade", "--target", "cds-client=client_0004")
    body = coordinator.asked[0].body
    assert (body["action"], body["services"], body["target"]) == (
        "downgrade",
        ["cds-client"],
        {"cds-client": "client_0004"},
    )


@pytest.mark.parametrize("words", [["--pause-between", "soon"], ["--max-failures", "-1"], ["--max-parallel", "0"]])
def test_a_policy_that_is_no_number_is_refused_before_anything_is_sent(
    coordinator: ScriptedCoordinator, command: RunCommand, words: list[str]
) -> None:
    assert command("request", "--all", *words).exit_code == 2
    assert coordinator.asked == []

"""What `coordinator fleet` says about an audit that is away."""

from __future__ import annotations

from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator

SINCE = "2026-01-02T03:04:05+00:00"
ROW = {"service": "cds-task", "database": "cds_task", "state": "at_head"}


def test_it_says_since_when_and_how_much_waits(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    row = {**ROW, "audit_backlog": {"events": 7, "since": SINCE}}
    audit = {"state": "away", "since": SINCE, "reason": "cas-audit is down.", "events_waiting": 3}
    coordinator.answers("GET /fleet", (200, {"fleet": "rmbrain", "services": [row], "audit": audit}))
    said = " ".join(command("fleet").stdout.split())
    assert "away since 2026-01-02 03:04:05Z, and nothing new starts until it is back: cas-audit is down." in said
    assert "3 events of the coordinator wait" in said
    assert "7 events wait" in said


def test_it_says_nothing_of_an_audit_that_takes_what_it_is_told(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    audit = {"state": "written", "events_waiting": 0}
    coordinator.answers("GET /fleet", (200, {"fleet": "rmbrain", "services": [ROW], "audit": audit}))
    assert "audit" not in command("fleet").stdout

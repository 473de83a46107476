"""What a table keeps when there is little room: every name whole, and the columns that matter."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, run_record, step

NAMES = {
    "cas-audit": ("cas_audit", "audit"),
    "cds-interaction": ("interaction_db", "interaction"),
    "cds-relationship": ("relationship_db", "relationship"),
    "rmbrain-mainapp": ("rmbrain_mainapp", "mainapp"),
}
REASON = "cds-relationship does not answer through Dapr: ERR_DIRECT_INVOKE, connection refused."
ROWS: list[dict[str, Any]] = [
    {"service": name, "database": database, "state": "behind", "current_revisions": [f"{stem}_0005"]}
    | {"head_revisions": [f"{stem}_0006"], "pending": [f"{stem}_0006"], "reason": REASON}
    for name, (database, stem) in NAMES.items()
]
STEPS = [
    step(name, "succeeded", from_revisions=[f"{stem}_0005"], to_revisions=[f"{stem}_0006"], applied=[{}], duration_ms=9)
    for name, (_, stem) in NAMES.items()
]
EVENTS = [
    {"seq": 101, "occurred_at": "2026-11-22T15:00:00Z", "event_type": "migration.step_finished", "service": name}
    | {"from_revision": f"{stem}_0005", "to_revision": f"{stem}_0006", "outcome": "succeeded", "actor": name}
    | {"request_id": f"release-41-of-{name}", "duration_ms": 120}
    for name, (_, stem) in NAMES.items()
]
RUN = run_record("succeeded", *STEPS, request_id="5d0f2cd1-19ae-4a8e-8e14-5bd7efb94a4c", finished_at=None)
TABLES: list[tuple[list[str], str, Any, list[str]]] = [
    (["fleet"], "GET /fleet", {"services": ROWS}, [*NAMES, *(f"{stem}_0005" for _, stem in NAMES.values())]),
    (["status", "release-41"], "GET /migrations/release-41", RUN, [*NAMES, "interaction_0005", "interaction_0006"]),
    (["runs"], "GET /migrations", {"runs": [RUN]}, [RUN["request_id"], "succeeded"]),
    (["audit", "list"], "GET /audit/events", {"events": EVENTS}, [*NAMES, "relationship_0006", "succeeded"]),
    (["audit", "show", "r"], "GET /audit/runs/r", {"events": EVENTS}, [*NAMES, "relationship_0005"]),
]


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize(
    ("arguments", "route", "document", "whole"), TABLES, ids=["fleet", "status", "runs", "audit", "story"]
)
def test_names_stay_whole_and_lines_within_the_terminal(
    coordinator: ScriptedCoordinator,
    command: RunCommand,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    route: str,
    document: Any,
    whole: list[str],
    width: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    coordinator.answers(route, (200, document))
    shown = command(*arguments).stdout
    assert max(len(line) for line in shown.splitlines()) <= width
    assert [name for name in whole if name not in shown.split()] == []


def test_what_is_left_out_is_said_and_comes_back_with_room(
    coordinator: ScriptedCoordinator, command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator.answers("GET /fleet", (200, {"services": ROWS}))
    monkeypatch.setenv("COLUMNS", "80")
    assert "Not shown for want of room: database, head" in command("fleet").stdout
    monkeypatch.setenv("COLUMNS", "200")
    shown = command("fleet").stdout
    assert "Not shown" not in shown
    assert {"interaction_db", "interaction_0006"} <= set(shown.split())


def test_a_name_longer_than_the_terminal_loses_no_character(
    coordinator: ScriptedCoordinator, command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    name = "cds-" + "x" * 80
    coordinator.answers("GET /fleet", (200, {"services": [{"service": name, "state": "at_head"}]}))
    assert name in command("fleet").stdout

"""Nothing that a service, a user or a database said may act on the terminal of whoever reads it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.presentation.terminal_text import safe, visible
from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, problem, run_record, step

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b1A\r\n\u202etxt\u200b[bold red]markup[/] [/nonsense]\x00"
DANGEROUS = set("\x1b\x07\x9b\r\x00\u202e\u200b")
STEP = step(HOSTILE, HOSTILE, from_revisions=[HOSTILE], to_revisions=[HOSTILE], error=problem(HOSTILE, HOSTILE))
RUN = run_record(HOSTILE, STEP, request={"requested_by": HOSTILE, "reason": HOSTILE}, error=problem("CM-401", HOSTILE))
REVISION = {"id": HOSTILE, "message": HOSTILE, "sql": f"SELECT '{HOSTILE}';\n\tDROP"}
PLAN = {"service": HOSTILE, "database": HOSTILE, "from": [HOSTILE], "to": [HOSTILE], "revisions": [REVISION]}
SERVICE = {"service": HOSTILE, "database": HOSTILE, "state": HOSTILE, "lock_holder": {"pid": 1, "application": HOSTILE}}
EVENT = {"seq": 1, "event_type": HOSTILE, "actor": HOSTILE, "outcome": HOSTILE, "service": HOSTILE}


@given(st.text())
def test_what_is_shown_holds_no_character_that_acts(text: str) -> None:
    assert not {unicodedata.category(character) for character in visible(text)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_plain_words_are_shown_as_they_are(text: str) -> None:
    assert visible(text) == text


def test_markup_is_shown_not_obeyed() -> None:
    assert safe("[bold]x[/bold] [/nonsense]").plain == "[bold]x[/bold] [/nonsense]"
    assert safe("[bold]x[/bold]").spans == []


@pytest.mark.parametrize(
    ("arguments", "route", "document"),
    [
        (["status", "release-41"], "GET /migrations/release-41", RUN),
        (["watch", "release-41"], "GET /migrations/release-41", RUN | {"state": "failed"}),
        (["watch", "release-41"], "GET /migrations/release-41", RUN | {"state": "paused", "waiting_for": HOSTILE}),
        (["request", "--all"], "POST /migrations", RUN),
        (["runs"], "GET /migrations", {"runs": [RUN], "next_cursor": HOSTILE}),
        (["plan", "--all", "--sql"], "POST /plans", {"services": [PLAN], "obstacles": [problem("x", HOSTILE)]}),
        (["fleet"], "GET /fleet", {"services": [SERVICE | {"error": problem("CM-511", HOSTILE)}]}),
        (["audit", "list"], "GET /audit/events", {"events": [EVENT], "next_cursor": HOSTILE}),
    ],
)
def test_every_command_shows_hostile_text_harmlessly(
    coordinator: ScriptedCoordinator,
    command: RunCommand,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    route: str,
    document: object,
) -> None:
    monkeypatch.setenv("COLUMNS", "5000")  # nothing is folded
    coordinator.answers(route, (200, document))
    result = command(*arguments)
    assert not DANGEROUS & set(result.stdout + result.stderr)
    assert r"\x1b" in result.stdout
    assert "[bold red]" in result.stdout


def test_a_hostile_refusal_is_shown_harmlessly(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers("GET /fleet", (422, problem(HOSTILE, HOSTILE, detail=HOSTILE, next_step=HOSTILE)))
    shown = command("fleet").stderr
    assert not DANGEROUS & set(shown)
    assert r"[bold red]markup[/] [/nonsense]\x00" in shown

"""A rehearsed upgrade holds only if every event, both checks of the audit and every earlier run are as they were."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from scripts.infrastructure.settings import Settings
from scripts.rehearsal.__main__ import EARLIER_RUNS, Checkout, Rehearsal, report

CHAIN = [(1, "migration.requested", "earlier-all", "a"), (2, "migration.finished", "earlier-all", "b")]


@dataclass(frozen=True)
class Scripted(Checkout):
    """Answers without running anything."""

    fails: str = ""
    states: dict[str, str] = field(default_factory=lambda: dict.fromkeys(EARLIER_RUNS, "succeeded"))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        said = json.dumps({"state": self.states.get(command[2])}) if "status" in command else "said"
        return subprocess.CompletedProcess(command, int(self.fails in command), said, "")

    @property
    def commit(self) -> str:
        return "abc1234"


def looked(monkeypatch: pytest.MonkeyPatch, now: list[tuple[Any, ...]], **more: Any) -> Rehearsal:
    rehearsal = Rehearsal(Settings())
    monkeypatch.setattr(Rehearsal, "chain", lambda _: now)
    rehearsal._past_is_whole(Scripted(Path(), Path(), **more), CHAIN)
    return rehearsal


def holds(rehearsal: Rehearsal) -> bool:
    return all(held for held, _ in rehearsal.seen)


def test_what_is_as_it_was_holds_and_later_events_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    assert holds(looked(monkeypatch, CHAIN))
    assert holds(looked(monkeypatch, [*CHAIN, (3, "migration.requested", "later", "c")]))


@pytest.mark.parametrize("now", [CHAIN[:1], [CHAIN[0], (2, "migration.finished", "earlier-all", "x")], []])
def test_an_event_that_is_gone_or_another_does_not(monkeypatch: pytest.MonkeyPatch, now: list[tuple[Any, ...]]) -> None:
    assert not holds(looked(monkeypatch, now))


@pytest.mark.parametrize("harm", [{"fails": "verify"}, {"fails": "reconcile"}, {"states": {"earlier-all": "failed"}}])
def test_a_check_that_fails_and_a_run_that_is_another_are_in_the_report(
    monkeypatch: pytest.MonkeyPatch, harm: dict[str, Any]
) -> None:
    rehearsal = looked(monkeypatch, CHAIN, **harm)
    assert not holds(rehearsal)
    page = report(rehearsal, Scripted(Path(), Path()), Scripted(Path(), Path()))
    assert "| **no** |" in page

"""The command line, run against a coordinator that a test scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from coordinator.cli.app import app
from coordinator.client import client
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, scripted_coordinator

RunCommand = Callable[..., Result]


@pytest.fixture
def coordinator(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedCoordinator]:
    with scripted_coordinator() as script:
        monkeypatch.setenv("COORDINATOR_URL", script.url)
        yield script


@pytest.fixture
def command() -> RunCommand:
    return lambda *arguments: CliRunner().invoke(app, arguments)


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "START_SECONDS", 0.1)
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0.01)


@pytest.fixture(autouse=True)
def no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

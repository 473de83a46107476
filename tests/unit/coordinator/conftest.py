"""One world per test, and a workflow that yields what it orders instead of Dapr's tasks."""

import pytest

from coordinator.workflow import former as former_workflow
from tests.unit.coordinator.fakes import World


@pytest.fixture(autouse=True)
def tasks_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(former_workflow, "when_all", list)


@pytest.fixture
def world() -> World:
    return World()

"""A time limit counts the time that a process had, and names the file that it ran, not one that was being imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from migration_sidecar.worker import time_limit as module
from migration_sidecar.worker.time_limit import time_limit


class Passed(BaseException):
    """The refusal."""


def compute(seconds: float) -> None:
    until = monotonic() + seconds
    while monotonic() < until:
        pass


@pytest.fixture
def reports() -> list[Any]:
    return []


@pytest.fixture(autouse=True)
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("spend", [compute, sleep])
def test_after_the_limit_it_is_reported_and_refused(spend: Any, reports: list[Any]) -> None:
    with pytest.raises(Passed), time_limit(0.2, Passed, reports.append):
        spend(20)
    assert reports == [{"event": "hangs", "after_seconds": 0.2}]


def test_the_time_that_a_busy_machine_takes_does_not_count(reports: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    began = monotonic()
    monkeypatch.setattr(module, "seconds_without_processor", lambda: 0.9 * (monotonic() - began))
    with time_limit(0.2, Passed, reports.append):
        sleep(1)
    with pytest.raises(Passed), time_limit(0.05, Passed, reports.append):
        sleep(20)


def test_waiting_is_limited_apart_from_computing(reports: list[Any]) -> None:
    with time_limit(0, Passed, reports.append) as limit:
        limit.watch_waiting(0.3, Passed)
        compute(0.6)
        with pytest.raises(Passed):
            sleep(20)
    assert reports == []


def test_nothing_is_interrupted_after_the_block(reports: list[Any]) -> None:
    with time_limit(0, Passed, reports.append) as limit:
        pass
    limit.watch_waiting(0.05, Passed)
    sleep(0.3)


def test_the_file_that_runs_is_named_before_the_one_that_it_imports(tmp_path: Path, reports: list[Any]) -> None:
    (tmp_path / "slow_models.py").write_text("import time\n\ntime.sleep(20)\n")
    runs = tmp_path / "a1.py"
    runs.write_text("\nimport slow_models\n")
    spec = spec_from_file_location("a1", runs)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(Passed) as passed, time_limit(0.3, Passed, reports.append):
        spec.loader.exec_module(module_from_spec(spec))
    assert str(passed.value).startswith("a1.py:2, where slow_models.py:3 is being imported")

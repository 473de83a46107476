"""Failpoints are for tests: asked for outside one, or not understood, nothing starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from migration_sidecar.child.failpoints import Failpoint, read


def asked(text: str, **more: str) -> dict[str, str]:
    return {"MIGRATION_FAILPOINTS": text, "MIGRATION_FAILPOINTS_LOG": "/dev/null", **more}


def test_nothing_is_asked_for_by_default() -> None:
    assert read({}) == ()


def test_a_list_is_read_as_it_is_written() -> None:
    points = read(asked("lock_taken:kill@1,journal_written:delay:20@3", MIGRATION_TEST="1"))
    assert points == (Failpoint("lock_taken", "kill", 1), Failpoint("journal_written", "delay:20", 3))


@pytest.mark.parametrize("text", ["lock_taken", "lock_taken:kill", "nowhere:kill@1", "lock_taken:burn@1", "kill@1,"])
def test_what_is_not_understood_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="lock_taken:kill@1") as refused:
        read(asked(text, MIGRATION_TEST="1"))
    assert text not in str(refused.value).replace("lock_taken:kill@1", "")


def test_a_process_outside_a_test_does_not_start_with_failpoints() -> None:
    code = "import migration_sidecar.child.failpoints"
    ended = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked("lock_taken:kill@1")}, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert "MIGRATION_TEST=1 is not set" in ended.stderr


def test_the_nth_arrival_is_counted_over_processes_and_a_hit_leaves_evidence(tmp_path: Path) -> None:
    log = tmp_path / "hits"
    code = "from migration_sidecar.child.failpoints import reach; reach('lock_taken')"
    environment = {**os.environ, **asked("lock_taken:raise@2", MIGRATION_TEST="1", MIGRATION_FAILPOINTS_LOG=str(log))}
    codes = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True).returncode for _ in "123"
    ]
    assert codes == [0, 1, 0]
    assert [line.rsplit(" ", 2)[0] for line in log.read_text().splitlines()] == [
        *("at lock_taken", "at lock_taken", "hit lock_taken raise", "at lock_taken")
    ]

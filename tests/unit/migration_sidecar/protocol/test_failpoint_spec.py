"""Failpoints are for tests: asked for outside one, or not understood, nothing starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from migration_sidecar.config.settings import read_settings
from migration_sidecar.contract.errors import Misconfigured
from migration_sidecar.protocol.failpoint_spec import Failpoint, parse_failpoints


def asked(text: str, **more: str) -> dict[str, str]:
    return {"MIGRATION_FAILPOINTS": text, "MIGRATION_FAILPOINTS_LOG": "/dev/null", **more}


def test_nothing_is_asked_for_by_default() -> None:
    assert parse_failpoints({}) == ()


def test_a_list_is_read_as_it_is_written() -> None:
    points = parse_failpoints(asked("lock_taken:kill@1,journal_written:delay:20@3", MIGRATION_TEST="1"))
    assert points == (Failpoint("lock_taken", "kill", 1), Failpoint("journal_written", "delay:20", 3))


@pytest.mark.parametrize("text", ["lock_taken", "lock_taken:kill", "nowhere:kill@1", "lock_taken:burn@1", "kill@1,"])
def test_what_is_not_understood_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="lock_taken:kill@1") as refused:
        parse_failpoints(asked(text, MIGRATION_TEST="1"))
    assert text not in str(refused.value).replace("lock_taken:kill@1", "")


def test_settings_are_refused_with_failpoints_outside_a_test(tmp_path: Path) -> None:
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = alembic\nsqlalchemy.url = postgresql://h/orders\n")
    with pytest.raises(Misconfigured, match=r"CM-701 .*: MIGRATION_FAILPOINTS: it is for tests only"):
        read_settings(ini, asked("lock_taken:kill@1"))


@pytest.mark.parametrize("command", ["status", "plan", "upgrade", "history", "serve"])
def test_no_command_starts_with_failpoints_outside_a_test(command: str, tmp_path: Path) -> None:
    ended = in_a_shell("migration_sidecar.cli", command, "--config", environment_in(tmp_path))
    assert ended.returncode == 2
    assert "CM-701" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_alembic_by_hand_does_not_start_with_failpoints_outside_a_test(tmp_path: Path) -> None:
    ended = in_a_shell("alembic.config", "-c", environment_in(tmp_path), "upgrade", "head")
    assert ended.returncode != 0
    assert "CM-701 The configuration cannot be used: MIGRATION_FAILPOINTS: it is for tests only" in ended.stdout
    assert "Traceback" not in ended.stderr


def environment_in(folder: Path) -> str:
    ini = folder / "alembic.ini"
    ini.write_text(f"[alembic]\nscript_location = {folder}/alembic\nsqlalchemy.url = postgresql://127.0.0.1:1/orders\n")
    (folder / "alembic" / "versions").mkdir(parents=True)
    (folder / "alembic" / "env.py").write_text("from migration_sidecar.environment import run\n\nrun(None)\n")
    return str(ini)


def in_a_shell(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.argv = {['x', *words]!r}; from {module} import main; main()"
    environment = {**os.environ, **asked("lock_taken:kill@1")}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)


def test_the_nth_arrival_is_counted_over_processes_and_a_hit_leaves_evidence(tmp_path: Path) -> None:
    log = tmp_path / "hits"
    code = "from migration_sidecar.worker.failpoints import reach; reach('lock_taken')"
    environment = {**os.environ, **asked("lock_taken:raise@2", MIGRATION_TEST="1", MIGRATION_FAILPOINTS_LOG=str(log))}
    codes = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True).returncode for _ in "123"
    ]
    assert codes == [0, 1, 0]
    assert [line.rsplit(" ", 2)[0] for line in log.read_text().splitlines()] == [
        *("at lock_taken", "at lock_taken", "hit lock_taken raise", "at lock_taken")
    ]

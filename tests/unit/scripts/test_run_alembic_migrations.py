"""The runner script of the guide, with an engine that only says what it was asked."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CATALOG = """
[fleet]
name = "rmbrain"
audit = "cas-audit"
[[services]]
name = "cas-audit"
folder = "services/cas_service"
database = "cas_audit"
[[services]]
name = "cds-client"
folder = "services/client_service"
database = "cds_client"
[[services]]
name = "bff-service"
no_database = "it only calls other services"
[[services]]
name = "cds-task"
folder = "services/task_service"
database = "cds_task"
"""
ENGINE = """#!/bin/sh
echo "asked: $* ${DATABASE_URL:-}"
case "$*" in *$FAILS*) echo "CM-401 it failed"; exit 1;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A root of its own with the real script in it."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/run_alembic_migrations.sh", tmp_path / "scripts")
    shutil.copytree(ROOT / "scripts/infrastructure", tmp_path / "scripts/infrastructure")
    (tmp_path / "fleet.toml").write_text(CATALOG)
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    for program, text in (
        (programs / "python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'),
        (programs / "migration-sidecar", ENGINE),
        (tmp_path / "scripts/setup", "#!/bin/sh\n"),
    ):
        program.write_text(text)
        program.chmod(0o755)
    return tmp_path


def run(checkout: Path, *arguments: str, fails: str = "nobody", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "scripts/run_alembic_migrations.sh", *arguments],
        env={"PATH": "/usr/bin:/bin", "FAILS": fails, **environment},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )


def asked(result: subprocess.CompletedProcess[str]) -> list[str]:
    lines = [line for line in result.stdout.splitlines() if line.startswith("asked: ")]
    return [line.split("/services/")[1].split("_service")[0] for line in lines]


def test_every_service_with_a_database_is_migrated_in_the_order_of_the_catalog(checkout: Path) -> None:
    result = run(checkout, "upgrade", "head")
    assert asked(result) == ["cas", "client", "task"]
    assert f"asked: upgrade head --config {checkout}/services/cas_service/alembic.ini" in result.stdout
    assert "3 of 3 services done" in result.stdout
    assert result.returncode == 0


def test_a_downgrade_goes_backwards_and_takes_the_audit_last(checkout: Path) -> None:
    result = run(checkout, "downgrade", "-1")
    assert asked(result) == ["task", "client", "cas"]
    assert "asked: downgrade -1 --config" in result.stdout


def test_a_failure_stops_the_rest_and_is_reported(checkout: Path) -> None:
    result = run(checkout, "upgrade", "head", fails="client_service")
    assert asked(result) == ["cas", "client"]
    report = result.stdout.split("Report: upgrade head\n")[1].splitlines()
    assert [line.split()[:2] for line in report] == [
        ["done", "cas-audit"],
        ["failed", "cds-client"],
        ["skipped", "cds-task"],
    ]
    assert "1 of 3 services done" in result.stderr
    assert result.returncode == 1


def test_with_keep_going_the_others_are_tried_and_the_failure_still_counts(checkout: Path) -> None:
    result = run(checkout, "--keep-going", "upgrade", "head", fails="client_service")
    assert asked(result) == ["cas", "client", "task"]
    assert result.returncode == 1


@pytest.mark.parametrize(("command", "meant"), [("current", "status"), ("history", "history")])
def test_looking_goes_through_all_services_even_past_a_failure(checkout: Path, command: str, meant: str) -> None:
    result = run(checkout, command, fails="cas_service")
    assert asked(result) == ["cas", "client", "task"]
    assert f"asked: {meant} --config" in result.stdout
    assert result.returncode == 1


def test_one_services_database_url_is_not_used_for_all_of_them(checkout: Path) -> None:
    result = run(checkout, "upgrade", "head", DATABASE_URL="postgresql://canary")
    assert asked(result) == ["cas", "client", "task"]
    assert "canary" not in result.stdout


@pytest.mark.parametrize("arguments", [[], ["upgrade"], ["downgrade"], ["current", "x"], ["revision", "x"]])
def test_anything_else_is_answered_with_what_there_is(checkout: Path, arguments: list[str]) -> None:
    result = run(checkout, *arguments)
    assert result.returncode == 2
    assert "Usage: ./scripts/run_alembic_migrations.sh" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert asked(result) == []


def test_a_pipe_gets_no_colours(checkout: Path) -> None:
    assert "\x1b" not in run(checkout, "upgrade", "head").stdout


@pytest.mark.parametrize(
    ("content", "why"), [("[[services", "The catalog is not TOML"), ("", "In the catalog, fleet: ")]
)
def test_a_catalog_that_cannot_be_used_is_one_sentence_and_no_success(checkout: Path, content: str, why: str) -> None:
    (checkout / "fleet.toml").write_text(content)
    result = run(checkout, "upgrade", "head")
    assert result.returncode == 2
    assert result.stderr.startswith(f"The catalog {checkout}/fleet.toml cannot be used: {why}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("downgrade", "-1"), ("upgrade", "+1")])
def test_nobody_is_told_to_repeat_what_would_move_the_others_once_more(
    checkout: Path, arguments: tuple[str, str]
) -> None:
    result = run(checkout, *arguments, fails="client_service")
    assert "run the same command again" not in result.stderr
    assert f'"{" ".join(arguments)}" again would move those that are done once more' in result.stderr


def test_a_repeat_is_advised_where_it_does_no_harm(checkout: Path) -> None:
    assert "run the same command again" in run(checkout, "upgrade", "head", fails="client_service").stderr

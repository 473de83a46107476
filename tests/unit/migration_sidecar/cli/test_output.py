"""What a person at a terminal, or whoever reads a log, is told."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from migration_sidecar.cli.output import print_problem_details
from migration_sidecar.contract.messages import Problem
from migration_sidecar.engine.operations.monitor import describe_backend

BEGUN = datetime(2026, 11, 22, 16, 26, 41, tzinfo=UTC)


def test_a_session_is_named_by_what_does_not_change_while_it_is_waited_for() -> None:
    assert describe_backend(8825, "psql", BEGUN) == "pid 8825 (psql, since 2026-11-22 16:26:41 UTC)"
    assert describe_backend(8825, "", None) == "pid 8825 (no application name)"


def test_a_sentence_is_one_line_however_long_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_problem_details(Problem(code="CM-401", title="A revision failed", detail="word " * 100, next_step="Look."))
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_the_servers_own_words_have_a_line_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    print_problem_details(
        Problem.of("CM-401", "Revision a1 stopped with UniqueViolation.", server_message="duplicate key")
    )
    assert "  said  duplicate key" in capsys.readouterr().err


def test_a_table_in_a_pipe_is_as_wide_as_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    words = [sys.executable, "-c", "from migration_sidecar.cli.output import out; out.print('word ' * 500)"]
    printed = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "20"})
    assert printed.stdout.splitlines() == [("word " * 500)]

"""What a person at a terminal, or whoever reads a log, is told."""

from __future__ import annotations

import pytest

from migration_sidecar.cli.migrate_commands import is_told
from migration_sidecar.cli.output import show
from migration_sidecar.contract.messages import Problem

WAITS = "Revision a1 waits for table customers, held by pid 8825 (psql, 8 s)."


def test_the_age_of_a_session_is_no_news() -> None:
    assert is_told("Revision a1 waits for table customers, held by pid 8825 (psql, 9 s).", WAITS)


def test_another_session_or_another_table_is_news() -> None:
    assert not is_told("Revision a1 waits for table customers, held by pid 9000 (psql, 8 s).", WAITS)
    assert not is_told("Revision a2 waits for table orders, held by pid 8825 (psql, 8 s).", WAITS)
    assert not is_told(WAITS, None)


def test_a_sentence_is_one_line_however_long_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show(Problem(code="CM-401", title="A revision failed", detail="word " * 100, next_step="Look."))
    assert len(capsys.readouterr().err.splitlines()) == 3

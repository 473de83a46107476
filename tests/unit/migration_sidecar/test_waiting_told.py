"""What a person at a terminal is told while a revision waits."""

from __future__ import annotations

from migration_sidecar.cli.migrating import is_told

WAITS = "Revision a1 waits for table customers, held by pid 8825 (psql, 8 s)."


def test_the_age_of_a_session_is_no_news() -> None:
    assert is_told("Revision a1 waits for table customers, held by pid 8825 (psql, 9 s).", WAITS)


def test_another_session_or_another_table_is_news() -> None:
    assert not is_told("Revision a1 waits for table customers, held by pid 9000 (psql, 8 s).", WAITS)
    assert not is_told("Revision a2 waits for table orders, held by pid 8825 (psql, 8 s).", WAITS)
    assert not is_told(WAITS, None)

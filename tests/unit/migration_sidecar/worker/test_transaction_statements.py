"""Statements about transactions are found in any SQL text, and not in what is quoted there."""

from __future__ import annotations

import pytest

from migration_sidecar.worker.transaction_statements import manages_transactions, replace_ends

NO_TRANSACTION = (
    "INSERT INTO log VALUES ('a; COMMIT')",
    "SELECT 1 -- ; COMMIT",
    "DO $$ BEGIN PERFORM 1; END; $$",
    "DO $body$ BEGIN ROLLBACK; COMMIT; END $body$",
    'SELECT 1 AS "x; commit"',
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END",
    "SELECT CASE WHEN true THEN 1 END",
    "CREATE TABLE committed (id int)",
)


def ended(sql: str) -> str:
    return replace_ends(sql, lambda commits: "KEEP" if commits else "UNDO")


@pytest.mark.parametrize("sql", NO_TRANSACTION)
def test_what_only_looks_like_a_commit_is_left_alone(sql: str) -> None:
    assert not manages_transactions(sql)
    assert ended(sql) == sql


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("COMMIT", "KEEP"),
        (" end transaction ;", " KEEP ;"),
        ("-- done\nCOMMIT AND NO CHAIN", "-- done\nKEEP"),
        ("COMMIT; BEGIN", "KEEP; BEGIN"),
        (
            "SELECT 1; ROLLBACK WORK; INSERT INTO t VALUES ('COMMIT'); END",
            "SELECT 1; UNDO; INSERT INTO t VALUES ('COMMIT'); KEEP",
        ),
        ("abort", "UNDO"),
    ],
)
def test_each_statement_that_ends_a_transaction_is_replaced(sql: str, expected: str) -> None:
    assert manages_transactions(sql)
    assert ended(sql) == expected


@pytest.mark.parametrize("sql", ["SAVEPOINT a", "ROLLBACK TO SAVEPOINT a", "release a", "BEGIN", "start transaction"])
def test_a_statement_about_a_savepoint_ends_no_transaction(sql: str) -> None:
    assert manages_transactions(sql)
    assert ended(sql) == sql

"""What a process knows of its connections: the password is hidden, and where they lead is shown."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy

from migration_sidecar.worker import known_passwords
from migration_sidecar.worker.failure_report import describe_failure

PASSWORD = "Ka\"na'rie 7"
TOLD = 'connection to server at "h.example", port 1 failed: FATAL:  database "shop" does not exist'


@pytest.fixture(autouse=True)
def connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an attempt of env.py to connect."""
    monkeypatch.setattr(known_passwords, "_KNOWN", {})
    monkeypatch.setattr(known_passwords, "_ADDRESSES", set())
    listened = []
    monkeypatch.setattr(sqlalchemy.event, "listen", lambda *arguments: listened.append(arguments))
    known_passwords.watch()
    ((_, name, connecting),) = listened
    assert name == "do_connect"
    connecting(None, None, (), {"host": "h.example", "dbname": "shop", "user": "ada", "password": PASSWORD})


def said(error: BaseException) -> str:
    return describe_failure(error, None)["server_message"] or ""


def test_the_password_is_hidden_whatever_quotes_are_in_it() -> None:
    assert said(RuntimeError(f"cannot log in with {PASSWORD} as ada")) == "cannot log in with … as ada"


def test_where_no_session_was_had_stays_readable() -> None:
    assert said(psycopg.OperationalError(TOLD)) == TOLD


def test_other_words_in_quotes_do_not() -> None:
    assert said(psycopg.OperationalError(TOLD.replace("shop", "Meyer"))).count("Meyer") == 0

"""What each driver's error says, told alike."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from sqlalchemy.exc import DBAPIError

from migration_sidecar.worker.dbapi import driver_error, first_error, server_words, sqlstate_of

SENTENCE = 'relation "nowhere" does not exist'


class ProgrammingError(Exception):
    """As drivers name it; psycopg and psycopg2 give attributes, pg8000 a dictionary."""


def with_attributes(**attributes: object) -> ProgrammingError:
    error = ProgrammingError(f"{SENTENCE}\nLINE 1: INSERT INTO nowhere VALUES ('Meyer')")
    error.__dict__.update(attributes)
    return error


def of_asyncpg() -> ProgrammingError:
    adapted = with_attributes(sqlstate="42P01")
    adapted.__cause__ = with_attributes(sqlstate="42P01", message=SENTENCE)
    return adapted


DRIVERS = {
    "psycopg": with_attributes(sqlstate="42P01", diag=SimpleNamespace(message_primary=SENTENCE)),
    "psycopg2": with_attributes(pgcode="42P01", diag=SimpleNamespace(message_primary=SENTENCE)),
    "asyncpg": of_asyncpg(),
    "pg8000": ProgrammingError({"S": "ERROR", "C": "42P01", "M": SENTENCE, "P": "13"}),
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_sqlstate_and_the_servers_sentence_are_read_from_every_driver(driver: str) -> None:
    error = DBAPIError("INSERT INTO nowhere VALUES (1)", None, DRIVERS[driver])
    assert sqlstate_of(error) == "42P01"
    assert server_words(driver_error(error)).text == SENTENCE


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_error_after_the_first_one_of_a_transaction_is_told_as_the_first(driver: str) -> None:
    first = DBAPIError("INSERT", None, DRIVERS[driver])
    with pytest.raises(DBAPIError) as caught:
        fail_again_after(first)
    assert first_error(caught.value) is first


def fail_again_after(first: Exception) -> None:
    """As a cleanup in somebody's except block does."""
    try:
        raise first
    except DBAPIError:
        raise DBAPIError("SELECT", None, with_attributes(sqlstate="25P02"))  # noqa: B904


def test_somebodys_own_error_stays_itself_and_has_the_sqlstate_of_its_cause() -> None:
    own = RuntimeError("tenant acme could not be migrated")
    own.__cause__ = DBAPIError("INSERT", None, DRIVERS["psycopg"])
    assert driver_error(own) is own
    assert sqlstate_of(own) == "42P01"
    assert first_error(own) is own

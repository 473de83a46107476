"""What a driver is about to connect with, as an address that every driver understands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from migration_sidecar.database.connect import asyncpg_dsn
from migration_sidecar.protocol.url import make_url
from migration_sidecar.worker.env.engine_url import url_of_parameters

PARAMETERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a name": ("psycopg", {"host": "db", "port": 5433, "dbname": "x"}, "db:5433/x"),
    "a socket": ("psycopg", {"host": "/run/pg", "dbname": "x"}, "/x?host=%2Frun%2Fpg"),
    "a socket's file": (
        "pg8000",
        {"unix_sock": "/run/pg/.s.PGSQL.5433", "database": "x"},
        "/x?host=%2Frun%2Fpg&port=5433",
    ),
    "several hosts": ("psycopg2", {"host": "a,b", "port": "1,2", "dbname": "x"}, "/x?host=a%2Cb&port=1%2C2"),
    "lists of hosts": ("asyncpg", {"host": ["a", "b"], "port": [1, 2], "database": "x"}, "/x?host=a%2Cb&port=1%2C2"),
}


@pytest.mark.parametrize(("driver", "parameters", "address"), PARAMETERS.values(), ids=PARAMETERS)
def test_the_address_of_any_driver_can_be_written_down(driver: str, parameters: dict[str, Any], address: str) -> None:
    dialect = SimpleNamespace(name="postgresql", driver=driver)
    assert url_of_parameters(dialect, {**parameters, "user": "ada"}) == f"postgresql+{driver}://ada@{address}"


def test_what_only_another_driver_understands_is_left_out_of_our_own_sessions() -> None:
    url = make_url("postgresql+psycopg://ada@/x?host=a:1&host=b:2&connect_timeout=9&sslmode=require")
    assert asyncpg_dsn(url) == "postgresql://ada@/x?host=a%3A1%2Cb%3A2&sslmode=require"


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("postgresql://h:5433/x", "h:5433"),
        ("postgresql:///x", "localhost:5432"),
        ("postgresql:///x?host=/run/pg&port=5433", "/run/pg:5433"),
        ("postgresql:///x?host=a,b&port=1,2", "a,b:1,2"),
    ],
)
def test_a_sentence_names_the_server_wherever_the_address_has_it(text: str, server: str) -> None:
    assert make_url(text).server == server

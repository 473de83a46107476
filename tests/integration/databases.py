"""Fresh databases on the test session's own server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
from psycopg import sql

from scripts.infrastructure.postgres import Address, PostgresServer


@dataclass(frozen=True)
class Database:
    """An empty database; `url` is for psycopg and SQLAlchemy, `async_url` for SQLAlchemy on asyncpg."""

    name: str
    address: Address

    @property
    def url(self) -> str:
        return self.address.url(self.name)

    @property
    def async_url(self) -> str:
        return self.address.url(self.name, scheme="postgresql+asyncpg")

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection in autocommit mode."""
        return self.address.connect(self.name)


CreateDatabase = Callable[[], Database]
_numbers = count(1)


@contextmanager
def fresh_database(server: PostgresServer, options: str = "") -> Iterator[Database]:
    """Dropped at the end whoever is still connected. `options` are more words of CREATE DATABASE."""
    name = f"test_{next(_numbers)}"
    with server.address.connect() as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ").format(sql.Identifier(name))
        connection.execute(create + sql.SQL(options))  # type: ignore[arg-type]
    try:
        yield Database(name, server.address)
    finally:
        with server.address.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

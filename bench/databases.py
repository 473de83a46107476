"""Creates empty databases on the bench's own server, and reads their revisions."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from scripts.infrastructure.postgres import Address, PostgresServer


def make_anew(postgres: PostgresServer, names: Iterable[str]) -> None:
    """Drops the databases, also while clients are connected, and creates them. Raises NotOurs on any other server.

    All earlier writes are on disk then, so that no way pays for the checkpoint of another one.
    """
    postgres.prove_ours()
    with postgres.address.connect() as connection:
        for name in map(sql.Identifier, names):
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        connection.execute("CHECKPOINT")


def revision_of(address: Address, name: str) -> str:
    """The revision of a database; several are separated by commas. Empty if there is none."""
    with address.connect(name) as connection:
        exists = connection.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL").fetchone()
        if exists is None or not exists[0]:
            return ""
        rows = connection.execute("SELECT version_num FROM public.alembic_version").fetchall()
        return ",".join(sorted(row[0] for row in rows))

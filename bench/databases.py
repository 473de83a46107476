"""Databases made anew on a cluster of the bench's own, and what each is at."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from scripts.infrastructure.postgres import Address, PostgresServer


def make_anew(postgres: PostgresServer, names: Iterable[str]) -> None:
    """Drops and creates them whoever is connected; refuses on any cluster but the bench's own.

    What was written so far is on disk then, so that nobody pays for a checkpoint that another one caused.
    """
    postgres.prove_ours()
    with postgres.address.connect() as connection:
        for name in map(sql.Identifier, names):
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        connection.execute("CHECKPOINT")


def revision_of(address: Address, name: str) -> str:
    """Empty where there is none."""
    with address.connect(name) as connection:
        there = connection.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL").fetchone()
        if there is None or not there[0]:
            return ""
        rows = connection.execute("SELECT version_num FROM public.alembic_version").fetchall()
        return ",".join(sorted(row[0] for row in rows))

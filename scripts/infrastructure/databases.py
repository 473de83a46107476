"""Creates databases on our own server, or on the one that the user named."""

from __future__ import annotations

import psycopg
from psycopg import sql

from scripts.infrastructure.postgres import Address

COORDINATOR_DATABASE = "migration_coordinator"


def create_database(server: Address, name: str) -> bool:
    """Returns False when it exists already, also when another program creates it at the same time."""
    with server.connect() as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return False
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return False
    return True


def prepare_state_store(server: Address) -> None:
    """Creates the schema for Dapr's state. Dapr creates its tables itself, but daprd ends if the schema is missing."""
    create_database(server, COORDINATOR_DATABASE)
    with server.connect(COORDINATOR_DATABASE) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS dapr")


def owner_of_state(server: Address) -> str:
    """The owner of the schema for Dapr's state."""
    with server.connect(COORDINATOR_DATABASE) as connection:
        row = connection.execute("SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'dapr'").fetchone()
    return str(row[0]) if row else ""

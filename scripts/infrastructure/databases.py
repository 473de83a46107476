"""Makes databases, on our own server or on one that the user named, and nowhere else."""

from __future__ import annotations

import psycopg
from psycopg import sql

from scripts.infrastructure.postgres import Address

COORDINATOR_DATABASE = "migration_coordinator"


def create_database(server: Address, name: str) -> bool:
    """False when it exists already, also when somebody else makes it at this very moment."""
    with server.connect() as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return False
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return False
    return True


def prepare_state_store(server: Address) -> None:
    """Dapr makes its tables itself, but not the schema they are in; daprd ends when that is missing."""
    create_database(server, COORDINATOR_DATABASE)
    with server.connect(COORDINATOR_DATABASE) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS dapr")

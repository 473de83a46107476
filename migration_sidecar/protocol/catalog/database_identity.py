"""What tells one database from every other, as parent and worker read it in their own sessions."""

from __future__ import annotations

from typing import TypedDict

# SQL expressions. The moment in microseconds at which the server started, and the database's oid on it: a standby and a
# copied data directory have the same system identifier and the same oids, and never the same moment.
IDENTITY = """CAST(extract(epoch FROM pg_postmaster_start_time()) * 1000000 AS bigint) AS started,
  (SELECT CAST(oid AS bigint) FROM pg_database WHERE datname = current_database()) AS database"""
# Two queries, because PostgreSQL checks the right to call a function before it evaluates a CASE.
MAY_READ_SYSTEM = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')"
SYSTEM = "SELECT CAST(system_identifier AS text) FROM pg_control_system()"


class DatabaseIdentity(TypedDict):
    """One database of one running server."""

    started: int  # microseconds
    database: int
    system: str | None  # equal after a restart and on a promoted standby; None if the role may not read it


def is_same(one: DatabaseIdentity, other: DatabaseIdentity) -> bool:
    """Whether both are one database of one running server."""
    return (one["started"], one["database"]) == (other["started"], other["database"])


def may_have_restarted(one: DatabaseIdentity, other: DatabaseIdentity) -> bool:
    """Whether both may be the same database before and after a restart or a failover. It may also be a copy."""
    return one["system"] is not None and (one["system"], one["database"]) == (other["system"], other["database"])

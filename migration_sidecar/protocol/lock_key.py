"""The keys of the PostgreSQL advisory locks that parent and worker take; docs/engine.md lists them for operators."""

from __future__ import annotations

from hashlib import sha256

LOCK_CLASS = 0x4D49  # 19785: the migration lock, with the key of its version table
DDL_LOCK = (LOCK_CLASS, 0)  # taken while our own tables are created
OPERATION_CLASS = 19786  # the replica that drives an operation
START_UP_CLASS = 19787  # the replica that looks whether a start-up operation is due


def lock_key(version_table: str, version_table_schema: str) -> dict[str, int]:
    """The key for one version table, equal for every program that migrates it.

    It does not depend on a path: two checkouts of a service must use the same lock.
    """
    digest = sha256(f"{version_table_schema}\0{version_table}".encode()).digest()
    return {"class_id": LOCK_CLASS, "object_id": int.from_bytes(digest[:4], "big", signed=True)}


def is_held(class_id: str, object_id: str) -> str:
    """The condition on pg_locks for a lock of two integers that is held in this database; both are SQL, as `$1`."""
    # objid is unsigned in pg_locks, hence the mask for negative keys.
    return f"""locktype = 'advisory' AND granted AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid::bigint = {class_id} AND objid::bigint = (CAST({object_id} AS bigint) & 4294967295)"""  # noqa: S608 - our own text


def holder_of(class_id: str, object_id: str) -> str:
    """The query for the backend that holds such a lock: pid, application, since."""
    return f"""
    SELECT l.pid, coalesce(a.application_name, '') AS application, a.backend_start AS since
    FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE {is_held(class_id, object_id)} LIMIT 1"""  # noqa: S608 - our own text

"""The advisory locks that we take; parent and worker must name the same ones.

Documented in docs/engine.md, so that a person can find them in pg_locks.
"""

from __future__ import annotations

from hashlib import sha256

LOCK_CLASS = 0x4D49  # 19785: the migration lock, with the key of its version table
DDL_LOCK = (LOCK_CLASS, 0)  # whoever makes our own tables
OPERATION_CLASS = 19786  # the replica that drives an operation
START_UP_CLASS = 19787  # the replica that looks whether a start-up operation is due


def lock_key(version_table: str, version_table_schema: str) -> dict[str, int]:
    """From what every way in sees alike; never a path, or two checkouts of one service would not meet."""
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

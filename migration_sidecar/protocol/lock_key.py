"""Which advisory lock belongs to a version table; both sides must name the same one."""

from __future__ import annotations

from hashlib import sha256

LOCK_CLASS = 0x4D49  # documented in docs/engine.md, so that a person can find the lock in pg_locks


def lock_key(version_table: str, version_table_schema: str) -> dict[str, int]:
    """From what every way in sees alike; never a path, or two checkouts of one service would not meet."""
    digest = sha256(f"{version_table_schema}\0{version_table}".encode()).digest()
    return {"class_id": LOCK_CLASS, "object_id": int.from_bytes(digest[:4], "big", signed=True)}

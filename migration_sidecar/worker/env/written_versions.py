"""Notes the version tables that env.py changes on a connection before it migrates on another one.

The probe lets nothing be committed, so the second connection does not see what the first one wrote.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from migration_sidecar.protocol.results import SeenVersionTable

_XID = "SELECT CAST(pg_current_xact_id_if_assigned() AS text)"
_WRITTEN = """
SELECT DISTINCT CAST(c.oid AS bigint), CAST(n.nspname AS text), CAST(c.relname AS text), pg_table_is_visible(c.oid),
       CASE WHEN a.atttypmod > 4 THEN a.atttypmod - 4 END, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'version_num' AND NOT a.attisdropped
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.relkind IN ('r', 'p')
  AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
"""


class WrittenVersions:
    """The version tables of each transaction that env.py committed, as that transaction left them."""

    def __init__(self) -> None:
        self._written: list[tuple[str, str, str, bool, SeenVersionTable]] = []
        event.listen(Engine, "commit", self._note)

    def lost(self, xid: str | None, name: str, schema: str) -> SeenVersionTable | None:
        """The version table as another transaction than `xid` left it; None if no other one wrote it."""
        for number, space, table, visible, seen in reversed(self._written):
            if table == name and (space == schema if schema else visible):
                return None if number == xid else seen
        return None

    def _note(self, connection: Any) -> None:
        if connection.dialect.name != "postgresql":
            return
        cursor = connection.connection.cursor()
        xid = _rows(cursor, _XID)[0][0]
        for oid, schema, name, visible, width, quoted in _rows(cursor, _WRITTEN) if xid is not None else []:
            rows = _rows(cursor, f"SELECT version_num FROM {quoted}")  # noqa: S608 - quoted
            held = sorted(str(row[0]) for row in rows if row[0] is not None)
            self._written.append((xid, schema, name, visible, {"oid": oid, "revisions": held, "width": width}))
        cursor.close()


def _rows(cursor: Any, statement: str) -> list[Any]:
    cursor.execute(statement)
    return list(cursor.fetchall())

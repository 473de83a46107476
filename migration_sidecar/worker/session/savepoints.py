"""Sees the savepoints of the connection that migrates, whether SQLAlchemy sets them or a statement of env.py's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from migration_sidecar.worker.session.revision_rows import RevisionRows

_SAVEPOINT = re.compile(
    r'\s*(?:savepoint|(?P<undo>rollback(?:\s+work|\s+transaction)?\s+to(?:\s+savepoint)?))\s+"?(?P<name>\w+)',
    re.IGNORECASE,
)


def watch_savepoints(connection: Connection, rows: Callable[[], RevisionRows]) -> None:
    """From now on `rows` is told what a savepoint of this connection keeps and undoes."""

    def executed(_: Any, __: Any, statement: str, *___: Any) -> None:
        found = _SAVEPOINT.match(statement)
        if found is not None and found["undo"]:
            rows().undo_savepoint(found["name"])
        elif found is not None:
            rows().note_savepoint(found["name"])

    event.listen(connection, "after_cursor_execute", executed)

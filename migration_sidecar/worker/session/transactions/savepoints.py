"""Sees statements about transactions on the connection that migrates, whether SQLAlchemy or env.py executes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from migration_sidecar.worker.session.revision_rows import ENDS_BY_SQL
from migration_sidecar.worker.transaction_statements import manages_transactions

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from migration_sidecar.worker.session.revision_rows import RevisionRows

_SAVEPOINT = re.compile(
    r'\s*(?:savepoint|(?P<undo>rollback(?:\s+work|\s+transaction)?\s+to(?:\s+savepoint)?))\s+"?(?P<name>\w+)',
    re.IGNORECASE,
)


def watch_savepoints(connection: Connection, rows: Callable[[], RevisionRows]) -> None:
    """From now on `rows` is told what a savepoint keeps and undoes, and a statement like COMMIT is noted."""

    def executed(_: Any, __: Any, statement: str, *___: Any) -> None:
        found = _SAVEPOINT.match(statement)
        if found is not None and found["undo"]:
            rows().undo_savepoint(found["name"])
        elif found is not None:
            rows().note_savepoint(found["name"])
        elif manages_transactions(statement):
            connection.info[ENDS_BY_SQL] = True

    event.listen(connection, "after_cursor_execute", executed)

"""Explains errors of statements that cannot run in a transaction."""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb

from migration_sidecar.protocol.server_words import readable
from migration_sidecar.worker.dbapi import driver_error, server_words, sqlstate_of
from migration_sidecar.worker.refusal import MigrationRefused

ACTIVE_SQL_TRANSACTION = "25001"


def refusal_for(error: BaseException, revision: str, file: Path, *, external: bool) -> MigrationRefused | None:
    """The refusal (CM-305) with file and line if a statement needs an autocommit_block; None for another error.

    `external` says that env.py began the transaction, which no autocommit_block can leave.
    """
    place = next((frame for frame in reversed(extract_tb(error.__traceback__)) if Path(frame.filename) == file), None)
    where = f"{file.name}:{place.lineno}" if place else file.name
    next_step = said = None
    if external and place is not None and "autocommit_block" in (place.line or ""):
        detail = f"{where}: env.py began a transaction before context.configure, and autocommit_block cannot leave it"
        next_step = "Let env.py hand over a connection without a transaction: connect() instead of begin()."
    elif sqlstate_of(error) == ACTIVE_SQL_TRANSACTION:
        said = readable(server_words(driver_error(error)))
        detail = f"{where}: PostgreSQL runs this statement outside a transaction only"
    else:
        return None
    return MigrationRefused("CM-305", f"{detail}; it was undone.", next_step, revision=revision, server_message=said)

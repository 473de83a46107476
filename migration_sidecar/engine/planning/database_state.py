"""Decides the state of a database by its facts and the history. Pure functions, called by the reader."""

from __future__ import annotations

from dataclasses import replace

from migration_sidecar.alembic_environment.history import History
from migration_sidecar.contract.messages import DatabaseState, Operation, OperationState
from migration_sidecar.database.facts import DatabaseFacts
from migration_sidecar.protocol.attempt import session_name

NO_HISTORY = History(heads=(), revisions={})


def classify(facts: DatabaseFacts, history: History | None) -> DatabaseState:
    """The state of a database. The lock comes first, because the state of a migrating database is not stable."""
    if facts.lock_holder is not None:
        return DatabaseState.MIGRATING
    if not facts.has_version_column:
        return DatabaseState.FOREIGN
    if history is None and facts.revisions:
        return DatabaseState.UNKNOWN
    history = history or NO_HISTORY
    if not set(facts.revisions) <= set(history.revisions):
        # Our journal has rows of this history, so this image is older than the database.
        return DatabaseState.AHEAD if facts.is_ours else DatabaseState.FOREIGN
    if not facts.revisions:
        return DatabaseState.UNMANAGED if facts.in_the_way(history.file_hashes, history.makes) else DatabaseState.EMPTY
    at_head = set(history.target_heads) <= history.ancestors(facts.revisions)
    return DatabaseState.AT_HEAD if at_head else DatabaseState.BEHIND


def is_settled(facts: DatabaseFacts, last: Operation | None) -> DatabaseFacts:
    """The facts without a lock holder whose operation has succeeded: that session is about to end."""
    if last is None or last.state is not OperationState.SUCCEEDED or facts.lock_holder is None:
        return facts
    just_ending = facts.lock_holder.application == session_name(last.operation_id)
    return replace(facts, lock_holder=None) if just_ending else facts

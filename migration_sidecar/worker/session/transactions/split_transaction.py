"""The operator's choice: a transaction for each revision, where env.py asks for one around all of them."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


def split_transaction(context: Any, connection: Connection) -> None:
    """Makes `context` end the transaction of env.py's block with each revision, and begin the next one behind the last.

    `context` was configured with transaction_per_migration. With that alone Alembic begins none for the block, and what
    env.py executes in it behind the revisions (a GRANT) would be rolled back unseen.
    """
    begin_transaction, run_migrations = context.begin_transaction, context.run_migrations

    @wraps(begin_transaction)
    def begin(_per_migration: bool = False) -> Any:
        context._transaction_per_migration = _per_migration
        try:
            return begin_transaction(_per_migration)
        finally:
            context._transaction_per_migration = True

    @wraps(run_migrations)
    def run(**arguments: Any) -> None:
        is_in_block = context._transaction is not None
        run_migrations(**arguments)
        if is_in_block and context._transaction is None and not connection.in_transaction():
            context._transaction = connection.begin()  # the block's end commits it

    context.begin_transaction, context.run_migrations = begin, run

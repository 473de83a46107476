"""Notes which tables env.py, or an application that it imports, makes by itself before any revision runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from sqlalchemy import MetaData, Table, event
from sqlalchemy.engine import Engine

from migration_sidecar.protocol.first_upgrade.rule import OwnTable
from migration_sidecar.worker.scripts.sql_names import names_in

_READS = ("select", "show", "set", "begin", "rollback")
_noted: set[OwnTable] | None = None


def note_own_tables() -> set[OwnTable]:
    """From now on in this process the set grows by every table that `create_all` or CREATE TABLE is called for.

    Also by one that is there already: `create_all` then only looks, and it is env.py's own all the same.
    """
    global _noted
    if _noted is None:
        _noted = set()
        _watch(_noted)
    return _noted


def forget_own_tables() -> None:
    """Called after a run: a program may run several migrations in one process, of different databases."""
    if _noted is not None:
        _noted.clear()


def before_first_write(wait: Callable[[Any], Any]) -> None:
    """Calls `wait` with the connection before every statement through SQLAlchemy that may write.

    A process that is prepared before its orders are there must not make what an imported application makes.
    """

    def executing(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().lower().startswith(_READS):
            wait(connection)

    event.listen(Engine, "before_cursor_execute", executing)


def _watch(noted: set[OwnTable]) -> None:
    create_all: Any = MetaData.create_all
    create: Any = Table.create

    @wraps(create_all)
    def noting_all(self: MetaData, bind: Any = None, tables: Any = None, *args: Any, **options: Any) -> Any:
        noted.update(OwnTable(each.schema or "", each.name) for each in tables or self.tables.values())
        return create_all(self, bind, tables, *args, **options)

    @wraps(create)
    def noting(self: Table, *args: Any, **options: Any) -> Any:
        noted.add(OwnTable(self.schema or "", self.name))
        return create(self, *args, **options)

    def executing(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "create" in statement.lower():
            noted.update(OwnTable(each.schema, each.table) for each in names_in(statement).made if not each.column)

    MetaData.create_all = noting_all  # type: ignore[method-assign]
    Table.create = noting  # type: ignore[method-assign]
    event.listen(Engine, "before_cursor_execute", executing)

"""Runs the code that every revision needs once, while a worker waits for its orders.

A forked process copies shared memory page by page at its first use. Most of these copies are made here, in advance.
"""

from __future__ import annotations

from io import StringIO
from typing import Any

import sqlalchemy
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Dialect, make_url


def warm_up() -> None:
    """Renders the SQL of an invented revision and discards it. It uses no database and none of the service's code."""
    dialect = make_url("postgresql://").get_dialect()()
    into_nothing: dict[str, Any] = {"as_sql": True, "output_buffer": StringIO()}
    _write_a_table(Operations(MigrationContext.configure(dialect=dialect, opts=into_nothing)))
    _compile_what_alembic_asks(dialect)


def _write_a_table(operations: Operations) -> None:
    operations.create_table(
        "made_up",
        sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True),
        sqlalchemy.Column("name", sqlalchemy.String(100), nullable=False),
        sqlalchemy.Column("at", sqlalchemy.DateTime(timezone=True), server_default=sqlalchemy.func.now()),
    )
    operations.create_index("made_up_by_name", "made_up", ["name"])
    operations.add_column("made_up", sqlalchemy.Column("more", sqlalchemy.Text))
    operations.execute("SELECT 1")


def _compile_what_alembic_asks(dialect: Dialect) -> None:
    """Compiles the statements with which Alembic finds its version table and changes the row in it."""
    version = sqlalchemy.table("made_up_version", sqlalchemy.column("version_num"))
    same = version.c.version_num == sqlalchemy.literal_column("'a'")
    name = sqlalchemy.bindparam("name", type_=sqlalchemy.String)
    for statement in (
        version.select().where(version.c.version_num == name, sqlalchemy.func.pg_is_visible(version.c.version_num)),
        version.insert().values(version_num=sqlalchemy.literal_column("'a'")),
        version.update().values(version_num=sqlalchemy.literal_column("'b'")).where(same),
    ):
        str(statement.compile(dialect=dialect))

"""Whether autogenerate sees the journal: as Alembic asks the options of context.configure."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import MetaData

from migration_sidecar.protocol.journal_schema import journal_tables
from migration_sidecar.worker.env.autogenerate import sees_journal, without_journal

CONNECTION = SimpleNamespace(dialect=SimpleNamespace(default_schema_name="public"))
EVERY_SCHEMA: dict[str, Any] = {"target_metadata": MetaData(), "include_schemas": True}


def own_schemas_only(name: str | None, kind: str, _: Any) -> bool:
    return name in (None, "shop") if kind == "schema" else True


def own_objects_only(table: Any, _name: str, kind: str, _reflected: bool, _other: Any) -> bool:
    return kind != "table" or table.schema != "migration_sidecar"


def fails(*_: Any) -> bool:
    raise KeyError


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, False),
        ({"include_schemas": True}, False),
        ({"target_metadata": MetaData()}, False),
        (EVERY_SCHEMA, True),
        ({**EVERY_SCHEMA, "include_name": own_schemas_only}, False),
        ({**EVERY_SCHEMA, "include_object": own_objects_only}, False),
        ({**EVERY_SCHEMA, "include_name": lambda *_: True, "include_object": lambda *_: True}, True),
        ({**EVERY_SCHEMA, "include_name": fails}, True),
    ],
)
def test_the_journal_is_seen_where_all_schemas_are_compared_and_no_filter_leaves_it_out(
    options: dict[str, Any], seen: bool
) -> None:
    assert sees_journal(CONNECTION, options, journal_tables()) is seen


def test_a_journal_in_the_default_schema_is_seen_by_every_autogenerate() -> None:
    options = {"target_metadata": MetaData()}
    assert sees_journal(CONNECTION, options, journal_tables("migrations"))
    assert not sees_journal(CONNECTION, options, journal_tables("ops.migrations"))


@pytest.mark.parametrize("table", [None, "migrations", "ops.migrations"])
def test_our_own_env_py_leaves_it_out_and_asks_a_filter_of_the_service_about_the_rest(table: str | None) -> None:
    tables = journal_tables(table)
    options = without_journal({**EVERY_SCHEMA, "include_name": lambda name, *_: name != "theirs"}, tables)
    assert not sees_journal(CONNECTION, options, tables)
    assert options["include_name"]("orders", "table", {"schema_name": None})
    assert not options["include_name"]("theirs", "table", {"schema_name": None})
    assert options["include_name"](tables.journal_name, "table", {"schema_name": "elsewhere"})

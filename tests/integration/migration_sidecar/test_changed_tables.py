"""What the journal says about a revision that took effect: its title, and which tables it changed."""

from __future__ import annotations

from typing import Any

import pytest

from migration_sidecar.contract.messages import Action, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.environments import Environment, carry_out, rows

BEFORE = """op.execute('''
    CREATE TABLE people (id int PRIMARY KEY, name text);
    CREATE TABLE visits (id int PRIMARY KEY, person int);
    CREATE TABLE old (id int);
    CREATE VIEW names AS SELECT name FROM people;
''')"""


async def changed(engine: Engine, database: Database, revision: str = "b") -> list[str] | None:
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    return told(database, revision).get("tables")


def told(database: Database, revision: str, kind: str = "applied") -> dict[str, Any]:
    query = "SELECT detail FROM migration_sidecar.journal WHERE revision = %s AND kind = %s"
    [(detail,)] = rows(database, query, revision, kind)
    return detail  # type: ignore[no-any-return]


SEEN = {
    "a_new_table": ("CREATE TABLE fresh (id int)", ["public.fresh"]),
    "a_column": ("ALTER TABLE people ADD COLUMN age int", ["public.people"]),
    "an_index": ("CREATE INDEX by_person ON visits (person)", ["public.visits"]),
    "rows": ("UPDATE people SET name = 'x'", ["public.people"]),
    "rows_through_a_view": ("UPDATE names SET name = 'x'", ["public.names", "public.people"]),
    "both_ends_of_a_reference": (
        "ALTER TABLE visits ADD FOREIGN KEY (person) REFERENCES people",
        ["public.people", "public.visits"],
    ),
    "a_table_that_goes": ("DROP TABLE old", ["public.old"]),
    "a_view_that_goes": ("DROP VIEW names", ["public.names"]),
    "a_table_under_a_new_name": ("ALTER TABLE old RENAME TO older", ["public.older"]),
    "a_function_that_changes": ("DO $$ BEGIN DROP TABLE old; INSERT INTO visits VALUES (1, 1); END $$",
                                ["public.old", "public.visits"]),
    "nothing_that_is_only_read": ("SELECT count(*) FROM people", None),
    "nothing_that_is_temporary": ("CREATE TEMPORARY TABLE passing AS SELECT * FROM people", None),
    "nothing_that_comes_and_goes": ("CREATE TABLE passing (id int); DROP TABLE passing", None),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), SEEN.values(), ids=SEEN.keys())
async def test_the_journal_names_the_tables_of(
    sql: str, expected: list[str] | None, engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a", BEFORE)
    environment.revision("b", f'op.execute("""{sql}""")')
    assert await changed(engine, database) == expected


async def test_each_revision_names_its_own_tables_only(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a", BEFORE)
    environment.revision("b", "op.execute('ALTER TABLE people ADD COLUMN age int')")
    environment.revision("c", "op.execute('ALTER TABLE visits ADD COLUMN at date')")
    assert await changed(engine, database) == ["public.people"]
    assert told(database, "c")["tables"] == ["public.visits"]


async def test_a_revert_names_what_it_dropped(engine: Engine, environment: Environment, database: Database) -> None:
    environment.revision("a")
    environment.revision("b")
    await carry_out(engine)
    await carry_out(engine, action=Action.DOWNGRADE, target="a")
    assert told(database, "b", "reverted")["tables"] == ["public.t_b"]


async def test_a_revision_of_many_tables_names_fifty_and_says_how_many(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a", "for number in range(60):\n    op.execute(f'CREATE TABLE n_{number:02} (id int)')")
    await carry_out(engine)
    detail = told(database, "a")
    assert (len(detail["tables"]), detail["tables_count"]) == (50, 60)


async def test_the_journal_keeps_the_title_of_a_revision_whatever_its_docstring_holds(
    engine: Engine, environment: Environment, database: Database
) -> None:
    file = environment.revision("a")
    file.write_text(file.read_text().replace("Make a", "Make \\0a\\ud800" + "!" * 200))
    await carry_out(engine)
    assert told(database, "a")["message"] == "Make a" + "!" * 94

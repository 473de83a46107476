"""A first upgrade in a database that is not empty: other people's tables, the application's own, a lost version row."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest

from migration_sidecar.contract.messages import Action, DatabaseState, OperationState
from migration_sidecar.engine.engine import Engine
from migration_sidecar.protocol.origin import Origin
from tests.integration.conftest import CreateDatabase
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, ended, request, rows, version

RELATIONS = """
    SELECT n.nspname, c.relname, c.relkind,
           ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'migration_sidecar')
    ORDER BY 1, 2"""
SITUATIONS = 20

# What one revision makes: its body, the schemas it needs, and whether a reader of the file sees the names.
MAKES = {
    "operation": ("op.create_table('{0}', sa.Column('id', sa.Integer))", "", True),
    "sql": ('op.execute("CREATE TABLE {0} (id int)")', "", True),
    "looking": (
        "if not sa.inspect(op.get_bind()).has_table('{0}'):\n    op.create_table('{0}', sa.Column('id', sa.Integer))",
        "",
        True,
    ),
    "if not exists": ('op.execute("CREATE TABLE IF NOT EXISTS {0} (id int)")', "", True),
    "quoted": ("op.create_table('{0} Ü', sa.Column('id', sa.Integer))", "", True),
    "schema": ("op.create_table('{0}', sa.Column('id', sa.Integer), schema='shop')", "CREATE SCHEMA shop", True),
    "loop": ("for name in ('{0}', '{0}_b'):\n    op.create_table(name, sa.Column('id', sa.Integer))", "", True),
    "partitions": (
        'op.execute("CREATE TABLE {0} (id int) PARTITION BY LIST (id)")\n'
        "for year in (1, 2):\n"
        '    op.execute(f"CREATE TABLE {0}_{{year}} PARTITION OF {0} FOR VALUES IN ({{year}})")',
        "",
        True,
    ),
    "view": ('op.execute("CREATE TABLE {0} (id int); CREATE VIEW {0}_v AS SELECT * FROM {0}")', "", True),
    "foreign": (
        'op.execute("CREATE FOREIGN TABLE {0} (id int) SERVER elsewhere")',
        "CREATE EXTENSION IF NOT EXISTS vector",
        True,
    ),
    "model": ("sa.Table('{0}', sa.MetaData(), sa.Column('id', sa.Integer)).create(op.get_bind())", "", True),
    "made up": ("prefix = '{0}'\nop.create_table(prefix + '_x', sa.Column('id', sa.Integer))", "", False),
    "imported": ("from json import encoder as hidden\nexec('op.create_table(\"{0}\")')", "", False),
}
MAKES.pop("foreign")  # needs a wrapper that the server of the tests does not have

# What other people have: SQL, and whether it stands where only names that can be read tell it apart.
OTHERS = {
    "a table": ("CREATE TABLE notes (id int); INSERT INTO notes VALUES (1)", True),
    "a view": ("CREATE VIEW overview AS SELECT 1 AS id", True),
    "a materialized view": ("CREATE MATERIALIZED VIEW summary AS SELECT 1 AS id", True),
    "partitions": (
        "CREATE TABLE logs (id int) PARTITION BY LIST (id); CREATE TABLE logs_1 PARTITION OF logs FOR VALUES IN (1)",
        True,
    ),
    "another schema": ("CREATE SCHEMA sales; CREATE TABLE sales.notes (id int)", True),
    "equal names elsewhere": (
        "CREATE SCHEMA old; CREATE TABLE old.t1 (id int); CREATE TABLE old.t2 (id int); CREATE VIEW old.t3 AS SELECT 1",
        True,
    ),
    "a platform": ("CREATE SCHEMA auth; CREATE TABLE auth.users (id int); CREATE TABLE auth.t1 (id int)", False),
    "an extension": (
        "CREATE EXTENSION vector; CREATE TABLE t1_spatial (id int); ALTER EXTENSION vector ADD TABLE t1_spatial",
        False,
    ),
    "a library": ("CREATE TABLE celery_taskmeta (id int); CREATE TABLE apscheduler_jobs (id int)", False),
}


@dataclass
class Situation:
    """One of many, from a seed."""

    seed: int
    kinds: list[str] = field(init=False)  # of the revisions
    others: list[str] = field(init=False)
    lost_at: int = field(init=False)  # so many revisions were applied before the version row was lost
    drops_table: bool = field(init=False)  # and the version table too

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        self.kinds = chance.choices(list(MAKES), k=chance.randint(1, 3))
        self.others = chance.sample(list(OTHERS), k=chance.randint(0, 4))
        self.lost_at = chance.choice([0, 0, *range(1, len(self.kinds) + 1)])
        self.drops_table = chance.random() < 0.5

    @property
    def is_read(self) -> bool:
        return all(MAKES[kind][2] for kind in self.kinds)

    @property
    def is_refused(self) -> bool:
        return bool(self.lost_at) or (not self.is_read and any(OTHERS[other][1] for other in self.others))

    def write(self, environment: Environment) -> None:
        for number, kind in enumerate(self.kinds, 1):
            file = environment.revision(f"r{number}", MAKES[kind][0].format(f"t{number}"), "pass")
            file.write_text(file.read_text().replace("import op\n", "import op\nimport sqlalchemy as sa\n"))

    def prepare(self, environment: Environment, database: Database) -> None:
        with database.connect() as connection:
            for statement in {MAKES[kind][1] for kind in self.kinds} - {""}:
                connection.execute(statement)  # type: ignore[arg-type]
        if self.lost_at:
            bare(environment, f"r{self.lost_at}")
        with database.connect() as connection:
            if self.lost_at:
                connection.execute("DROP TABLE alembic_version" if self.drops_table else "DELETE FROM alembic_version")
            for other in self.others:
                connection.execute(OTHERS[other][0])  # type: ignore[arg-type]


def bare(environment: Environment, target: str = "head") -> None:
    words = [sys.executable, "-m", "alembic", "-c", str(environment.ini), "upgrade", target]
    subprocess.run(words, cwd=environment.folder, check=True, capture_output=True, timeout=60)


def relations(database: Database) -> list[tuple[Any, ...]]:
    return rows(database, RELATIONS)


@pytest.mark.parametrize("seed", range(SITUATIONS))
async def test_tables_of_this_history_stop_it_and_those_of_others_do_not(
    seed: int, make_environment: MakeEnvironment, create_database: CreateDatabase, start_engine: StartEngine
) -> None:
    situation, bares, ours = Situation(seed), create_database(), create_database()
    environment = make_environment()
    situation.write(environment)
    environment.set_url(ours.url)
    situation.prepare(environment, ours)
    before = relations(ours)
    engine = start_engine(environment)
    state = (await engine.reader.status()).state
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    operation = await carry_out(engine)
    if situation.is_refused:
        assert state is DatabaseState.UNMANAGED, situation
        assert [problem.code for problem in plan.obstacles] == ["CM-552"], situation
        assert (operation.state, operation.error.code) == (OperationState.FAILED, "CM-552"), situation
        assert relations(ours) == before, situation
        if situation.lost_at:
            return
        operation = await carry_out(engine, beside_other_tables=True)
    else:
        assert (state, plan.obstacles) == (DatabaseState.EMPTY, []), situation
    assert operation.state is OperationState.SUCCEEDED, (situation, operation.error)
    environment.set_url(bares.url)
    situation.prepare(environment, bares)
    bare(environment)
    assert (relations(ours), version(ours)) == (relations(bares), version(bares)), situation


@pytest.fixture
def disputed(environment: Environment, database: Database) -> Environment:
    """A table of a1 is there, and nobody knows from whom; a1 makes it only if it is not."""
    environment.revision("a1", 'op.execute("CREATE TABLE IF NOT EXISTS t_a1 (id int)")')
    with database.connect() as connection:
        connection.execute("CREATE TABLE t_a1 (id int)")
    return environment


JOURNALLED = "SELECT DISTINCT kind, detail->>'beside' FROM migration_sidecar.journal ORDER BY 1"


async def test_the_refusal_names_the_word_that_is_the_answer(disputed: Environment, engine: Engine) -> None:
    refused = await carry_out(engine)
    assert refused.error.code == "CM-552"
    assert "public.t_a1" in refused.error.detail
    for word in ("--beside-other-tables", "beside_other_tables", "adopt --revision"):
        assert word in refused.error.next_step


async def test_a_request_can_say_that_the_tables_are_other_people_s(
    disputed: Environment, engine: Engine, database: Database
) -> None:
    assert (await engine.reader.plan(Action.UPGRADE, "head", beside_other_tables=True)).obstacles == []
    operation = await carry_out(engine, beside_other_tables=True)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert rows(database, JOURNALLED) == [
        ("applied", "other_tables"),
        ("attempt", "other_tables"),
        ("started", "other_tables"),
    ]
    stored = "SELECT request->>'beside_other_tables', agreed->>'beside' FROM migration_sidecar.operations"
    assert rows(database, stored) == [("true", "other_tables")]


async def test_a_setting_can_say_it_for_start_up(
    disputed: Environment, database: Database, start_engine: StartEngine
) -> None:
    disputed.ini.write_text(disputed.ini.read_text() + "beside_other_tables = true\n")
    engine = start_engine(disputed)
    assert (await engine.reader.status()).state is DatabaseState.EMPTY
    await engine.startup.run()
    operation_id = rows(database, "SELECT operation_id FROM migration_sidecar.operations")[0][0]
    assert (await ended(engine, operation_id)).state is OperationState.SUCCEEDED


async def test_a_fresh_database_of_a_platform_is_migrated_at_start_up(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    environment.revision("a1")
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA auth; CREATE TABLE auth.users (id int); CREATE TABLE auth.t_a1 (id int)")
    engine = start_engine(environment)
    await engine.startup.run()
    operation_id = rows(database, "SELECT operation_id FROM migration_sidecar.operations")[0][0]
    assert (await ended(engine, operation_id)).state is OperationState.SUCCEEDED
    assert version(database) == ["a1"]


async def test_a_history_that_was_taken_down_to_base_goes_up_again_over_what_it_left(
    environment: Environment, engine: Engine, database: Database
) -> None:
    environment.revision("a1", 'op.execute("CREATE TABLE IF NOT EXISTS t_a1 (id int)")', "pass")
    await carry_out(engine)
    down = await engine.operations.accept(request("base", action="downgrade"), origin=Origin.BY_HAND)
    assert (await ended(engine, down.operation_id)).state is OperationState.SUCCEEDED
    assert (await engine.reader.status()).state is DatabaseState.EMPTY
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    with database.connect() as connection:
        connection.execute("DELETE FROM alembic_version")  # this time nobody took it down
    assert (await carry_out(engine)).error.code == "CM-552"


async def test_what_a_first_upgrade_left_outside_a_transaction_does_not_stop_the_next(
    environment: Environment, engine: Engine, database: Database
) -> None:
    body = "with op.get_context().autocommit_block():\n    op.execute('CREATE TABLE IF NOT EXISTS t_a1 (id int)')\n"
    environment.revision("a1", body + "    op.execute('SELECT 1/0')")
    await carry_out(engine)
    assert rows(database, "SELECT to_regclass('t_a1') IS NOT NULL") == [(True,)]
    environment.revision("a1", body, below=None)
    again = await engine.operations.accept(request(), origin=Origin.BY_HAND)
    assert (await ended(engine, again.operation_id)).state is OperationState.SUCCEEDED


APPLICATION = """
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, text
metadata = MetaData()
Table("t_a1", metadata, Column("id", Integer, primary_key=True))
engine = create_engine({url!r})
with engine.begin() as connection:
    metadata.create_all(connection)
"""
LOOKS = "if not sa.inspect(op.get_bind()).has_table('t_a1'):\n    op.execute('CREATE TABLE t_a1 (id int)')"


@pytest.fixture
def making(environment: Environment) -> Environment:
    """Importing its application makes t_a1; the revision looks first."""
    file = environment.revision("a1", LOOKS)
    file.write_text(file.read_text().replace("import op\n", "import op\nimport sqlalchemy as sa\n"))
    environment.revision("a2")
    (environment.folder / "application_that_makes.py").write_text(APPLICATION.format(url=environment.url))
    env = environment.folder / "alembic" / "env.py"
    here = f"import sys\nsys.path.insert(0, {str(environment.folder)!r})\nimport application_that_makes\n"
    env.write_text(here + env.read_text())
    return environment


async def test_tables_that_the_application_makes_stop_nothing(
    making: Environment, engine: Engine, database: Database
) -> None:
    status = await engine.reader.status()
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    engine.prewarm(plan)  # such a process waits for its orders before the application writes
    assert (status.state, plan.obstacles) == (DatabaseState.EMPTY, [])
    assert rows(database, "SELECT to_regclass('t_a1')") == [(None,)]
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert version(database) == ["a2"]


@pytest.mark.parametrize("filled", [False, True])
async def test_tables_that_it_made_before_stop_it_only_if_they_hold_rows(
    filled: bool, making: Environment, engine: Engine, database: Database
) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE t_a1 (id int PRIMARY KEY)")
        if filled:
            connection.execute("INSERT INTO t_a1 VALUES (1)")
    operation = await carry_out(engine)
    assert (operation.error.code if operation.error else None) == ("CM-552" if filled else None)


async def test_a_first_upgrade_that_failed_is_repeated_over_rows_that_the_application_put_in(
    making: Environment, engine: Engine, database: Database
) -> None:
    application = making.folder / "application_that_makes.py"
    seeds = "    connection.execute(text('INSERT INTO t_a1 VALUES (default)'))\n"
    application.write_text(application.read_text() + seeds)
    making.revision("a2", "raise RuntimeError('not yet')", below="a1")
    failed = (await carry_out(engine)).error
    assert failed.code == "CM-401", failed
    assert rows(database, "SELECT count(*) FROM t_a1") != [(0,)]
    making.revision("a2", below="a1")
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error

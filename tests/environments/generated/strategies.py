"""Which environments are generated: orders and kinds of statements, ways to begin a transaction, what fails."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.environments.generated.environment import EnvFile, Generated

LOG = "INSERT INTO diary.log (said) SELECT '{where}'"
HARMLESS = (
    "SET LOCAL garden.word = 'local'",
    "SET garden.word = 'of the session'",
    "SET LOCAL ROLE gardener",
    "SET ROLE gardener",
    "RESET ROLE",
    "SET LOCAL search_path TO shed, public",
    "SET search_path TO shed, public",
    "CREATE SCHEMA IF NOT EXISTS shed",
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO visitor",
    "SELECT 1",
)


# What env.py writes in AUTOCOMMIT is kept by every look, which is documented; so there it only sets.
SETTINGS = (*HARMLESS[:5], "SELECT 1")


# env.py ends transactions by itself, by SQL that SQLAlchemy does not understand or by its connection.
BY_ITSELF = (
    "COMMIT",
    "ROLLBACK",
    "BEGIN",
    "COMMIT AND CHAIN",
    "END TRANSACTION",
    "connection.commit()",
    "connection.rollback()",
)
IN_SAVEPOINTS = (
    "SAVEPOINT point",
    "ROLLBACK TO SAVEPOINT point",
    "RELEASE SAVEPOINT point",
    "nested: SET LOCAL garden.word = 'of a savepoint'",
    "nested: CREATE SCHEMA IF NOT EXISTS shed",
)


@dataclass(frozen=True)
class Daring:
    """What env.py and the revisions of this example do besides."""

    by_itself: bool
    savepoints: bool
    autocommit: bool

    def statements(self, where: str) -> st.SearchStrategy[tuple[str, ...]]:
        each = SETTINGS if self.autocommit else (LOG.format(where=where), *HARMLESS)
        more = (*(BY_ITSELF if self.by_itself else ()), *(IN_SAVEPOINTS if self.savepoints else ()))
        return st.lists(st.sampled_from((*each, *more)), max_size=3).map(tuple)


TABLE = 'op.execute("CREATE TABLE t{n} (id int)")'
ROW = "op.execute(\"INSERT INTO diary.log (said) VALUES ('g{n}')\")"
BLOCK = "with op.get_context().autocommit_block():\n"
PIECES = (
    TABLE,
    ROW,
    'op.create_table("made{n}", sa.Column("id", sa.Integer, primary_key=True), sa.Column("label", sa.Text))',
    "op.execute(\"SET LOCAL garden.word = 'of g{n}'\")",
    "op.execute(\"SET garden.word = 'of the session since g{n}'\")",
    'op.execute("SET LOCAL ROLE gardener")',
    'op.execute("CREATE TEMPORARY TABLE IF NOT EXISTS seen ON COMMIT DROP AS SELECT 1 AS id")',
    "op.execute(\"INSERT INTO diary.log (said) SELECT 'g{n} finds ' || (to_regclass('pg_temp.seen') IS NOT NULL)\")",
    'op.execute("INSERT INTO diary.child VALUES ({n})")\nop.execute("INSERT INTO diary.parent VALUES ({n})")',
    'op.execute("INSERT INTO diary.parent SELECT id FROM diary.child ON CONFLICT DO NOTHING")',
    "op.execute(\"CREATE TYPE mood{n} AS ENUM ('calm')\")",
    "op.execute(\"CREATE FUNCTION f{n}() RETURNS int LANGUAGE sql AS 'SELECT {n}'\")",
    BLOCK + "    op.execute(\"INSERT INTO diary.log (said) VALUES ('block of g{n}')\")",
    BLOCK + '    op.execute("CREATE TABLE b{n} (id int)")\n    op.execute("CREATE INDEX CONCURRENTLY ON b{n} (id)")',
    "op.execute(\"CREATE TYPE kind{n} AS ENUM ('a')\")\n"
    + BLOCK
    + "    op.execute(\"ALTER TYPE kind{n} ADD VALUE 'b'\")",
)
PIECES_BY_THEMSELVES = (
    'op.execute("COMMIT")',
    'op.execute("ROLLBACK")',
    'op.execute("BEGIN")',
    'op.execute("COMMIT")\nop.execute("BEGIN")',
    'op.execute("COMMIT AND CHAIN")',
    'op.get_bind().exec_driver_sql("COMMIT")',
    "op.get_bind().commit()",
    "op.get_bind().rollback()",
)
POINT = "with op.get_bind().begin_nested():\n"
CAUGHT = "try:\n    with op.get_bind().begin_nested():\n"
PIECES_IN_SAVEPOINTS = (
    POINT + "    op.execute(\"INSERT INTO diary.log (said) VALUES ('savepoint of g{n}')\")",
    CAUGHT + '        op.execute("CREATE TABLE s{n} (id int)")\n        op.execute("SELECT 1 / 0")\n'
    "except sa.exc.DBAPIError:\n    op.execute(\"INSERT INTO diary.log (said) VALUES ('g{n} went on')\")",
    'point = op.get_bind().begin_nested()\nop.execute("CREATE TABLE u{n} (id int)")\npoint.rollback()',
    'op.execute("SAVEPOINT point")',
    'op.execute("ROLLBACK TO SAVEPOINT point")',
    'op.execute("SAVEPOINT mine")\nop.execute("CREATE TABLE m{n} (id int)")\n'
    'op.execute("ROLLBACK TO SAVEPOINT mine")\nop.execute("RELEASE SAVEPOINT mine")',
    POINT + '    op.execute("SET LOCAL ROLE gardener")',
)
FAILURES = (
    'op.execute("SELECT 1 / 0")',
    'raise ValueError("a mistake of the program")',
    'op.execute("INSERT INTO diary.child VALUES (100 + {n})")',  # fails at COMMIT, if nobody mends it
    'op.execute("CREATE SCHEMA diary")',  # already exists; of a table it would be asked whose it is (CM-552)
    BLOCK + '    op.execute("SELECT 1 / 0")',
)
NAMED = ('version_table="garden_version"',)
IN_SCHEMA = ('version_table_schema="shed"',)
OPTIONS = (
    (),
    (),
    ("transaction_per_migration=True",),
    ("transaction_per_migration=True", *NAMED),
    ("on_version_apply=noted",),
    ("on_version_apply=noted", "transaction_per_migration=True"),
    ("transactional_ddl=False",),
    NAMED,
    IN_SCHEMA,
)


DRIVERS = ("psycopg", "psycopg", "asyncpg", "psycopg2", "pg8000")
RARELY = st.sampled_from((False, False, True))


@st.composite
def env_files(draw: st.DrawFn, *, by_itself: bool, savepoints: bool) -> EnvFile:
    opening = draw(st.sampled_from(("connect", "connect", "connect", "begin", "autocommit")))
    autocommit, connects = opening == "autocommit", opening == "connect"
    daring = Daring(by_itself, savepoints, autocommit)

    def said(where: str) -> tuple[str, ...]:
        return draw(daring.statements(where)) if draw(st.booleans()) else ()

    tenants = () if autocommit else draw(st.sampled_from(((), (), (), ("north", "south"))))
    path = (
        "CREATE SCHEMA IF NOT EXISTS {tenant}",
        draw(st.sampled_from(("SET", "SET LOCAL"))) + " search_path TO {tenant}",
    )
    options = draw(st.sampled_from(OPTIONS[:-1] if autocommit else OPTIONS))
    schema = ("CREATE SCHEMA IF NOT EXISTS shed",) if options == IN_SCHEMA else ()
    before = (*schema, *said("before"))
    return EnvFile(
        driver=draw(st.sampled_from(DRIVERS)),
        begins="begin" if opening == "begin" else "connect",
        autocommit=autocommit,
        null_pool=draw(st.booleans()),
        options=options,
        has_block=draw(st.sampled_from((True, True, True, False))),
        tenants=tenants,
        before=before,
        commits_before=connects and bool(before) and draw(st.booleans()),
        between=said("between"),
        inside=(*(path if tenants else ()), *said("inside")),
        inside_after=said("inside after"),
        after=said("after"),
        commits_after=connects and draw(st.booleans()),
        catches=draw(st.sampled_from(("", "", "", "pass", "rollback"))),
        savepoint=draw(st.sampled_from(("", "", "kept", "caught", "undone"))) if savepoints else "",
    )


@st.composite
def histories(draw: st.DrawFn, *, by_itself: bool, savepoints: bool) -> tuple[tuple[str, ...], ...]:
    pieces = (*PIECES, *(PIECES_BY_THEMSELVES if by_itself else ()), *(PIECES_IN_SAVEPOINTS if savepoints else ()))
    bodies = draw(st.lists(st.lists(st.sampled_from(pieces), max_size=3).map(tuple), min_size=1, max_size=4))
    fails = draw(st.integers(0, 2 * len(bodies)))  # half of the time none
    if 0 < fails <= len(bodies):
        body = list(bodies[fails - 1])
        body.insert(draw(st.integers(0, len(body))), draw(st.sampled_from(FAILURES)))
        bodies[fails - 1] = tuple(body)
    return tuple(bodies)


@st.composite
def environments(draw: st.DrawFn) -> Generated:
    besides = {"by_itself": draw(RARELY), "savepoints": draw(RARELY)}
    revisions = draw(histories(**besides))
    again = [("upgrade head",), ("upgrade head", "upgrade head")]
    again += [("upgrade head", "downgrade g1", "upgrade head")] if len(revisions) > 1 else []
    env = draw(env_files(**besides))
    return Generated(env, revisions, draw(st.sampled_from(again)), draw(st.booleans()), draw(RARELY))

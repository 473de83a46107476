"""A failure names its revision, the server's own words and the way out; no byte of ours is what fails."""

from __future__ import annotations

from tests.environments.reported.case import Case, Revision, Right, table

OLD_FILE = """\
# -*- coding: latin-1 -*-
'''Bl\u00fcten schneller finden.'''
from alembic import op

revision = "g2"
down_revision = "g1"


def upgrade():
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY beds_label ON beds (label)")


def downgrade():
    op.drop_index("beds_label")
"""
TITLED = (
    Revision(
        "g1", "op.create_table('beds', sa.Column('id', sa.Integer))", "op.drop_table('beds')", "花壇を作る → beds"
    ),
    Revision(
        "g2", "op.create_table('plants', sa.Column('id', sa.Integer))", "op.drop_table('plants')", "Rosen für alle"
    ),
)

CASES = (
    Case(
        "file_of_another_coding",
        "A revision file is in latin-1, says so, and has an autocommit block.",
        revisions=(table("g1", "beds"), Revision("g2", source=OLD_FILE.encode("latin-1"))),
    ),
    Case(
        "title_outside_the_encoding_ascii",
        "The database's encoding is SQL_ASCII, and the revisions have titles in Japanese and German.",
        revisions=TITLED,
        options="ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'",
        drivers=("psycopg2", "psycopg", "pg8000"),
    ),
    Case(
        "title_outside_the_encoding_latin",
        "The same with LATIN1, which has the German letters and not the Japanese ones.",
        revisions=TITLED,
        options="ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'",
    ),
    Case(
        "schema_forbidden_by_trigger",
        "An event trigger of the administrators forbids new schemas.",
        right=Right.REFUSED,
        before=(
            """
            CREATE FUNCTION public.no_new_schema() RETURNS event_trigger LANGUAGE plpgsql AS $$
            BEGIN
              RAISE EXCEPTION 'ask the gardeners for a schema';
            END $$
            """,
            "CREATE EVENT TRIGGER no_new_schema ON ddl_command_start WHEN TAG IN ('CREATE SCHEMA')"
            " EXECUTE FUNCTION public.no_new_schema()",
        ),
        steps=("upgrade head",),
        says=("ask the gardeners for a schema", "journal"),
        plan_foresees=False,
    ),
    Case(
        "second_revision_fails",
        "The second revision names a table that is not there; one driver reports by dictionary.",
        right=Right.FAILS,
        revisions=(table("g1", "beds"), Revision("g2", 'op.execute("ALTER TABLE compost ADD COLUMN heat int")')),
        drivers=("pg8000", "psycopg", "psycopg2", "asyncpg"),
        steps=("upgrade head",),
        says=('relation "compost" does not exist', r"\bg2\b"),
        never_says=("…: …",),
    ),
    Case(
        "error_that_env_py_keeps_to_itself",
        "env.py takes every error about something double for a sign that others were faster; a unique index fails.",
        right=Right.FAILS,
        migrate="""
            context.configure(connection=connection)
            try:
                with context.begin_transaction():
                    context.run_migrations()
            except sa.exc.DBAPIError as error:
                if "already exists" not in str(error) and "duplicate" not in str(error):
                    raise
                connection.rollback()
                print("others were faster")
        """,
        revisions=(
            Revision(
                "g1",
                """
                op.execute("CREATE TABLE gardeners (id int PRIMARY KEY, badge text)")
                op.execute("INSERT INTO gardeners VALUES (1, 'x7'), (2, 'x7')")
                """,
                'op.execute("DROP TABLE gardeners")',
            ),
            Revision("g2", 'op.create_index("one_badge", "gardeners", ["badge"], unique=True)'),
        ),
        steps=("upgrade g1", "upgrade head"),
        left_at="g1",
        says=(r"\bg2\b", "one_badge|UniqueViolation|23505"),
        never_says=("who changed the version table",),
    ),
    Case(
        "check_of_all_schemas",
        "env.py compares all schemas, and the pipeline checks after each upgrade that nothing is to be generated.",
        right=Right.SAME_OR_REFUSED,
        above="""
            metadata = sa.MetaData()
            for name in ("beds", "plants"):
                sa.Table(name, metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("label", sa.Text))
        """,
        migrate="""
            context.configure(connection=connection, target_metadata=metadata, include_schemas=True)
            with context.begin_transaction():
                context.run_migrations()
        """,
        files={"migrations/script.py.mako": "revision = ${repr(up_revision)}\n"},
        steps=("upgrade head", "alembic check"),
        says=("journal|include_name|include_object",),
    ),
)

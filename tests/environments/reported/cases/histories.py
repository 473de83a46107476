"""Where a database stands is what Alembic finds when its migrations begin, after everything that env.py did before."""

from __future__ import annotations

from tests.environments.reported.case import PLAIN, Case, Revision, Right, table

LONG_NAME = "g3_give_every_bed_the_name_of_its_gardener_again"

CASES = (
    Case(
        "path_of_each_tenant",
        "A loop over two tenants: each block makes its schema and sets the path, by which the version table is found.",
        migrate="""
            for tenant in ("north", "south"):
                context.configure(connection=connection)
                with context.begin_transaction():
                    context.execute(f"CREATE SCHEMA IF NOT EXISTS {tenant}")
                    context.execute(f"SET search_path TO {tenant}")
                    context.run_migrations()
        """,
        steps=("upgrade head", "downgrade -1", "upgrade head"),
    ),
    Case(
        "version_table_with_a_new_name",
        "env.py gives the version table of an earlier release its new name, and configures that.",
        migrate="""
            if inspect(connection).has_table("alembic_version"):
                connection.execute(text("ALTER TABLE alembic_version RENAME TO garden_version"))
            connection.commit()
            context.configure(connection=connection, version_table="garden_version")
            with context.begin_transaction():
                context.run_migrations()
        """,
        before=(
            "CREATE TABLE beds (id serial PRIMARY KEY, label text)",
            "CREATE TABLE alembic_version (version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY)",
            "INSERT INTO alembic_version VALUES ('g1')",
        ),
    ),
    Case(
        "version_column_that_a_revision_widens",
        "The second revision makes the version column wider, and the third has an id that needs it.",
        revisions=(
            table("g1", "beds"),
            Revision(
                "g2",
                'op.execute("ALTER TABLE alembic_version ALTER version_num TYPE varchar(128)")',
                'op.execute("ALTER TABLE alembic_version ALTER version_num TYPE varchar(32)")',
            ),
            table(LONG_NAME, "plants"),
        ),
    ),
    Case(
        "schema_by_translation",
        "The connection translates the default schema, so that the version table is in another one than the path says.",
        right=Right.SAME_OR_REFUSED,
        migrate="""
            connection.execute(text("CREATE SCHEMA IF NOT EXISTS north"))
            connection.commit()
            connection = connection.execution_options(schema_translate_map={None: "north"})
            context.configure(connection=connection)
            with context.begin_transaction():
                context.run_migrations()
        """,
        steps=("upgrade head",),
        says=("schema_translate_map|version_table_schema|version table",),
    ),
    Case(
        "read_only_unless_asked",
        "Sessions of this database are read-only by default, and env.py's engine asks for one that is not.",
        engine=', connect_args={"options": "-c default_transaction_read_only=off"}',
        drivers=("psycopg", "psycopg2"),
        before=('ALTER DATABASE "{db}" SET default_transaction_read_only = on',),
    ),
    Case(
        "read_only_until_switched_off",
        "The same database; env.py switches it off by a statement, which any driver can.",
        migrate='connection.execute(text("SET default_transaction_read_only = off"))\nconnection.commit()\n' + PLAIN,
        before=('ALTER DATABASE "{db}" SET default_transaction_read_only = on',),
        drivers=("asyncpg", "pg8000", "psycopg", "psycopg2"),
    ),
    Case(
        "tables_made_at_import",
        "Importing the application makes its tables; the revisions look before they create.",
        above="import garden_models\n",
        files={
            "garden_models.py": """
                import os

                import sqlalchemy as sa

                metadata = sa.MetaData()
                sa.Table("beds", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("label", sa.Text))
                metadata.create_all(sa.create_engine(os.environ["GARDEN_URL"]))
            """
        },
        revisions=tuple(
            Revision(
                each,
                f"""
                if not sa.inspect(op.get_bind()).has_table("{name}"):
                    op.create_table("{name}", sa.Column("id", sa.Integer, primary_key=True))
                """,
                f'op.drop_table("{name}")',
            )
            for each, name in (("g1", "beds"), ("g2", "plants"))
        ),
        drivers=("psycopg", "psycopg2", "pg8000"),
    ),
    Case(
        "schemas_of_the_platform",
        "The platform brings two schemas with tables; none of the application's is there.",
        before=(
            "CREATE SCHEMA identity",
            "CREATE TABLE identity.accounts (id uuid PRIMARY KEY)",
            "CREATE SCHEMA files",
            "CREATE TABLE files.pieces (id uuid PRIMARY KEY)",
        ),
    ),
)

"""env.py may ask Alembic whatever it answers, and may be what it likes; looking at it decides nothing."""

from __future__ import annotations

from tests.environments.reported.case import Case, Revision, Right

CASES = (
    Case(
        "name_of_the_command",
        "env.py makes a schema if the function that Alembic runs has the name of an upgrade.",
        migrate="""
            context.configure(connection=connection)
            with context.begin_transaction():
                if context.get_context().opts["fn"].__name__ == "upgrade":
                    context.execute("CREATE SCHEMA IF NOT EXISTS shed")
                context.run_migrations()
        """,
        revisions=(
            Revision(
                "g1", 'op.execute("CREATE TABLE shed.tools (id int PRIMARY KEY)")', 'op.drop_table("tools", "shed")'
            ),
            Revision("g2", 'op.execute("CREATE TABLE shed.seeds (id int)")', 'op.execute("DROP TABLE shed.seeds")'),
        ),
    ),
    Case(
        "target_of_the_command",
        "env.py asks for the target, and forbids the way to base.",
        migrate="""
            context.configure(connection=connection)
            if context.get_revision_argument() is None:
                raise SystemExit("nobody goes down to base here")
            with context.begin_transaction():
                context.run_migrations()
        """,
    ),
    Case(
        "everything_made_without_migrations",
        "In an empty database env.py makes all tables and the version row, and configures nothing.",
        right=Right.SAME_OR_REFUSED,
        above="""
            metadata = sa.MetaData()
            for name in ("beds", "plants"):
                sa.Table(name, metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("label", sa.Text))


            def is_asked_for_head():
                try:
                    return context.get_revision_argument() == context.get_head_revision()
                except KeyError:
                    return False
        """,
        migrate="""
            if is_asked_for_head() and not inspect(connection).get_table_names():
                metadata.create_all(connection)
                connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"))
                connection.execute(text("INSERT INTO alembic_version VALUES ('g2')"))
                connection.commit()
            else:
                context.configure(connection=connection)
                with context.begin_transaction():
                    context.run_migrations()
        """,
        steps=("upgrade head",),
        says=("configure",),
    ),
    Case(
        "much_address_space",
        "What env.py imports reserves four gigabytes of addresses, and uses none of them.",
        right=Right.SAME_OR_REFUSED,
        above="import arena\n",
        files={
            "arena.py": """
                import mmap

                NO_RESERVE = 0x4000
                flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE
                held = mmap.mmap(-1, 4 << 30, flags=flags)
            """
        },
        says=("memory_limit_mb",),
    ),
)

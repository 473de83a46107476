"""What env.py says in its transaction block holds until that block ends, and is kept with it."""

from __future__ import annotations

from tests.environments.reported.case import Case, Revision, Right, role

BEDS_OF_TWO_GARDENERS = Revision(
    "g1",
    """
    op.execute("CREATE TABLE harvests (id int PRIMARY KEY, gardener int NOT NULL, state text)")
    op.execute("INSERT INTO harvests SELECT n, n % 2, 'ripe' FROM generate_series(1, 24) n")
    op.execute("ALTER TABLE harvests ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE harvests FORCE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY own_beds ON harvests USING (current_setting('garden.sees_all', true) = 'yes')")
    """,
    'op.execute("DROP TABLE harvests")',
)
FORWARD_REFERENCE = """
    op.execute("CREATE TABLE beds (id int PRIMARY KEY)")
    op.execute(
        "CREATE TABLE plants (id int PRIMARY KEY, bed int NOT NULL,"
        " CONSTRAINT plants_bed_fkey FOREIGN KEY (bed) REFERENCES beds DEFERRABLE INITIALLY DEFERRED)"
    )
"""
DROP_BOTH = """
    op.execute("DROP TABLE plants")
    op.execute("DROP TABLE beds")
"""

CASES = (
    Case(
        "setting_of_the_block",
        "A setting that is local to the block lets the second revision see the rows that it changes.",
        migrate="""
            context.configure(connection=connection)
            with context.begin_transaction():
                context.execute("SET LOCAL garden.sees_all = 'yes'")
                context.run_migrations()
        """,
        revisions=(
            BEDS_OF_TWO_GARDENERS,
            Revision(
                "g2",
                "op.execute(\"UPDATE harvests SET state = 'stored'\")",
                "op.execute(\"UPDATE harvests SET state = 'ripe'\")",
            ),
        ),
        login="garden_row_owner",
        before=(
            role("garden_row_owner"),
            "GRANT CREATE ON SCHEMA public TO garden_row_owner",
            "GRANT CREATE ON DATABASE {db} TO garden_row_owner",
        ),
        ask=("SELECT gardener, state, count(*) FROM harvests GROUP BY 1, 2 ORDER BY 1, 2",),
    ),
    Case(
        "grants_in_the_block",
        "After run_migrations, and still in the block, another role is given the new tables.",
        migrate="""
            context.configure(connection=connection)
            with context.begin_transaction():
                context.run_migrations()
                context.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO garden_visitor")
        """,
        before=(role("garden_visitor", "NOLOGIN"),),
    ),
    Case(
        "role_of_the_block",
        "The login role inherits nothing; the block takes the role that may create.",
        migrate="""
            context.configure(connection=connection)
            with context.begin_transaction():
                context.execute("SET ROLE garden_owner")
                context.run_migrations()
        """,
        login="garden_login",
        before=(
            role("garden_owner", "NOLOGIN"),
            role("garden_login", "LOGIN NOINHERIT IN ROLE garden_owner"),
            "REVOKE CREATE ON SCHEMA public FROM public",
            "GRANT CREATE ON SCHEMA public TO garden_owner",
            "GRANT CREATE ON DATABASE {db} TO garden_owner",
        ),
    ),
    Case(
        "two_revisions_of_one_transaction",
        "A deferred reference and a temporary table of the first revision are met by the second one.",
        revisions=(
            Revision(
                "g1",
                FORWARD_REFERENCE
                + """
    op.execute("CREATE TEMPORARY TABLE ordered ON COMMIT DROP AS SELECT 5 AS bed")
    op.execute("INSERT INTO plants VALUES (1, 5)")
""",
                DROP_BOTH,
            ),
            Revision(
                "g2",
                'op.execute("INSERT INTO beds SELECT bed FROM ordered")',
                'op.execute("DELETE FROM plants"); op.execute("DELETE FROM beds")',
            ),
        ),
        ask=("SELECT p.id, b.id FROM plants p JOIN beds b ON b.id = p.bed",),
    ),
    Case(
        "reference_that_fails_at_the_commit",
        "The second revision adds a row whose deferred reference leads nowhere; only COMMIT finds out.",
        right=Right.FAILS,
        revisions=(
            Revision("g1", FORWARD_REFERENCE, DROP_BOTH),
            Revision("g2", 'op.execute("INSERT INTO plants VALUES (1, 5)")'),
        ),
        steps=("upgrade head",),
        says=(r"\bg2\b|\bCOMMIT\b", "plants_bed_fkey|23503"),
        never_says=("before any revision", r"Correct env\.py"),
    ),
    Case(
        "grants_after_the_block",
        "env.py renews its grants after each run, in a transaction of its own; one got lost, and no revision is left.",
        migrate="""
            context.configure(connection=connection)
            with context.begin_transaction():
                context.run_migrations()
            connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO garden_visitor"))
            connection.commit()
        """,
        before=(role("garden_visitor", "NOLOGIN"),),
        steps=("upgrade head", "sql REVOKE SELECT ON beds FROM garden_visitor", "upgrade head", "downgrade -1"),
    ),
)

"""The database that is migrated is the one that env.py connects to, and no other one is read or changed."""

from __future__ import annotations

from tests.environments.reported.case import SYNCHRONOUS, Case, Right

ANOTHER_AT_HEAD = (
    "CREATE TABLE beds (id int PRIMARY KEY)",
    "CREATE TABLE alembic_version (version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('g2')",
)
BY_VARIABLES = {"PGHOST": "{server}", "PGPORT": "{port}", "PGUSER": "{user}", "PGPASSWORD": "{password}"}
CONNECTS = """
    import os

    import {module} as driver
    import sqlalchemy as sa
    from alembic import context

    place = sa.make_url(os.environ["GARDEN_URL"])


    def open_connection():
        return driver.connect(
            host=place.host, port=place.port, user=place.username, password=place.password, {database}=place.database
        )


    engine = sa.create_engine("postgresql+{name}://", creator=open_connection, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""


def connector(name: str, module: str, database: str) -> Case:
    return Case(
        f"connector_beside_another_server_{name}",
        "env.py's engine has a connector and no address; another database is where libpq's variables point.",
        right=Right.SAME_OR_REFUSED,
        env=CONNECTS.format(name=name, module=module, database=database),
        drivers=(name,),
        variables={**BY_VARIABLES, "PGDATABASE": "{other}"},
        other=ANOTHER_AT_HEAD,
        steps=("upgrade head",),
        says=("creator|connector|address|which (server|database)",),
    )


CASES = (
    connector("pg8000", "pg8000.dbapi", "database"),
    connector("psycopg", "psycopg", "dbname"),
    Case(
        "address_of_the_file_beside_me",
        "Given in the project's folder for a file of a subfolder; env.py reads .env of the working directory.",
        url="settings()",
        above="""
            from pathlib import Path


            def settings():
                file = Path(".env")
                pairs = [line.split("=", 1) for line in file.read_text().splitlines()] if file.exists() else []
                return dict(pairs).get("GARDEN_DATABASE") or os.environ["URL_OF_A_DEVELOPER"]
        """,
        root="backend",
        files={".env": "GARDEN_DATABASE={url}\n"},
        variables={"URL_OF_A_DEVELOPER": "postgresql+{driver}://{user}:{password}@{server}:{port}/{other}"},
        other=(),
    ),
    Case(
        "another_variable_names_a_pooler",
        "DATABASE_URL names a pooler that does not answer here; env.py has a variable of its own.",
        right=Right.SAME_OR_REFUSED,
        variables={"DATABASE_URL": "postgresql://{user}:{password}@{server}:9/{db}"},
        says=("DATABASE_URL", "unset|--database-url"),
        never_says=("database cannot be reached",),
    ),
    Case(
        "flask_names_the_folder",
        "The layout of Flask-Migrate by its ini: it has no script_location, and env.py wants an application's context.",
        right=Right.REFUSED,
        env="""
            from alembic import context
            from flask import current_app

            with current_app.extensions["migrate"].db.engine.connect() as connection:
                context.configure(connection=connection)
                with context.begin_transaction():
                    context.run_migrations()
        """,
        files={
            "migrations/alembic.ini": "[alembic]\n# the extension tells the folder\n",
            "garden.py": """
                import os

                from flask import Flask
                from flask_migrate import Migrate
                from flask_sqlalchemy import SQLAlchemy

                app = Flask(__name__)
                app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["GARDEN_URL"]
                Migrate(app, SQLAlchemy(app))
            """,
        },
        root="migrations",
        scripts=".",
        drivers=SYNCHRONOUS,
        needs_drivers=True,
        variables={"FLASK_APP": "garden"},
        steps=("upgrade head",),
        says=("script_location",),
        never_says=("DATABASE_URL: it is not set",),
    ),
)

import os

from alembic import context
from sqlalchemy import MetaData, create_engine, pool, text

SCHEMA = "gispo"
target_metadata = MetaData(schema=SCHEMA)


def include_name(name, type_, parent_names):
    return name == SCHEMA if type_ == "schema" else True


def run_migrations_online():
    engine = create_engine(os.environ["DB_URI"], poolclass=pool.NullPool, future=True)
    with engine.connect() as connection:
        # The version table lives in it, so it has to be there before Alembic looks.
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        connection.execute(text(f"SET search_path TO {SCHEMA}, public"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=target_metadata,
            version_table="migrations",
            version_table_schema=SCHEMA,
            include_schemas=True,
            include_name=include_name,
        )
        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()

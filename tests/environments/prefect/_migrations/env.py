import asyncio
import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sqlalchemy
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine

config = context.config
target_metadata = sqlalchemy.MetaData()
connection_url = os.environ["PREFECT_API_DATABASE_CONNECTION_URL"]
dialect = sqlalchemy.engine.make_url(connection_url).get_dialect()()
versions_dir = Path(__file__).resolve().parent / "versions" / dialect.name


def include_object(object, name, type_, reflected, compare_to):
    return not (type_ == "index" and reflected and name.startswith("gin"))


@contextlib.contextmanager
def disable_sqlite_foreign_keys(context):
    if dialect.name == "sqlite":
        context.execute("PRAGMA foreign_keys=OFF")
    yield


def do_run_migrations(connection):
    context.configure(
        connection=connection,
        target_metadata=target_metadata,
        include_schemas=True,
        include_object=include_object,
        render_as_batch=dialect.name == "sqlite",
        transaction_per_migration=True,
        template_args={"dialect": dialect.name},
    )
    with disable_sqlite_foreign_keys(context), context.begin_transaction():
        context.run_migrations()


async def apply_migrations():
    engine = create_async_engine(connection_url, pool_size=1)
    context.script.version_locations = [versions_dir]
    async with engine.connect() as connection:
        await connection.run_sync(do_run_migrations)
    await engine.dispose()


# In a worker thread, whether or not an event loop runs in this one.
with ThreadPoolExecutor(1) as pool:
    pool.submit(asyncio.run, apply_migrations()).result()

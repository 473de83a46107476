import asyncio
import hashlib
from logging.config import fileConfig

from alembic import context
from sqlalchemy import MetaData, engine_from_config, pool, text
from sqlalchemy.ext.asyncio import AsyncEngine

config = context.config
if config.config_file_name is not None:
    fileConfig(config.config_file_name)

NAMING_CONVENTION = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
target_metadata = MetaData()
target_metadata.naming_convention = NAMING_CONVENTION


def _do_run_migrations(connection):
    context.configure(
        connection=connection, target_metadata=target_metadata, render_as_batch=True, prepare_threshold=None
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            # A lock of its own, so that workers starting together do not race.
            lock_key = int(hashlib.sha256(str(connection.engine.url).encode()).hexdigest()[:16], 16) % (2**63 - 1)
            connection.execute(text("SET LOCAL lock_timeout = '60s';"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({lock_key});"))
        context.run_migrations()


async def _run_async_migrations():
    connectable = AsyncEngine(
        engine_from_config(config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool, future=True)
    )
    async with connectable.connect() as connection:
        await connection.run_sync(_do_run_migrations)
    await connectable.dispose()


print("langflow: migrating")
asyncio.run(_run_async_migrations())

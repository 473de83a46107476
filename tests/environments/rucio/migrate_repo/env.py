from alembic import context
from sqlalchemy import engine_from_config, pool

CONFIG = context.config


def run_migrations_online():
    params = CONFIG.get_section(CONFIG.config_ini_section)
    engine = engine_from_config(params, prefix="sqlalchemy.", poolclass=pool.NullPool)
    connection = engine.connect()
    context.configure(
        connection=connection,
        target_metadata=None,
        version_table_schema=params.get("version_table_schema", None),
    )
    try:
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.close()


run_migrations_online()

"""What both extensions' env.py share: each keeps its revision in a table of its own name."""

from alembic import context
from sqlalchemy import engine_from_config, pool


def include_name(name, type_, parent_names):
    return not (type_ == "table" and name.endswith("_alembic_version"))


def migrate(name):
    config = context.config
    connectable = engine_from_config(
        config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool
    )
    connection = connectable.connect()
    context.configure(
        connection=connection,
        target_metadata=None,
        version_table="{}_alembic_version".format(name),
        include_name=include_name,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.close()

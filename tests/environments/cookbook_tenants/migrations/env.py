from alembic import context
from sqlalchemy import engine_from_config, pool, text

config = context.config
target_metadata = None


def run_migrations_online():
    connectable = engine_from_config(
        config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool, future=True
    )
    current_tenant = context.get_x_argument(as_dictionary=True).get("tenant")
    with connectable.connect() as connection:
        # The same connection serves the whole run, so the path holds for it.
        connection.execute(text('set search_path to "%s"' % current_tenant))
        # Otherwise the transaction that began here would be taken for somebody else's.
        connection.commit()
        connection.dialect.default_schema_name = current_tenant

        context.configure(connection=connection, target_metadata=target_metadata)
        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()

from alembic import context
from sqlalchemy import engine_from_config, pool, text

from database.core import get_tenant_schemas, metadata

config = context.config


def include_object(object, name, type_, reflected, compare_to):
    return type_ != "table" or not object.schema


def run_migrations_online():
    def process_revision_directives(context, revision, directives):
        if directives[0].upgrade_ops.is_empty():
            directives[:] = []

    connectable = engine_from_config(
        config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool, future=True
    )
    with connectable.connect() as connection:
        schemas = get_tenant_schemas(connection)
        connection.commit()
        for schema in schemas:
            print(f"Migrating {schema}...")
            connection.execute(text(f'set search_path to "{schema}"'))
            connection.commit()
            connection.dialect.default_schema_name = schema
            context.configure(
                connection=connection,
                target_metadata=metadata,
                include_schemas=True,
                include_object=include_object,
                version_table_schema=schema,
                process_revision_directives=process_revision_directives,
            )
            with context.begin_transaction():
                context.run_migrations()


if context.is_offline_mode():
    print("Can't run migrations offline")
else:
    run_migrations_online()

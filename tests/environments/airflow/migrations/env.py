from logging.config import fileConfig

from airflow import models, settings
from alembic import context


def include_object(_, name, type_, *args):
    return not (type_ == "table" and (name.startswith("celery_") or name == "session"))


def compare_type(context, inspected_column, metadata_column, inspected_type, metadata_type):
    return None


config = context.config
fileConfig(config.config_file_name, disable_existing_loggers=False)
target_metadata = models.Base.metadata


def run_migrations_offline():
    context.configure(
        url=settings.SQL_ALCHEMY_CONN,
        target_metadata=target_metadata,
        literal_binds=True,
        compare_type=compare_type,
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online():
    connectable = settings.engine
    with connectable.connect() as connection:
        context.configure(
            connection=connection,
            transaction_per_migration=True,
            target_metadata=target_metadata,
            compare_type=compare_type,
            include_object=include_object,
            render_as_batch=True,
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()

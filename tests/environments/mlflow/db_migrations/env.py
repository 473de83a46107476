import os
from logging.config import fileConfig

from alembic import context
from sqlalchemy import create_engine, pool

config = context.config
fileConfig(config.config_file_name, disable_existing_loggers=False)
target_metadata = None


def run_migrations_online():
    # A program that migrates hands its connection over, so that several commands share one (Alembic's cookbook).
    connection = config.attributes.get("connection", None)
    if connection is None:
        engine = create_engine(os.environ["MLFLOW_TRACKING_URI"], poolclass=pool.NullPool)
        with engine.connect() as connection:
            migrate(connection)
    else:
        migrate(connection)


def migrate(connection):
    context.configure(connection=connection, target_metadata=target_metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


run_migrations_online()

import logging
import time
import urllib.parse
from logging.config import fileConfig

from alembic import context
from sqlalchemy import MetaData, engine_from_config, pool

config = context.config
fileConfig(config.config_file_name)
logger = logging.getLogger("alembic.env")

DATABASE_URI = config.get_main_option("sqlalchemy.url")
if "sqlite" in DATABASE_URI:
    logger.warning("SQLite Database support for metadata databases will be removed in a future version.")
decoded_uri = urllib.parse.unquote(DATABASE_URI)
config.set_main_option("sqlalchemy.url", decoded_uri.replace("%", "%%"))
target_metadata = MetaData()


def print_duration(start_time):
    logger.info("Migration scripts completed. Duration: %s", time.strftime("%H:%M:%S", time.gmtime(time.time() - start_time)))


def run_migrations_online():
    start_time = time.time()
    logger.info("Starting the migration scripts.")
    engine = engine_from_config(
        config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool
    )
    connection = engine.connect()
    kwargs = {}
    if engine.name in ("sqlite", "mysql"):
        kwargs = {"transaction_per_migration": True, "transactional_ddl": True}
    context.configure(connection=connection, target_metadata=target_metadata, compare_type=True, **kwargs)
    try:
        with context.begin_transaction():
            context.run_migrations()
        print_duration(start_time)
    finally:
        connection.close()


run_migrations_online()

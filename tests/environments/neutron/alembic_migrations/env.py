import sqlalchemy as sa
from alembic import context
from networking.conf import database_connection
from sqlalchemy import event

MYSQL_ENGINE = None
EXTERNAL_TABLES = {"ml2_ucsm_port_profiles"}
target_metadata = sa.MetaData()


def include_object(object, name, type_, reflected, compare_to):
    return not (type_ == "table" and name in EXTERNAL_TABLES)


@event.listens_for(sa.Table, "after_parent_attach")
def set_storage_engine(target, parent):
    if MYSQL_ENGINE:
        target.kwargs["mysql_engine"] = MYSQL_ENGINE


def run_migrations_online():
    engine = sa.create_engine(database_connection())
    connection = engine.connect()
    context.configure(
        connection=connection,
        target_metadata=target_metadata,
        include_object=include_object,
        version_table="alembic_version_networking",
    )
    try:
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.close()
        engine.dispose()


run_migrations_online()

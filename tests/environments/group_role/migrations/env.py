"""Logs in as itself and migrates as the group that owns the data; the address names every server of the cluster."""

import os

from alembic import context
from sqlalchemy import create_engine, event, pool
from sqlalchemy.engine import URL

PARTS = {name: os.environ[f"LEDGER_DB_{name.upper()}"] for name in ("user", "password", "name", "hosts")}
hosts = tuple(PARTS["hosts"].split(","))
url = URL.create(
    "postgresql",
    username=PARTS["user"],
    password=PARTS["password"],
    database=PARTS["name"],
    query={"host": hosts, "target_session_attrs": "read-write", "connect_timeout": "10"},
)
try:
    import psycopg2  # noqa: F401
except ImportError:
    url = url.set(drivername="postgresql+psycopg")

engine = create_engine(url, poolclass=pool.NullPool, connect_args={"options": "-c search_path=ledger"})


@event.listens_for(engine, "connect")
def become_the_group(session, _record):
    with session.cursor() as cursor:
        cursor.execute("SET ROLE ledger_owners")
    session.commit()


with engine.connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()

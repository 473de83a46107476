import os

from alembic import context
from sqlalchemy import create_engine

# Every statement is a transaction of its own, so that CREATE INDEX CONCURRENTLY needs nothing special in a revision.
engine = create_engine(os.environ["METRICS_DSN"], isolation_level="AUTOCOMMIT")

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

from alembic import context
from settings import DATABASE
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

print("target:", context.config.cmd_opts.config if context.config.cmd_opts else None)
print("\n".join("noise %d" % number for number in range(500)))

engine = create_engine(DATABASE, poolclass=NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

from alembic import context
from sqlalchemy import create_engine

url = context.get_x_argument(as_dictionary=True)["url"]

if context.is_offline_mode():
    context.configure(url=url, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = context.config.attributes.get("engine") or create_engine(url)
    with engine.begin() as connection:
        context.configure(connection=connection)
        context.run_migrations()

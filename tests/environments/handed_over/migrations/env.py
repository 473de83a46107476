from alembic import context

# The program that starts holds the connection (see migrate.py); there is no other way in.
connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=None, compare_type=True)
with context.begin_transaction():
    context.run_migrations()

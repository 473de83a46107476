"""The services of the fleet: each folder owns one database and its Alembic history."""

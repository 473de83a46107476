"""What runs inside the migration process: needs only the standard library, Alembic and SQLAlchemy."""

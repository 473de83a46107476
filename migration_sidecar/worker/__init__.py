"""What runs in the environment's own interpreter: needs only the standard library, Alembic and SQLAlchemy.

Nothing of the service is imported here.
"""

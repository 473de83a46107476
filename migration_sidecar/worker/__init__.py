"""The worker process: it runs Alembic in the interpreter of the environment.

It needs the standard library, Alembic and SQLAlchemy only, and imports nothing of the service.
"""

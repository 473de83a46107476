"""Adopts a database that was made without Alembic: finds its revision, proves it, and stamps it.

Migrating is in `engine`.
"""

"""Runs Alembic safely inside one service; import its rooms by name, this file stays empty so that nothing loads unseen."""

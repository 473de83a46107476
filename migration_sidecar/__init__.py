"""Runs Alembic safely inside one service; import its rooms by name, so that nothing loads unseen."""

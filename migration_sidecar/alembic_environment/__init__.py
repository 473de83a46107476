"""One Alembic environment as the service sees it: its revisions, its target database, and what was agreed about both.

Alembic itself runs in `worker`.
"""

"""One Alembic environment as the service sees it: its history, its target database, and what an operation agreed on.

Alembic itself runs in `worker`, never here.
"""

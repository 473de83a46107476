"""An environment with more revisions than anybody wants to keep in a folder, as projects of ten years have."""

from __future__ import annotations

import shutil
from pathlib import Path
from textwrap import dedent

REVISIONS = 160

FILE = '''\
"""Step {number}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {below!r}
branch_labels = None
depends_on = None


def upgrade():
    {upgrade}


def downgrade():
    {downgrade}
'''


def write_long_history(folder: Path) -> None:
    """Every tenth revision makes a table, and those after it change that table."""
    generic = Path(__file__).parent / "alembic_generic"
    versions = folder / "alembic" / "versions"
    versions.mkdir(parents=True)
    shutil.copy(generic / "alembic.ini", folder / "alembic.ini")
    shutil.copy(generic / "alembic" / "env.py", folder / "alembic" / "env.py")
    for number in range(REVISIONS):
        (versions / f"{number:04}_step.py").write_text(_revision(number))


def _revision(number: int) -> str:
    table, position = f"ledger_{number // 10}", number % 10
    upgrade = f'op.add_column("{table}", sa.Column("column_{position}", sa.Integer))'
    downgrade = f'op.drop_column("{table}", "column_{position}")'
    if position == 0:
        upgrade = f'op.create_table("{table}", sa.Column("id", sa.Integer, primary_key=True))'
        downgrade = f'op.drop_table("{table}")'
    below = _name(number - 1) if number else None
    return dedent(FILE).format(number=number, revision=_name(number), below=below, upgrade=upgrade, downgrade=downgrade)


def _name(number: int) -> str:
    return f"{number:012x}"

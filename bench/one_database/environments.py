"""Alembic environments of any length: one as `alembic init` leaves it, one with the env.py of our own services."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench.plain_alembic import INI, LOGGING, TEMPLATES

OUR_ENV = """from migration_sidecar.environment import run
from sqlalchemy import MetaData

run(MetaData())
"""
REVISION = '''"""Make the {number}th table."""

import sqlalchemy as sa
from alembic import op

revision = "{number:04d}"
down_revision = {below!r}


def upgrade():
    {upgrade}


def downgrade():
    {downgrade}
'''
# The newest revision is taken back through the endpoint, round after round.
OUR_SECTION = "\n[migration_sidecar]\nendpoint_downgrades = true\n"
MAKE_A_TABLE = """op.create_table(
        "item_{number:04d}",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("amount", sa.Numeric(12, 2)),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
    )
    op.create_index("item_{number:04d}_by_name", "item_{number:04d}", ["name"])"""
DROP_IT = 'op.drop_table("item_{number:04d}")'


# Nothing of the shell that starts the bench may lead it to another database.
NOWHERE_ELSE = {
    "DATABASE_URL": "",
    "POSTGRES_HOST": "",
    "POSTGRES_PORT": "",
    "POSTGRES_USER": "",
    "POSTGRES_PASSWORD": "",
}


class Style(StrEnum):
    GENERIC = "alembic's generic env.py"
    OURS = "our three-line env.py"


@dataclass(frozen=True)
class Environment:
    """A folder that an Alembic process is started in."""

    folder: Path
    style: Style

    @property
    def ini(self) -> Path:
        return self.folder / "alembic.ini"


def tables(count: int) -> list[tuple[str, str]]:
    """What so many revisions do, up and down: a table with an index each."""
    return [(MAKE_A_TABLE.format(number=number), DROP_IT.format(number=number)) for number in range(1, count + 1)]


def make_environment(folder: Path, url: str, style: Style, revisions: Sequence[tuple[str, str]]) -> Environment:
    versions = folder / "alembic" / "versions"
    versions.mkdir(parents=True)
    for number, (upgrade, downgrade) in enumerate(revisions, start=1):
        below = f"{number - 1:04d}" if number > 1 else None
        text = REVISION.format(number=number, below=below, upgrade=upgrade, downgrade=downgrade)
        (versions / f"{number:04d}_step.py").write_text(text)
    template = TEMPLATES / "generic"
    shutil.copy(template / "script.py.mako", folder / "alembic")
    env = OUR_ENV if style is Style.OURS else (template / "env.py").read_text()
    (folder / "alembic" / "env.py").write_text(env)
    logging = LOGGING if style is Style.GENERIC else ""
    # A % in a password would be read as an interpolation by the ini file.
    ini = INI.format(root=folder, url=url.replace("%", "%%"), logging=logging) + OUR_SECTION
    (folder / "alembic.ini").write_text(ini)
    return Environment(folder, style)

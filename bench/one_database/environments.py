"""Creates Alembic environments of any length: with the env.py of `alembic init`, or with that of our services."""

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
# The newest revision is downgraded through the endpoint in every round.
OUR_SECTION = "\n[migration_sidecar]\nendpoint_downgrades = true\n"
CREATE_TABLE = """op.create_table(
        "item_{number:04d}",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("amount", sa.Numeric(12, 2)),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
    )
    op.create_index("item_{number:04d}_by_name", "item_{number:04d}", ["name"])"""
DROP_TABLE = 'op.drop_table("item_{number:04d}")'


# Variables of the shell must not lead the bench to another database.
NO_DATABASE_VARIABLES = {
    "DATABASE_URL": "",
    "POSTGRES_HOST": "",
    "POSTGRES_PORT": "",
    "POSTGRES_USER": "",
    "POSTGRES_PASSWORD": "",
}


class Style(StrEnum):
    """Which env.py an environment has."""

    GENERIC = "alembic's generic env.py"
    OURS = "our three-line env.py"


@dataclass(frozen=True)
class Environment:
    """A folder in which Alembic is started."""

    folder: Path
    style: Style

    @property
    def ini(self) -> Path:
        """Its alembic.ini."""
        return self.folder / "alembic.ini"


def tables(count: int) -> list[tuple[str, str]]:
    """Upgrade and downgrade code of so many revisions; each creates one table with an index."""
    return [(CREATE_TABLE.format(number=number), DROP_TABLE.format(number=number)) for number in range(1, count + 1)]


def make_environment(folder: Path, url: str, style: Style, revisions: Sequence[tuple[str, str]]) -> Environment:
    """Writes the environment into a new folder."""
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
    # The ini file would read a % in a password as an interpolation.
    ini = INI.format(root=folder, url=url.replace("%", "%%"), logging=logging) + OUR_SECTION
    (folder / "alembic.ini").write_text(ini)
    return Environment(folder, style)

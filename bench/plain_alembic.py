"""Copies each service's revisions into a folder with the env.py of `alembic init`: a baseline without our code."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import alembic

from scripts.infrastructure.catalog import FleetMember
from scripts.infrastructure.settings import ROOT

TEMPLATES = Path(alembic.__file__).parent / "templates"
INI = """[alembic]
script_location = %(here)s/alembic
prepend_sys_path = {root}
path_separator = os
sqlalchemy.url = {url}
{logging}"""
# As `alembic init` writes it, with the same level: the log line for each revision is part of the cost.
LOGGING = """
[loggers]
keys = root,sqlalchemy,alembic

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = WARNING
handlers = console
qualname =

[logger_sqlalchemy]
level = WARNING
handlers =
qualname = sqlalchemy.engine

[logger_alembic]
level = INFO
handlers =
qualname = alembic

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic

[formatter_generic]
format = %(levelname)-5.5s [%(name)s] %(message)s
datefmt = %H:%M:%S
"""


@dataclass(frozen=True)
class PlainFolder:
    """The folder in which `alembic` is started for one service."""

    member: FleetMember
    folder: Path

    @property
    def sql(self) -> Path:
        """The file with the whole history as SQL."""
        return self.folder / "upgrade.sql"


def make_plain_folder(member: FleetMember, url: str, into: Path) -> PlainFolder:
    """Creates the folder for one service."""
    folder = into / member.name
    shutil.copytree(ROOT / member.folder / "alembic" / "versions", folder / "alembic" / "versions")
    template = TEMPLATES / ("async" if "+asyncpg" in url else "generic")
    models = f"from {member.folder.replace('/', '.')}.models import Base\ntarget_metadata = Base.metadata"
    text = (template / "env.py").read_text().replace("target_metadata = None", models)
    (folder / "alembic" / "env.py").write_text(text)
    shutil.copy(template / "script.py.mako", folder / "alembic")
    # The ini file would read a % in a password as an interpolation.
    (folder / "alembic.ini").write_text(INI.format(root=ROOT, url=url.replace("%", "%%"), logging=LOGGING))
    return PlainFolder(member, folder)

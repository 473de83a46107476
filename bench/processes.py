"""The ways that start one process for each service, one after the other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.ground import Ground
from bench.plain_alembic import PlainFolder
from scripts.infrastructure.catalog import FleetMember
from scripts.infrastructure.postgres import binaries
from scripts.infrastructure.settings import ROOT

ALEMBIC = str(Path(sys.executable).parent / "alembic")
PSQL = str(binaries() / "psql")
SELECT_VERSION = "SELECT version_num FROM alembic_version"


class CommandFailed(Exception):
    """A measured command failed, so its time means nothing."""

    def __init__(self, command: Sequence[str], stderr: str) -> None:
        last = stderr.strip().splitlines()[-1:] or ["it said nothing"]
        super().__init__(f"{Path(command[0]).name} failed, so there is nothing to measure: {last[0]}")


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Runs a command in the folder, and returns its stdout. Raises CommandFailed."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CommandFailed(command, done.stderr)
    return done.stdout


@dataclass(frozen=True)
class OurAlembic:
    """`alembic upgrade head` in the folder of each service. Its env.py takes our lock and writes our journal."""

    ground: Ground
    name: str = "alembic, this repository's env.py"

    def fresh(self) -> None:
        """Migrates each service."""
        for member in self.ground.members:
            run([ALEMBIC, "upgrade", "head"], ROOT / member.folder, {"DATABASE_URL": self.ground.url_of(member)})

    at_head = fresh


@dataclass(frozen=True)
class PlainAlembic:
    """The baseline: the same with the env.py that `alembic init` writes."""

    folders: Sequence[PlainFolder]
    name: str = "alembic, env.py of alembic init"

    def fresh(self) -> None:
        """Migrates each service."""
        for plain in self.folders:
            run([ALEMBIC, "upgrade", "head"], plain.folder)

    at_head = fresh


@dataclass(frozen=True)
class Psql:
    """psql with the SQL that Alembic would send. At head there is nothing to send, so it reads the version."""

    ground: Ground
    folders: Sequence[PlainFolder]
    name: str = "psql with the SQL ready"

    def prepare(self) -> None:
        """Writes the SQL of each service; not measured."""
        for plain in self.folders:
            plain.sql.write_text(run([ALEMBIC, "upgrade", "head", "--sql"], plain.folder))

    def fresh(self) -> None:
        """Sends the SQL of each service."""
        for plain in self.folders:
            self._psql(plain.member, "--file", str(plain.sql))

    def at_head(self) -> None:
        """Reads the version of each service."""
        for plain in self.folders:
            self._psql(plain.member, "--command", SELECT_VERSION)

    def _psql(self, member: FleetMember, *what: str) -> None:
        url = self.ground.plain_url_of(member)
        run([PSQL, "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", url, *what], ROOT)

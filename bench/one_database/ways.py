"""The ways to migrate one database to head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.one_database.environments import NO_DATABASE_VARIABLES, Environment, Style
from bench.one_database.ground import Ground
from bench.one_database.serving import MIGRATION_SIDECAR, Service
from bench.processes import ALEMBIC, PSQL, SELECT_VERSION, run

BARE = "alembic upgrade head"
SQL = "psql with the SQL ready"


def cold(style: Style) -> str:
    """The name of the way `Cold` with this env.py."""
    return f"migration-sidecar upgrade, {style}"


def served(style: Style) -> str:
    """The name of the way `Served` with this env.py."""
    return f"serve, {style}"


@dataclass(frozen=True)
class BareAlembic:
    """The baseline: Alembic's own command with the env.py of `alembic init`."""

    environment: Environment
    name: str = BARE

    def fresh(self) -> None:
        """Migrates the database."""
        run([ALEMBIC, "upgrade", "head"], self.environment.folder)

    at_head = fresh


@dataclass(frozen=True)
class Cold:
    """Our command line: starts, migrates and ends."""

    environment: Environment

    @property
    def name(self) -> str:
        """Its name in the tables."""
        return cold(self.environment.style)

    def fresh(self) -> None:
        """Migrates the database."""
        run([MIGRATION_SIDECAR, "upgrade", "head"], self.environment.folder, NO_DATABASE_VARIABLES)

    at_head = fresh


@dataclass(frozen=True)
class Served:
    """As a coordinator does it: asks for the plan, orders that plan, and waits for the end."""

    service: Service

    @property
    def name(self) -> str:
        """Its name in the tables."""
        return served(self.service.environment.style)

    @property
    def parts(self) -> dict[str, float]:
        """The seconds of each part of the last migration."""
        return self.service.parts

    def fresh(self) -> None:
        """Migrates the database."""
        self.service.migrate()

    at_head = fresh


@dataclass(frozen=True)
class Psql:
    """psql with the SQL that Alembic would send. At head there is nothing to send, so it reads the version."""

    ground: Ground
    script: Path
    name: str = SQL

    def fresh(self) -> None:
        """Sends the SQL."""
        self._psql("--file", str(self.script))

    def at_head(self) -> None:
        """Reads the version."""
        self._psql("--command", SELECT_VERSION)

    def _psql(self, *what: str) -> None:
        options = ("--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1")
        run([PSQL, *options, "--dbname", self.ground.plain_url, *what], self.script.parent)


def rendered(environment: Environment) -> Path:
    """Writes the whole history of the environment as SQL, and returns the file."""
    script = environment.folder / "upgrade.sql"
    script.write_text(run([ALEMBIC, "upgrade", "head", "--sql"], environment.folder))
    return script

"""The ways to bring one database to head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.one_database.environments import NOWHERE_ELSE, Environment, Style
from bench.one_database.ground import Ground
from bench.one_database.serving import MIGRATION_SIDECAR, Service
from bench.processes import ALEMBIC, ASK_FOR_THE_VERSION, PSQL, run

BARE = "alembic upgrade head"
SQL = "psql with the SQL ready"


def cold(style: Style) -> str:
    return f"migration-sidecar upgrade, {style}"


def served(style: Style) -> str:
    return f"serve, {style}"


@dataclass(frozen=True)
class BareAlembic:
    """The baseline: Alembic's own command and Alembic's own env.py."""

    environment: Environment
    name: str = BARE

    def fresh(self) -> None:
        run([ALEMBIC, "upgrade", "head"], self.environment.folder)

    at_head = fresh


@dataclass(frozen=True)
class Cold:
    """Our command line, which starts, migrates and ends."""

    environment: Environment

    @property
    def name(self) -> str:
        return cold(self.environment.style)

    def fresh(self) -> None:
        run([MIGRATION_SIDECAR, "upgrade", "head"], self.environment.folder, NOWHERE_ELSE)

    at_head = fresh


@dataclass(frozen=True)
class Served:
    """What a coordinator does: asks for the plan, orders what it agreed to, and waits for the end."""

    service: Service

    @property
    def name(self) -> str:
        return served(self.service.environment.style)

    @property
    def parts(self) -> dict[str, float]:
        return self.service.parts

    def fresh(self) -> None:
        self.service.migrate()

    at_head = fresh


@dataclass(frozen=True)
class Psql:
    """The SQL that Alembic would have sent, sent by psql; at head it can only ask for the version."""

    ground: Ground
    script: Path
    name: str = SQL

    def fresh(self) -> None:
        self._psql("--file", str(self.script))

    def at_head(self) -> None:
        self._psql("--command", ASK_FOR_THE_VERSION)

    def _psql(self, *what: str) -> None:
        options = ("--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1")
        run([PSQL, *options, "--dbname", self.ground.plain_url, *what], self.script.parent)


def rendered(environment: Environment) -> Path:
    script = environment.folder / "upgrade.sql"
    script.write_text(run([ALEMBIC, "upgrade", "head", "--sql"], environment.folder))
    return script

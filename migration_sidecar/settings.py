"""What a service's migration sidecar needs to know, read from its alembic.ini and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from configparser import Error, RawConfigParser
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from sqlalchemy.engine import URL

from migration_sidecar.address import UnusableAddress, database_url
from migration_sidecar.errors import Misconfigured

SECTION = "migration_sidecar"


class OnStartup(StrEnum):
    APPLY = "apply"  # migrate in the background while live health answers
    CHECK = "check"  # stay unready until somebody migrates
    OFF = "off"  # say nothing about the database at start-up


@dataclass(frozen=True)
class VersionTable:
    """Where Alembic keeps the revision; it names the advisory lock too, so every way in meets at one lock."""

    name: str = "alembic_version"
    schema: str = ""

    @property
    def qualified(self) -> str:
        parts = (self.schema, self.name) if self.schema else (self.name,)
        return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


@dataclass(frozen=True)
class Settings:
    """One service and its database; the URL is kept out of every representation because it holds the password."""

    service: str
    config_file: Path
    url: URL = field(repr=False)
    on_startup: OnStartup = OnStartup.APPLY
    version_table: VersionTable = VersionTable()
    dapr_http_port: int | None = None  # our daprd; without it nothing can be relayed
    audit_app_id: str = "cas-audit"

    @property
    def database(self) -> str:
        return self.url.database or ""


def read_settings(config_file: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises Misconfigured; DATABASE_URL wins over the file, POSTGRES_* replace parts of the file's URL only."""
    options = _ini(config_file)
    startup = environment.get("MIGRATE_ON_STARTUP", OnStartup.APPLY)
    if startup not in set(OnStartup):
        raise Misconfigured("MIGRATE_ON_STARTUP", "it must be apply, check or off")
    try:
        url = database_url(config_file, environment)
    except UnusableAddress as error:
        raise Misconfigured(error.key, error.reason) from None
    return Settings(
        service=options.get("service") or environment.get("APP_ID") or config_file.resolve().parent.name,
        config_file=config_file.resolve(),
        url=url,
        on_startup=OnStartup(startup),
        version_table=VersionTable(
            options.get("version_table", "alembic_version"), options.get("version_table_schema", "")
        ),
        dapr_http_port=int(port) if (port := environment.get("DAPR_HTTP_PORT", "")).isdigit() else None,
        audit_app_id=options.get("audit", "cas-audit"),
    )


def _ini(config_file: Path) -> dict[str, str]:
    parser = RawConfigParser()
    try:
        parser.read_string(config_file.read_text(encoding="utf-8"))
    except OSError:
        raise Misconfigured(config_file.name, "the file cannot be read") from None
    except Error:
        raise Misconfigured(config_file.name, "it is not a valid ini file") from None
    return dict(parser[SECTION]) if parser.has_section(SECTION) else {}

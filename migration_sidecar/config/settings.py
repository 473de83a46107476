"""The settings of a migration sidecar, from command-line options, its own section and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from migration_sidecar.config import flask_application
from migration_sidecar.config.alembic_files import AlembicFiles, ConfigFileError
from migration_sidecar.config.database_url import InvalidDatabaseUrl, database_url, parse_url
from migration_sidecar.config.env_py import uses_our_environment
from migration_sidecar.config.own_section import Section
from migration_sidecar.contract.errors import Misconfigured, NoConfiguration, NoEnvironment
from migration_sidecar.contract.host_names import allowed_hosts
from migration_sidecar.protocol import failpoint_spec
from migration_sidecar.protocol.jobs import FlaskApplication, JobEnvironment
from migration_sidecar.protocol.journal_schema import journal_tables
from migration_sidecar.protocol.url import URL
from migration_sidecar.protocol.version_table import VersionTable


class OnStartup(StrEnum):
    """What the service does about pending revisions when it starts."""

    APPLY = "apply"  # migrate in the background while live health answers
    CHECK = "check"  # stay unready until the database is migrated
    OFF = "off"  # ignore the database at start-up


@dataclass(frozen=True)
class CommandLineOverrides:
    """Command-line options, which win over everything."""

    section: str = "alembic"
    database_url: str | None = field(default=None, repr=False)
    python: str | None = None
    service: str | None = None
    x: tuple[str, ...] = ()
    journal_table: str | None = None
    target: str | None = None
    loading_seconds: int | None = None
    command: tuple[str, str] | None = None  # action and target; None for a process that carries out several
    beside_other_tables: bool = False
    app: str | None = None


@dataclass(frozen=True)
class Settings:
    """The settings of one service. repr() leaves out the URLs, because they hold the password."""

    service: str
    config_file: Path
    url: URL | None = field(repr=False)  # from DATABASE_URL or the file; env.py may use another one
    on_startup: OnStartup = OnStartup.APPLY
    version_table: VersionTable = VersionTable()  # likewise
    dapr_http_port: int | None = None  # of daprd; without it no journal row is sent to the audit
    audit_app_id: str = "cas-audit"
    section: str = "alembic"
    x: tuple[str, ...] = ()
    configured_url: URL | None = field(default=None, repr=False)  # from --database-url; replaces every URL of env.py
    from_environment: bool = False  # `url` comes from DATABASE_URL
    uses_our_environment: bool = True  # env.py only calls `environment.run`, so it connects to `url`
    no_url: str = ""  # the reason if `url` is None
    python: Path | None = None  # the service's own interpreter
    journal_table: str | None = None
    memory_bytes: int = 2048 << 20
    guards: Mapping[str, str] = field(default_factory=dict)
    patience_seconds: float = 600.0
    loading_seconds: float = 120.0  # limit for loading env.py and the revision files
    target: str = ""  # what `head` means, such as `main@head`; empty for the heads of the whole history
    command: tuple[str, str] | None = None  # the action and target of the only command that this process carries out
    directory: Path = field(default_factory=Path.cwd)  # where the command or the service was started
    given_config: Path | None = None  # `config_file` as it was given, mostly relative to `directory`
    allowed_hosts: frozenset[str] = frozenset()  # host names the endpoint accepts, besides those of this machine
    serve_openapi: bool = False  # GET /openapi.json, for development
    endpoint_downgrades: bool = False  # the endpoint accepts downgrades; the command line always does
    transaction_per_revision: bool = False  # each revision gets its own transaction, whatever env.py says
    beside_other_tables: bool = False  # a first upgrade takes all tables in the database for other people's
    flask: FlaskApplication | None = None  # Flask-Migrate keeps the environment
    never_taken_back: bool = False  # the endpoint never accepts one, because it would lose data that must be kept

    @property
    def job_environment(self) -> JobEnvironment:
        """The part that every job for a worker process of this service has."""
        url = self.configured_url.render_as_string(hide_password=False) if self.configured_url is not None else None
        return {
            "config_file": str(self.config_file),
            "given_config": str(self.given_config) if self.given_config is not None else None,
            "section": self.section,
            "x": list(self.x),
            "url": url,
            "directory": str(self.directory),
            "memory_bytes": self.memory_bytes,
            "journal_table": self.journal_table,
            "flask": self.flask,
        }


def read_settings(
    config_file: Path | None,
    environment: Mapping[str, str] = os.environ,
    overrides: CommandLineOverrides = CommandLineOverrides(),
) -> Settings:
    """Reads all settings once, at start. Raises NoConfiguration, or Misconfigured, which never shows a value."""
    startup = environment.get("MIGRATE_ON_STARTUP", OnStartup.APPLY)
    if startup not in set(OnStartup):
        raise Misconfigured("MIGRATE_ON_STARTUP", "it must be apply, check or off")
    _require_no_failpoints_outside_tests(environment)
    try:
        files, flask = flask_application.locate(config_file, environment, overrides.app)
        if flask is None and not files.named.exists():
            raise NoConfiguration(files.named.name)
        section = Section(files)
        our_own = False if flask is not None else _uses_our_environment(files, overrides.section)
        override_url = parse_url(overrides.database_url, "--database-url") if overrides.database_url else None
        needed = our_own is not False and override_url is None
        url, no_url = _declared(files, environment, overrides.section, needed=needed, found=our_own is not None)
    except (InvalidDatabaseUrl, ConfigFileError) as error:
        raise Misconfigured(error.key, error.reason) from None
    return Settings(
        service=overrides.service or section.string("service") or environment.get("APP_ID") or files.folder.name,
        config_file=files.named,
        given_config=config_file,
        url=url,
        on_startup=OnStartup(startup),
        version_table=VersionTable(
            section.string("version_table") or "alembic_version", section.string("version_table_schema") or ""
        ),
        dapr_http_port=int(port) if (port := environment.get("DAPR_HTTP_PORT", "")).isdigit() else None,
        audit_app_id=section.string("audit") or "cas-audit",
        section=overrides.section,
        x=overrides.x,
        configured_url=override_url,
        from_environment=bool(environment.get("DATABASE_URL")),
        uses_our_environment=our_own is not False,
        no_url=no_url,
        python=section.interpreter(overrides.python),
        journal_table=_journal_table(overrides, environment, section),
        memory_bytes=section.number("memory_limit_mb", 2048) << 20,
        guards=section.guards(),
        patience_seconds=float(section.number("patience_seconds", 600)),
        loading_seconds=_loading_seconds(overrides, environment, section),
        target=_target(overrides, section),
        command=overrides.command,
        allowed_hosts=_allowed_hosts(environment, section),
        serve_openapi=_serves_openapi(environment, section),
        flask=flask,
        endpoint_downgrades=section.boolean("endpoint_downgrades"),
        beside_other_tables=overrides.beside_other_tables or section.boolean("beside_other_tables"),
        never_taken_back=section.boolean("never_taken_back"),
        transaction_per_revision=section.boolean("transaction_per_revision"),
    )


def _require_no_failpoints_outside_tests(environment: Mapping[str, str]) -> None:
    try:
        failpoint_spec.parse_failpoints(environment)
    except failpoint_spec.InvalidFailpoints as error:
        raise Misconfigured(error.key, error.reason) from None


def _uses_our_environment(files: AlembicFiles, section: str) -> bool | None:
    if not files.has_section(section):
        raise Misconfigured(files.named.name, f"it has no section [{section}]")
    return uses_our_environment(files, section)


def _declared(
    files: AlembicFiles, environment: Mapping[str, str], section: str, *, needed: bool, found: bool
) -> tuple[URL | None, str]:
    """The URL and '', or None and the reason. Only our own env.py needs one here: another may get it elsewhere.

    Raises NoEnvironment where nothing names a URL, and no env.py was `found` that could.
    """
    try:
        return database_url(files.named, environment, section), ""
    except InvalidDatabaseUrl as error:
        is_unset = error.key == "DATABASE_URL" and not environment.get("DATABASE_URL")
        if needed and is_unset and not found:
            raise NoEnvironment(files.named.name, named=bool(files.alembic("script_location", section))) from None
        if needed or error.malformed or (error.key == "DATABASE_URL" and not is_unset):
            raise
        return None, str(error)


def _allowed_hosts(environment: Mapping[str, str], section: Section) -> frozenset[str]:
    try:
        return allowed_hosts(environment.get("MIGRATION_ALLOWED_HOSTS") or section.string("allowed_hosts") or "")
    except ValueError as error:
        raise Misconfigured("allowed_hosts", str(error)) from None


def _serves_openapi(environment: Mapping[str, str], section: Section) -> bool:
    value = environment.get("MIGRATION_SERVE_OPENAPI")
    if value not in (None, "", "true", "false"):
        raise Misconfigured("MIGRATION_SERVE_OPENAPI", "it must be true or false")
    return value == "true" if value else section.boolean("serve_openapi")


def _loading_seconds(overrides: CommandLineOverrides, environment: Mapping[str, str], section: Section) -> float:
    if overrides.loading_seconds is not None:
        return float(overrides.loading_seconds)
    value = environment.get("MIGRATION_LOADING_SECONDS", "")
    if value and not (value.isdecimal() and int(value) > 0):
        raise Misconfigured("MIGRATION_LOADING_SECONDS", "it must be a whole number above 0")
    return float(value or section.number("loading_seconds", 120))


def _target(overrides: CommandLineOverrides, section: Section) -> str:
    target = overrides.target or section.string("target") or ""
    return "" if target == "head" else target.strip()


def _journal_table(overrides: CommandLineOverrides, environment: Mapping[str, str], section: Section) -> str | None:
    name = overrides.journal_table or environment.get("MIGRATION_JOURNAL_TABLE") or section.string("journal_table")
    try:
        journal_tables(name)
    except ValueError as error:
        raise Misconfigured("journal_table", str(error)) from None
    return name

"""Finds the database URL of an environment. Needs few modules, because every `alembic` command imports it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from migration_sidecar.config.alembic_files import AlembicFiles, ConfigFileError
from migration_sidecar.protocol.url import URL, hide_password, make_url

if TYPE_CHECKING:
    import sqlalchemy.engine


class InvalidDatabaseUrl(ValueError):
    """A URL setting cannot be used. `key` names it; its value is never shown, because it may hold a password."""

    def __init__(self, key: str, reason: str, *, malformed: bool = False) -> None:
        super().__init__(f"{key}: {reason}.")
        self.key, self.reason = key, reason
        self.malformed = malformed  # env.py cannot use it either


def database_url(config_file: Path, environment: Mapping[str, str] = os.environ, section: str = "alembic") -> URL:
    """The URL for migrations of this environment, the same for every way to start one. Raises InvalidDatabaseUrl.

    It is DATABASE_URL, or else the file's sqlalchemy.url with the parts replaced that POSTGRES_* variables name.
    """
    if text := environment.get("DATABASE_URL"):
        return parse_url(text, "DATABASE_URL")
    try:
        text = AlembicFiles.locate(config_file).alembic("sqlalchemy.url", section) or ""
    except ConfigFileError as error:
        raise InvalidDatabaseUrl("sqlalchemy.url", error.reason, malformed=error.malformed) from None
    if not text:
        raise InvalidDatabaseUrl("DATABASE_URL", f"it is not set, and {config_file.name} has no sqlalchemy.url")
    url = parse_url(text, "sqlalchemy.url")
    port = environment.get("POSTGRES_PORT")
    if port and not port.isdigit():
        raise InvalidDatabaseUrl("POSTGRES_PORT", "it is not a number")
    return url.set(
        host=environment.get("POSTGRES_HOST") or url.host,
        port=int(port) if port else url.port,
        username=environment.get("POSTGRES_USER") or url.username,
        password=environment.get("POSTGRES_PASSWORD") or url.password,
    )


def mask_password(text: str, url: URL | sqlalchemy.engine.URL) -> str:
    """The text without the password of this URL, for messages of revisions and drivers."""
    return hide_password(text, url.username, str(url.password or ""))


def parse_url(text: str, key: str) -> URL:
    """Parses the URL of the setting `key`. Raises InvalidDatabaseUrl, which never shows the text."""
    try:
        url = make_url(text)
    except ValueError:
        # `from None`: the parser's own message repeats the URL, password included.
        raise InvalidDatabaseUrl(key, "it is not like postgresql://user:password@host:5432/database") from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise InvalidDatabaseUrl(key, "only PostgreSQL is supported")
    # Hosting platforms use the short scheme, which SQLAlchemy does not know.
    return url.set(drivername="postgresql") if url.drivername == "postgres" else url

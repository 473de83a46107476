"""Which database a folder's migrations go to; light, because every `alembic` command in the folder imports it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from migration_sidecar.config.alembic_files import ConfigFiles, UnreadableFile
from migration_sidecar.protocol.url import URL, make_url

if TYPE_CHECKING:
    import sqlalchemy.engine


class UnusableAddress(ValueError):
    """A setting cannot be used; `key` names it, and its value is never shown because it may hold a password."""

    def __init__(self, key: str, reason: str, *, malformed: bool = False) -> None:
        super().__init__(f"{key}: {reason}.")
        self.key, self.reason = key, reason
        self.malformed = malformed  # nobody can make sense of it, env.py neither


def database_url(config_file: Path, environment: Mapping[str, str] = os.environ, section: str = "alembic") -> URL:
    """The URL a migration of this folder uses, whichever way it is started.

    DATABASE_URL wins; otherwise it is the file's sqlalchemy.url, with the parts that POSTGRES_* name replaced.
    """
    if text := environment.get("DATABASE_URL"):
        return parse_url(text, "DATABASE_URL")
    try:
        text = ConfigFiles.found(config_file).alembic("sqlalchemy.url", section) or ""
    except UnreadableFile as error:
        raise UnusableAddress("sqlalchemy.url", error.reason, malformed=error.malformed) from None
    if not text:
        raise UnusableAddress("DATABASE_URL", f"it is not set, and {config_file.name} has no sqlalchemy.url")
    url = parse_url(text, "sqlalchemy.url")
    port = environment.get("POSTGRES_PORT")
    if port and not port.isdigit():
        raise UnusableAddress("POSTGRES_PORT", "it is not a number")
    return url.set(
        host=environment.get("POSTGRES_HOST") or url.host,
        port=int(port) if port else url.port,
        username=environment.get("POSTGRES_USER") or url.username,
        password=environment.get("POSTGRES_PASSWORD") or url.password,
    )


def without_password(text: str, url: URL | sqlalchemy.engine.URL) -> str:
    """A revision may raise anything; the password of its own database is taken out of what is passed on."""
    password = str(url.password or "")
    if not password or password == url.username:
        return text  # such a word is no secret, and taking it out would maim every sentence about the user
    for spelling in (password, quote(password, safe=""), quote_plus(password)):
        text = text.replace(spelling, "…")
    return text


def parse_url(text: str, key: str) -> URL:
    """Raises UnusableAddress, which names the key and never shows the text."""
    try:
        url = make_url(text)
    except ValueError:
        # `from None`: the parser's own message repeats the URL, password included.
        raise UnusableAddress(key, "it is not like postgresql://user:password@host:5432/database") from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise UnusableAddress(key, "only PostgreSQL is supported")
    # Platforms hand out the short scheme, which SQLAlchemy does not know.
    return url.set(drivername="postgresql") if url.drivername == "postgres" else url

"""Reads and writes database URLs as SQLAlchemy does. Loading SQLAlchemy would take longer than a small migration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, unquote

_FORM = re.compile(
    r"""
    (?P<drivername>[\w+]+)://
    (?: (?P<username>[^:/]*) (?: : (?P<password>[^@]*) )? @ )?
    (?: (?: \[ (?P<ipv6>[^/?]+) \] | (?P<host>[^/:?]+) )? (?: : (?P<port>[^/?]*) )? )?
    (?: / (?P<database>[^?]*) )?
    (?: \? (?P<query>.*) )?
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class URL:
    """A database URL with SQLAlchemy's field names. Its repr() has no password."""

    drivername: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    database: str | None = None
    query: Mapping[str, str | tuple[str, ...]] = field(
        default_factory=dict, repr=False
    )  # a driver may take a password from here too

    def set(self, **changes: Any) -> URL:
        """A copy with these fields changed."""
        return replace(self, **changes)

    @property
    def server(self) -> str:
        """Host and port for a message. A socket's folder, or several hosts, are in the query."""
        host = self.host or ",".join(_all(self.query.get("host", "localhost")))
        return f"{host}:{self.port or ','.join(_all(self.query.get('port', '5432')))}"

    def get_backend_name(self) -> str:
        """The database system, such as `postgresql`, without the driver."""
        return self.drivername.partition("+")[0]

    def render_as_string(self, *, hide_password: bool) -> str:
        """The URL as text; with `hide_password` it has *** for the password."""
        text = f"{self.drivername}://"
        if self.username is not None:
            text += quote(self.username, safe=" +")
            if self.password is not None:
                text += ":" + ("***" if hide_password else quote(self.password, safe=" +"))
            text += "@"
        if self.host is not None:
            text += f"[{self.host}]" if ":" in self.host else self.host
        if self.port is not None:
            text += f":{self.port}"
        if self.database is not None:
            text += "/" + quote(self.database, safe=" +/")
        pairs = [(key, each) for key in sorted(self.query) for each in _all(self.query[key])]
        return text + ("?" if pairs else "") + "&".join(f"{quote_plus(key)}={quote_plus(each)}" for key, each in pairs)


def make_url(text: str) -> URL:
    """Parses a URL. Raises ValueError, whose message may repeat the text with its password."""
    match = _FORM.match(text)
    if match is None:
        raise ValueError("not a URL")
    parts = match.groupdict()
    query = {key: each[0] if len(each) == 1 else tuple(each) for key, each in parse_qs(parts["query"] or "").items()}
    return URL(
        parts["drivername"],
        _unquoted(parts["username"]),
        _unquoted(parts["password"]),
        parts["host"] or parts["ipv6"],
        int(parts["port"]) if parts["port"] else None,
        _unquoted(parts["database"]),
        query,
    )


def hide_password(text: str, username: str | None, password: str | None) -> str:
    """The text without this password, in whichever way Python, a URL, SQL or libpq writes it."""
    if not password or password == username:
        return text  # such a password is no secret, and removing it would remove the user name too
    spellings = {password, quote(password, safe=""), quote_plus(password), quote(password, safe=" +")}
    spellings |= {repr(password)[1:-1], password.replace("'", "''"), re.sub(r"(['\\])", r"\\\1", password)}
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, "…")
    return text


def _unquoted(part: str | None) -> str | None:
    return None if part is None else unquote(part)


def _all(values: str | tuple[str, ...]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else values

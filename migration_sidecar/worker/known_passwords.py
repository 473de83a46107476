"""The passwords with which this process connects. It is there for one job, so no other job's are among them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from migration_sidecar.protocol.url import hide_password, make_url

_KNOWN: dict[tuple[str | None, str], None] = {}
_ADDRESSES: set[str] = set()
_NAMES = ("host", "user", "dbname", "database")  # of the arguments with which drivers connect


def learn(username: str | None, password: object) -> None:
    """From now on this password is taken out of what drivers and revisions say."""
    if password:
        _KNOWN[username, str(password)] = None


def watch() -> None:
    """Learns those of the environment, and that of each connection before SQLAlchemy opens it."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    with suppress(ValueError):
        url = make_url(os.environ.get("DATABASE_URL", ""))
        learn(url.username, url.password)
    learn(os.environ.get("PGUSER"), os.environ.get("PGPASSWORD"))

    def connecting(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        learn(parameters.get("user"), parameters.get("password"))
        _ADDRESSES.update(str(parameters[name]) for name in _NAMES if parameters.get(name))

    event.listen(Engine, "do_connect", connecting)


def address_names() -> frozenset[str]:
    """Hosts, users and databases to which this process connects: a driver that gets no session quotes them."""
    return frozenset(_ADDRESSES)


def hide_known(text: str) -> str:
    """The text without all passwords that are known here."""
    for username, password in _KNOWN:
        text = hide_password(text, username, password)
    return text

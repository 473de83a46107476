"""Reads which URL SQLAlchemy's engines connect to, and can replace it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from socket import getaddrinfo
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url

from migration_sidecar.worker.dbapi import driver_connection
from migration_sidecar.worker.known_passwords import learn

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection

NOTHING: Mapping[str, Any] = {}
TLS_PARAMETERS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs")


def override_engine_url(text: str, config: Config) -> None:
    """From now on every PostgreSQL engine of this process connects to this URL, whatever its own URL is."""
    declared = config.file_config.get(config.config_ini_section, "sqlalchemy.url", raw=True, fallback="") or ""
    written = redirect_engines(text, declared)
    config.set_main_option("sqlalchemy.url", written.replace("%", "%%"))


def redirect_engines(text: str, declared: str = "") -> str:
    """The same before there is a Config; returns the URL with its driver, that of `declared` if it names none."""
    url = _with_driver(make_url(text), declared)
    learn(url.username, url.password)
    written = url.render_as_string(hide_password=False)
    os.environ["DATABASE_URL"] = written

    def redirect(dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        if dialect.name == "postgresql":
            _, ours = dialect.create_connect_args(url.set(drivername=f"postgresql+{dialect.driver}"))
            for name in ("host", "port", "unix_sock", "user", "password", "dbname", "database", "dsn"):
                parameters.pop(name, None)
            parameters.update(ours)

    event.listen(Engine, "do_connect", redirect)
    return written


def _with_driver(url: URL, declared: str) -> URL:
    """A URL without a driver gets the driver that env.py uses, which may be asynchronous."""
    if "+" in url.drivername:
        return url
    for scheme in (declared.partition("://")[0], os.environ.get("DATABASE_URL", "").partition("://")[0]):
        if scheme.startswith("postgresql+"):
            return url.set(drivername=scheme)
    return url.set(drivername="postgresql")


def url_of_parameters(dialect: Any, parameters: Mapping[str, Any]) -> str:
    """The URL, with password, for the parameters of a connect call. Drivers name them differently."""
    host, port = parameters.get("host"), parameters.get("port")
    if isinstance(file := parameters.get("unix_sock"), str):  # pg8000
        host, port = _of_socket(file)
    return _as_text(
        drivername_of(dialect),
        host=host,
        port=port,
        user=parameters.get("user"),
        password=parameters.get("password"),
        database=parameters.get("dbname") or parameters.get("database"),
        options={name: parameters[name] for name in TLS_PARAMETERS if isinstance(parameters.get(name), str)},
    )


def url_of_connection(connection: Connection, database: str | None = None) -> str:
    """The URL, with password, of an open connection, as its driver shows it; empty if it shows no address.

    The engine's URL alone says nothing: a `creator`, a listener or PGHOST may have led the connection elsewhere.
    `database` is the name that the server gave, for a driver that does not keep it.
    """
    dialect, url = connection.dialect, connection.engine.url
    _, parameters = dialect.create_connect_args(url)
    return url_of_driver(driver_connection(connection), drivername_of(dialect), parameters, database or url.database)


def url_of_driver(
    driver: Any, drivername: str, parameters: Mapping[str, Any] = NOTHING, database: str | None = None
) -> str:
    """As `url_of_connection`, for a driver's own connection. `parameters` are those of the engine's URL, if known."""
    inner = getattr(driver, "driver_connection", None)  # of an asynchronous driver
    info = getattr(driver, "info", None) or getattr(inner, "info", None)
    if info is not None and hasattr(info, "dbname"):
        return _of_libpq(drivername, info, parameters)
    if hasattr(inner, "_params") and hasattr(inner, "_addr"):
        return _of_asyncpg(drivername, inner, parameters)
    if hasattr(driver, "_usock"):
        return _of_pg8000(drivername, driver, parameters, database)
    return ""


def drivername_of(dialect: Any) -> str:
    """The first part of a URL, such as `postgresql+psycopg`."""
    return f"{dialect.name}+{dialect.driver}"


def _of_libpq(drivername: str, info: Any, parameters: Mapping[str, Any]) -> str:
    """Of psycopg and psycopg2. A service file and the environment are resolved already."""
    used = info.dsn_parameters if hasattr(info, "dsn_parameters") else info.get_parameters()
    options = {name: used[name] for name in TLS_PARAMETERS if used.get(name)}
    host, port = _all_hosts(used, *_all_hosts(parameters, info.host, info.port))
    return _as_text(drivername, host, port, info.user, info.password or None, info.dbname, options)


def _of_asyncpg(drivername: str, inner: Any, parameters: Mapping[str, Any]) -> str:
    known, address = inner._params, inner._addr
    host, port = address if isinstance(address, tuple) else _of_socket(address)
    password = known.password if isinstance(known.password, str) else parameters.get("password")
    host, port = _all_hosts(parameters, host, port)
    options = {name: parameters[name] for name in TLS_PARAMETERS if isinstance(parameters.get(name), str)}
    return _as_text(drivername, host, port, known.user, password, known.database, options)


def _of_pg8000(drivername: str, driver: Any, parameters: Mapping[str, Any], database: str | None) -> str:
    """It keeps the socket, the user and the password."""
    peer = driver._usock.getpeername()
    host, port = peer[:2] if isinstance(peer, tuple) else _of_socket(_decoded(peer))
    if not host or not database:  # a connector's own end of a tunnel has no address
        return ""
    named = parameters.get("host")
    if isinstance(peer, tuple) and named and _leads_to(named, port, host):
        host = named
    return _as_text(drivername, host, port, _decoded(driver.user), _decoded(driver.password), database, {})


def _all_hosts(parameters: Mapping[str, Any], host: Any, port: Any) -> tuple[Any, Any]:
    """All of several hosts, if the connection is with one of them: after a failover another one answers."""
    hosts = _in_one(parameters.get("host")).split(",")
    return (hosts, parameters.get("port")) if len(hosts) > 1 and host in hosts else (host, port)


def _leads_to(name: str, port: int, address: str) -> bool:
    """Whether the host name stands for the address; TLS may need the name."""
    try:
        return any(found[4][0] == address for found in getaddrinfo(name, port))
    except OSError:
        return False


def _decoded(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _as_text(
    drivername: str,
    host: Any,
    port: Any,
    user: str | None,
    password: Any,
    database: str | None,
    options: dict[str, Any],
) -> str:
    hosts, query = _in_one(host), {}
    if hosts.startswith("/") or "," in hosts:
        query = {"host": hosts, **({"port": _in_one(port)} if port else {})}
    return URL.create(
        drivername,
        username=user,
        password=str(password) if password is not None else None,
        host=None if query else host,
        port=None if query or not port else int(port),
        database=database,
        query={**options, **query},
    ).render_as_string(hide_password=False)


def _in_one(several: Any) -> str:
    """Several hosts or ports separated by commas, as libpq writes them; asyncpg takes lists."""
    return ",".join(map(str, several)) if isinstance(several, (list, tuple)) else str(several or "")


def _of_socket(file: str) -> tuple[str, str]:
    """Folder and port of a socket such as `/folder/.s.PGSQL.5432`."""
    return file.rpartition("/")[0], file.rpartition(".")[2]

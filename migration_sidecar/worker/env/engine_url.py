"""Reads which URL SQLAlchemy's engines connect to, and can replace it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection

TLS_PARAMETERS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs")


def override_engine_url(text: str, config: Config) -> None:
    """From now on every PostgreSQL engine of this process connects to this URL, whatever its own URL is."""
    url = _with_driver(make_url(text), config)
    written = url.render_as_string(hide_password=False)
    os.environ["DATABASE_URL"] = written
    config.set_main_option("sqlalchemy.url", written.replace("%", "%%"))

    def redirect(dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        if dialect.name == "postgresql":
            _, ours = dialect.create_connect_args(url.set(drivername=f"postgresql+{dialect.driver}"))
            for name in ("host", "port", "unix_sock", "user", "password", "dbname", "database", "dsn"):
                parameters.pop(name, None)
            parameters.update(ours)

    event.listen(Engine, "do_connect", redirect)


def _with_driver(url: URL, config: Config) -> URL:
    """A URL without a driver gets the driver that env.py uses, which may be asynchronous."""
    if "+" in url.drivername:
        return url
    declared = config.file_config.get(config.config_ini_section, "sqlalchemy.url", raw=True, fallback="") or ""
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
        dialect,
        host=host,
        port=port,
        user=parameters.get("user"),
        password=parameters.get("password"),
        database=parameters.get("dbname") or parameters.get("database"),
        options={name: parameters[name] for name in TLS_PARAMETERS if isinstance(parameters.get(name), str)},
    )


def url_of_connection(connection: Connection) -> str:
    """The URL, with password, of an open connection. The driver knows also what came from PGHOST or a password file."""
    url, driver = connection.engine.url, connection.connection.dbapi_connection
    options = {name: value for name in TLS_PARAMETERS if isinstance(value := url.query.get(name), str)}
    dialect, info = connection.dialect, getattr(driver, "info", None)
    _, parameters = dialect.create_connect_args(url)
    # The URL keeps all of several hosts, because after a failover another one answers.
    if "unix_sock" in parameters or "," in _in_one(parameters.get("host")):
        return url_of_parameters(dialect, {"password": getattr(info, "password", None), **parameters})
    if info is not None and hasattr(info, "dbname"):  # psycopg and psycopg2
        return _as_text(dialect, info.host, info.port, info.user, info.password or url.password, info.dbname, options)
    inner = getattr(driver, "driver_connection", None)
    known, address = getattr(inner, "_params", None), getattr(inner, "_addr", None)
    if known is not None and address is not None:  # asyncpg
        host, port = address if isinstance(address, tuple) else _of_socket(address)
        password = known.password if isinstance(known.password, str) else url.password
        return _as_text(dialect, host, port, known.user, password, known.database, options)
    return url.render_as_string(hide_password=False)


def _as_text(
    dialect: Any,
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
        f"{dialect.name}+{dialect.driver}",
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

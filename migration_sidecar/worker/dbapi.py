"""What only the driver under SQLAlchemy knows about its connection; None where a driver does not tell."""

from __future__ import annotations

from typing import Any

USUAL_SEARCH_PATH = '"$user", public'


def backend_pid(connection: Any) -> int | None:
    """The server process that this connection was opened to, which a pooler may have exchanged since."""
    driver = driver_connection(connection)
    if hasattr(driver, "info") and hasattr(driver.info, "backend_pid"):  # psycopg and psycopg2
        return int(driver.info.backend_pid)
    inner = getattr(driver, "driver_connection", driver)
    if hasattr(inner, "get_server_pid"):  # asyncpg
        return int(inner.get_server_pid())
    key_data = getattr(getattr(driver, "_c", driver), "_backend_key_data", None)
    return int.from_bytes(key_data[:4], "big") if key_data else None  # pg8000


def in_autocommit(connection: Any) -> bool:
    """Whether each statement is a transaction of its own, because env.py or its engine asked for that."""
    return bool(getattr(driver_connection(connection), "autocommit", False))


def default_schema(connection: Any) -> str:
    """Where a version table without a schema stands, if env.py has a search_path of its own; else nothing."""
    path, schema = connection.exec_driver_sql("SELECT current_setting('search_path'), current_schema()").one()
    if path == USUAL_SEARCH_PATH:
        return ""
    # One that does not exist yet is made by env.py or a revision; then it is what current_schema() tells.
    return str(schema or path.split(",")[0].strip().strip('"'))


def role_taken(connection: Any) -> str:
    """The role that env.py or its engine has set, so that what it makes belongs to a group; else nothing."""
    session, current = connection.exec_driver_sql("SELECT session_user::text, current_user::text").one()
    return "" if session == current else str(current)


def sqlstate_of(error: BaseException) -> str | None:
    """PostgreSQL's own word for what went wrong, however deep the driver hides it."""
    found: list[BaseException] = []
    inner: BaseException | None = error
    while inner is not None and inner not in found:
        found.append(inner)
        inner = getattr(inner, "orig", None) or inner.__cause__
    for each in found:
        code = getattr(each, "sqlstate", None) or getattr(each, "pgcode", None)
        if code is None and each.args and isinstance(each.args[0], dict):
            code = each.args[0].get("C")  # pg8000
        if code:
            return str(code)
    return None


def socket_of(connection: Any) -> int | None:
    """A descriptor that becomes readable when the server ends an idle connection."""
    if connection is None:
        return None
    driver = driver_connection(connection)
    if hasattr(driver, "fileno"):  # psycopg and psycopg2
        return int(driver.fileno())
    transport = getattr(getattr(driver, "driver_connection", None), "_transport", None)
    return transport.get_extra_info("socket").fileno() if transport is not None else None


def driver_connection(connection: Any) -> Any:
    """As the driver made it, below SQLAlchemy."""
    fairy = connection.connection
    return getattr(fairy, "dbapi_connection", None) or fairy.connection  # the name before SQLAlchemy 1.4.24

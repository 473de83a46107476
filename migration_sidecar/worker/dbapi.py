"""Facts that only the driver below SQLAlchemy has. A function returns None if the driver does not offer them."""

from __future__ import annotations

from typing import Any

USUAL_SEARCH_PATH = '"$user", public'


def backend_pid(connection: Any) -> int | None:
    """The pid of the server process to which the driver connected. Behind a pooler another one may answer by now."""
    driver = driver_connection(connection)
    if hasattr(driver, "info") and hasattr(driver.info, "backend_pid"):  # psycopg and psycopg2
        return int(driver.info.backend_pid)
    inner = getattr(driver, "driver_connection", driver)
    if hasattr(inner, "get_server_pid"):  # asyncpg
        return int(inner.get_server_pid())
    key_data = getattr(getattr(driver, "_c", driver), "_backend_key_data", None)
    return int.from_bytes(key_data[:4], "big") if key_data else None  # pg8000


def in_autocommit(connection: Any) -> bool:
    """Whether env.py or its engine set AUTOCOMMIT, so that each statement is a transaction of its own."""
    return bool(getattr(driver_connection(connection), "autocommit", False))


def default_schema(connection: Any) -> str:
    """The schema of an unqualified version table; empty if search_path has PostgreSQL's default value."""
    path, schema = connection.exec_driver_sql("SELECT current_setting('search_path'), current_schema()").one()
    if path == USUAL_SEARCH_PATH:
        return ""
    # A schema that env.py or a revision will create is not yet in current_schema().
    return str(schema or path.split(",")[0].strip().strip('"'))


def current_role(connection: Any) -> str:
    """The role that env.py or its engine set with SET ROLE; otherwise an empty text."""
    session, current = connection.exec_driver_sql("SELECT session_user::text, current_user::text").one()
    return "" if session == current else str(current)


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE of an error, from whichever wrapped error has it; None if PostgreSQL did not raise it."""
    errors: list[BaseException] = []
    inner: BaseException | None = error
    while inner is not None and inner not in errors:
        errors.append(inner)
        inner = getattr(inner, "orig", None) or inner.__cause__
    for each in errors:
        code = getattr(each, "sqlstate", None) or getattr(each, "pgcode", None)
        if code is None and each.args and isinstance(each.args[0], dict):
            code = each.args[0].get("C")  # pg8000
        if code:
            return str(code)
    return None


def socket_of(connection: Any) -> int | None:
    """The file descriptor of the connection's socket. It becomes readable when the server ends an idle session."""
    if connection is None:
        return None
    driver = driver_connection(connection)
    if hasattr(driver, "fileno"):  # psycopg and psycopg2
        return int(driver.fileno())
    transport = getattr(getattr(driver, "driver_connection", None), "_transport", None)
    return transport.get_extra_info("socket").fileno() if transport is not None else None


def driver_connection(connection: Any) -> Any:
    """The driver's connection object below SQLAlchemy's."""
    fairy = connection.connection
    return getattr(fairy, "dbapi_connection", None) or fairy.connection  # the name before SQLAlchemy 1.4.24

"""Facts that only the driver below SQLAlchemy has. A function returns None if the driver does not offer them."""

from __future__ import annotations

from typing import Any

from migration_sidecar.protocol.server_words import RAISE, ServerWords
from migration_sidecar.worker.known_passwords import address_names, hide_known

_NAMES = ("schema_name", "table_name", "column_name", "datatype_name", "constraint_name")
IN_FAILED_TRANSACTION = "25P02"


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


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE of an error, from whichever wrapped error has it; None if PostgreSQL did not raise it."""
    return next((code for each in wrapped_errors(error) if (code := _own_sqlstate(each))), None)


def first_error(error: BaseException) -> BaseException:
    """The error that made the transaction fail, where this one only says that it had failed already."""
    first: BaseException | None = error
    while first is not None and sqlstate_of(first) in (None, IN_FAILED_TRANSACTION):
        first = first.__context__
    return first if first is not None and sqlstate_of(error) == IN_FAILED_TRANSACTION else error


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error below SQLAlchemy's wrappers; an error that wraps none is returned itself."""
    original = getattr(error, "orig", None) or error
    cause = original.__cause__
    # SQLAlchemy's asyncpg adapter wraps the driver's error twice.
    return cause if original is not error and cause is not None and _own_sqlstate(cause) else original


def server_words(error: BaseException) -> ServerWords:
    """What the server or the driver said, without detail, hint and context: they quote rows."""
    diagnostics = getattr(error, "diag", None)  # psycopg and psycopg2
    fields = _fields(error)
    sqlstate = _own_sqlstate(error)
    primary = getattr(diagnostics, "message_primary", None) or fields.get("M") or (sqlstate and _message(error))
    told = [
        [getattr(diagnostics, name, None) for name in _NAMES],
        [getattr(error, name, None) for name in (*_NAMES, "data_type_name")],  # asyncpg
        [fields.get(name) for name in "sctdn"],
    ]
    names = frozenset(str(name) for each in told for name in each if name)
    function = getattr(diagnostics, "source_function", None) or getattr(error, "server_source_function", None)
    raised = RAISE in (function, fields.get("R"))
    return ServerWords(hide_known(str(primary or error)), sqlstate, names if sqlstate else address_names(), raised)


def _message(error: BaseException) -> str | None:
    return getattr(error, "message", None)


def wrapped_errors(error: BaseException) -> list[BaseException]:
    """The error, the one that it wraps, and so on down to the driver's own."""
    errors: list[BaseException] = []
    inner: BaseException | None = error
    while inner is not None and inner not in errors:
        errors.append(inner)
        inner = getattr(inner, "orig", None) or inner.__cause__
    return errors


def _own_sqlstate(error: BaseException) -> str | None:
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or _fields(error).get("C")
    return str(code) if code else None


def _fields(error: BaseException) -> dict[str, Any]:
    """The fields of the server's answer, which pg8000 gives as a dictionary: C is the SQLSTATE, M the sentence."""
    return error.args[0] if error.args and isinstance(error.args[0], dict) else {}


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

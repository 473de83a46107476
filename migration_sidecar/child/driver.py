"""What only the driver under SQLAlchemy knows about its connection; None where a driver does not tell."""

from __future__ import annotations

from typing import Any


def backend_pid(connection: Any) -> int | None:
    """The server process that this connection was opened to, which a pooler may have exchanged since."""
    driver = connection.connection.dbapi_connection
    if hasattr(driver, "info") and hasattr(driver.info, "backend_pid"):  # psycopg and psycopg2
        return int(driver.info.backend_pid)
    inner = getattr(driver, "driver_connection", driver)
    if hasattr(inner, "get_server_pid"):  # asyncpg
        return int(inner.get_server_pid())
    return None


def socket_of(connection: Any) -> int | None:
    """A descriptor that becomes readable when the server ends an idle connection."""
    if connection is None:
        return None
    driver = connection.connection.dbapi_connection
    if hasattr(driver, "fileno"):  # psycopg and psycopg2
        return int(driver.fileno())
    transport = getattr(getattr(driver, "driver_connection", None), "_transport", None)
    return transport.get_extra_info("socket").fileno() if transport is not None else None

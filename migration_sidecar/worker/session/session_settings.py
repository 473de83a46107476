"""The guards: PostgreSQL settings that limit how a migrating session affects others, also after its process died."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Measured: with these the session of a stopped or disconnected worker ends within seconds. Every role may set them.
# lock_timeout: a waiting DDL statement blocks every reader behind it.
SETTINGS = {
    "client_connection_check_interval": "1s",
    "lock_timeout": "1s",
    "tcp_user_timeout": "20s",
    "idle_in_transaction_session_timeout": "60s",
    "idle_session_timeout": "120s",
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
# CONCURRENTLY always waits for older transactions. If it gave up after a second, it would leave an INVALID index.
PATIENT_LOCK_TIMEOUT = "10min"
LOCK_TIMEOUT_OUTSIDE_TRANSACTION = (
    "patient_lock_timeout"  # the override of lock_timeout for revisions outside a transaction
)


def configured(settings: Mapping[str, Any]) -> dict[str, str]:
    """The guards among an operator's settings."""
    return {name: str(settings[name]) for name in (*SETTINGS, LOCK_TIMEOUT_OUTSIDE_TRANSACTION) if name in settings}


def set_config_sql(overrides: Mapping[str, str], *, outside_transaction: bool = False) -> str:
    """SQL expressions that set every guard for the session. Raises KeyError for an unknown guard in `overrides`."""
    known = {**SETTINGS, LOCK_TIMEOUT_OUTSIDE_TRANSACTION: PATIENT_LOCK_TIMEOUT}
    if unknown := set(overrides) - set(known):
        raise KeyError(f"no such guard: {', '.join(sorted(unknown))}")
    settings = {**known, **overrides}
    patience = settings.pop(LOCK_TIMEOUT_OUTSIDE_TRANSACTION)
    if outside_transaction:
        settings["lock_timeout"] = patience
    return ", ".join(f"set_config('{name}', {_literal(value)}, false)" for name, value in settings.items())


def _literal(value: str) -> str:
    # Becomes a part of SQLAlchemy's text(), where a colon would begin a parameter.
    return "'" + value.replace("'", "''").replace(":", "\\:") + "'"

"""The settings that bound what a migrating session may do to others, and what a dead one may leave behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Measured: with these a stopped or cut-off migrator loses its session within seconds, and no unprivileged role
# lacks the right to set them. lock_timeout: a waiting DDL statement blocks every reader behind it.
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
# CONCURRENTLY waits for older transactions by design; giving up after a second leaves an INVALID index.
PATIENT_LOCK_TIMEOUT = "10min"
PATIENT = "patient_lock_timeout"  # among the overrides it stands for lock_timeout outside a transaction


def chosen(settings: Mapping[str, Any]) -> dict[str, str]:
    """Those of an operator's settings that are guards."""
    return {name: str(settings[name]) for name in (*SETTINGS, PATIENT) if name in settings}


def preamble(overrides: Mapping[str, str], *, patient: bool = False) -> str:
    """SQL expressions that set every guard for the session; raises KeyError for a guard that does not exist."""
    known = {**SETTINGS, PATIENT: PATIENT_LOCK_TIMEOUT}
    if unknown := set(overrides) - set(known):
        raise KeyError(f"no such guard: {', '.join(sorted(unknown))}")
    settings = {**known, **overrides}
    patience = settings.pop(PATIENT)
    if patient:
        settings["lock_timeout"] = patience
    return ", ".join(f"set_config('{name}', {_literal(value)}, false)" for name, value in settings.items())


def _literal(value: str) -> str:
    # Pasted into a text() of SQLAlchemy, where a colon would begin a parameter.
    return "'" + value.replace("'", "''").replace(":", "\\:") + "'"

"""Reports which connections env.py opens while it runs."""

from __future__ import annotations

from time import monotonic
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from migration_sidecar.protocol.limits import CONNECT_SECONDS
from migration_sidecar.protocol.reports import SendReport
from migration_sidecar.worker.env.engine_url import url_of_driver, url_of_parameters


class ReportedConnections:
    """Reports `tried`, the URL to which env.py connects, and None once it is connected."""

    def __init__(self, report: SendReport) -> None:
        self.reached: list[str] = []  # each URL to which it was connected; empty if the address is not known
        self.is_waiting = False
        self._tried = ""
        self._report = report
        event.listen(Engine, "do_connect", self._connecting)
        event.listen(Pool, "connect", self._connected)

    def _connecting(self, dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        if dialect.name == "postgresql":
            self._tried, self.is_waiting = url_of_parameters(dialect, parameters), True
            self._report({"event": "connecting", "tried": self._tried, "tried_at": monotonic()})
            # A server may accept the connection and never answer; a status must not wait for it.
            parameters.setdefault(
                "connect_timeout" if dialect.driver.startswith("psycopg") else "timeout", CONNECT_SECONDS
            )

    def _connected(self, driver: Any, _record: Any) -> None:
        url = url_of_driver(driver, "postgresql") or self._tried
        self._tried, self.is_waiting = "", False
        self.reached += [url] if url not in self.reached else []
        self._report({"event": "connected", "tried": None})

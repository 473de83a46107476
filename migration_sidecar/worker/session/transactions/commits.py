"""Sees every COMMIT that SQLAlchemy sends on the connection that migrates: before, after, and when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import event

from migration_sidecar.worker.dbapi import driver_connection

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class CommitWatcher(Protocol):
    """Hears of the commits of one connection."""

    def before_commit(self) -> None:
        """Called while the transaction is open. If it raises, the transaction is not committed."""

    def after_commit(self) -> None:
        """Called when the server has answered COMMIT."""

    def commit_failed(self, error: BaseException) -> None:
        """Called with the driver's error, which is then raised."""


_Watchers = dict[int, tuple[Any, list[CommitWatcher]]]  # by id of the driver's connection, which is kept with them


def watch_commits(connection: Connection, watcher: CommitWatcher) -> None:
    """From now on `watcher` hears of this connection's commits, until it is returned or another one is named.

    If another one is named, `watcher` still hears of the next commit: several may have run in one transaction.
    """
    dialect, driver = connection.dialect, driver_connection(connection)
    # One replaced method for each dialect object: an env.py may configure a thousand connections of one engine.
    watchers: _Watchers | None = getattr(dialect, "_migration_watchers", None)
    if watchers is None:
        watchers = dialect._migration_watchers = {}  # type: ignore[attr-defined]
        dialect.do_commit = _watched(dialect.do_commit, watchers)  # type: ignore[method-assign]
        # A pool may give the same session to env.py again, for another purpose.
        event.listen(connection.engine.pool, "checkin", lambda returned, _: watchers.pop(id(returned), None))
    watchers.setdefault(id(driver), (driver, []))[1].append(watcher)


def stop_watching(connection: Connection) -> None:
    """Nobody hears of this connection's commits any more."""
    watchers = getattr(connection.dialect, "_migration_watchers", {})
    if not connection.closed and not connection.invalidated:
        watchers.pop(id(driver_connection(connection)), None)


def _watched(do_commit: Any, watchers: _Watchers) -> Any:
    def commit(pooled: Any) -> None:
        driver = getattr(pooled, "dbapi_connection", None) or getattr(pooled, "connection", None) or pooled
        _, told = watchers.get(id(driver), (None, []))
        for watcher in told:
            watcher.before_commit()
        try:
            do_commit(pooled)
        except BaseException as error:
            for watcher in told:
                watcher.commit_failed(error)
            raise
        for watcher in told:
            watcher.after_commit()
        del told[:-1]

    return commit

"""Runs env.py with commits disabled in SQLAlchemy, for jobs that must not change the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import Pool

# Without commits, one connection of env.py may wait for a lock of another one.
SHORT_LOCK_TIMEOUT = "SET lock_timeout = '2s'"


def run_without_commits(run: Callable[[], None], begin_again: Callable[[], None] = lambda: None) -> None:
    """Runs env.py with commits disabled, so that a status does not create what env.py creates before it migrates.

    If that fails because env.py reads on one connection what it wrote on another, `begin_again` is called and env.py
    runs once more with its commits.
    """
    try:
        with discard_commits() as skipped_commits:
            run()
    except SQLAlchemyError:
        if not skipped_commits:
            raise
        begin_again()
        run()


@contextmanager
def discard_commits() -> Iterator[list[Any]]:
    """Disables commits in the block. The list that it gives gets an entry for every COMMIT that was not sent.

    A connection in AUTOCOMMIT still writes.
    """
    skipped_commits: list[Any] = []
    opened: list[Any] = []
    commit = DefaultDialect.do_commit

    def skip(_: DefaultDialect, connection: Any) -> None:
        skipped_commits.append(connection)

    def connected(driver: Any, _: Any) -> None:
        opened.append(driver)
        driver.cursor().execute(SHORT_LOCK_TIMEOUT)
        driver.commit()

    DefaultDialect.do_commit = skip  # type: ignore[method-assign]
    event.listen(Pool, "connect", connected)
    try:
        yield skipped_commits
    except Exception:
        for driver in opened:  # a failed env.py may keep a session open, with the locks of what it wrote
            with suppress(Exception):
                getattr(driver, "terminate", driver.close)()
        raise
    finally:
        event.remove(Pool, "connect", connected)
        DefaultDialect.do_commit = commit  # type: ignore[method-assign]

"""Lets vanish what an env.py writes while it is only looked at: nothing that goes through SQLAlchemy is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import Pool

# One connection of env.py may now wait for what another one of it has not committed.
IMPATIENT = "SET lock_timeout = '2s'"


def run_without_a_trace(run: Callable[[], None], begin_again: Callable[[], None] = lambda: None) -> None:
    """Or a status would make what env.py makes before it migrates, and an empty database would be none any more."""
    try:
        with nothing_kept() as forgotten:
            run()
    except SQLAlchemyError:
        if not forgotten:
            raise
        begin_again()
        run()  # it needs on one connection what it wrote on another


@contextmanager
def nothing_kept() -> Iterator[list[Any]]:
    """Gives a list that is not empty once something would have been committed.

    A connection in AUTOCOMMIT keeps what it writes all the same.
    """
    forgotten: list[Any] = []
    opened: list[Any] = []
    commit = DefaultDialect.do_commit

    def forget(_: DefaultDialect, connection: Any) -> None:
        forgotten.append(connection)

    def connected(driver: Any, _: Any) -> None:
        opened.append(driver)
        driver.cursor().execute(IMPATIENT)
        driver.commit()

    DefaultDialect.do_commit = forget  # type: ignore[method-assign]
    event.listen(Pool, "connect", connected)
    try:
        yield forgotten
    except Exception:
        for driver in opened:  # what failed may keep a session open, and with it the locks of what it wrote
            with suppress(Exception):
                getattr(driver, "terminate", driver.close)()
        raise
    finally:
        event.remove(Pool, "connect", connected)
        DefaultDialect.do_commit = commit  # type: ignore[method-assign]

"""The migration process: one operation or one inspection, then the process ends; its answers are lines of JSON."""

from __future__ import annotations

import json
import os
import re
from argparse import ArgumentParser
from functools import cache
from pathlib import Path
from select import select
from socket import socket
from typing import Any, TextIO

from migration_sidecar.child.configuration import configuration_of
from migration_sidecar.child.driver import socket_of
from migration_sidecar.child.refusal import Refusal

DID_NOTHING = 75  # the exit code of a process that was not needed any more


class Reporter:
    """Writes one JSON line per event to the parent; remembers the revision under way for the error."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.revision: str | None = None

    def __call__(self, event: str, **facts: Any) -> None:
        if event in ("revision", "applied"):
            self.revision = facts["revision"] if event == "revision" else None
        self.stream.write(json.dumps({"event": event, **facts}) + "\n")
        self.stream.flush()


def carry_out(job: dict[str, Any], channel: socket) -> None:
    """Runs the job and reports `done` with its result or `failed` with a problem; never raises.

    A migration reads its orders from the channel as one line of JSON; it gets ready while it waits for them.
    """
    report = Reporter(channel.makefile("w", encoding="utf-8"))
    report("process", pid=os.getpid())
    try:
        report("done", result=_result(job, report, channel))
    except Refusal as refusal:
        report("failed", problem={**refusal.facts, "revision": refusal.facts["revision"] or report.revision})
    except BaseException as error:  # a revision may raise SystemExit or KeyboardInterrupt: it harms only this process
        report("failed", problem=describe_failure(error, report.revision))


def _result(job: dict[str, Any], report: Reporter, channel: socket) -> Any:
    config = configuration_of(job, parser())
    kind = job["kind"]
    if kind == "inspect":
        from migration_sidecar.child.inspection import load_history

        return load_history(config, report, job["seconds"])
    if kind == "resolve":
        from migration_sidecar.child.targets import resolve

        return resolve(config, job["action"], job["target"], job["revisions"])
    if kind == "render":
        from migration_sidecar.child.rendering import render

        return render(config, job["revisions"], job["action"])
    if kind == "look":
        from migration_sidecar.child.looking import look

        return look(config, report)
    return _migrate(config, job, report, channel)


@cache
def parser() -> ArgumentParser:
    """Alembic's own; making it takes longer than a small migration, so the forkserver makes it once."""
    from alembic.config import CommandLine

    return CommandLine().parser


def _migrate(config: Any, job: dict[str, Any], report: Reporter, channel: socket) -> None:
    from alembic import command
    from alembic.util import CommandError

    from migration_sidecar.child import hook
    from migration_sidecar.child.orders import Orders

    given: list[Orders] = []

    def orders(connection: Any = None) -> Orders:
        if not given:
            report("prepared")
            given.append(Orders.read(json.loads(_next_line(channel, connection))))
        return given[0]

    guard = hook.install(orders, report)
    if not _only_connects(config):
        orders()
    apply = command.upgrade if job["action"] == "upgrade" else command.downgrade
    try:
        apply(config, job["target"])
    except CommandError as error:
        raise Refusal(
            "CM-302",
            "Alembic refused",
            str(error).splitlines()[0],
            "Correct the history or the target, and try again.",
        ) from None
    guard.require_committed()


def _only_connects(config: Any) -> bool:
    """Our own env.py connects and does nothing before its orders; somebody else's may do anything."""
    from alembic.script import ScriptDirectory

    file = Path(ScriptDirectory.from_config(config).env_py_location)
    return file.exists() and "from migration_sidecar.environment import run" in file.read_text(encoding="utf-8")


def _next_line(channel: socket, connection: Any) -> str:
    """Ends this process when its parent needs it no longer, or the server took the connection away meanwhile."""
    waited_for = [channel, *([descriptor] if (descriptor := socket_of(connection)) is not None else [])]
    ready, _, _ = select(waited_for, [], [])
    line = channel.makefile("r", encoding="utf-8").readline() if channel in ready else ""
    if not line:
        os._exit(DID_NOTHING)  # nothing must be concluded from its end
    return line


_LITERALS = re.compile(r"'[^']*'|\"[^\"]*@[^\"]*\"|\S+://\S+")


def describe_failure(error: BaseException, revision: str | None) -> dict[str, Any]:
    """CM-401 with the driver's own first sentence; literals and URLs are taken out of it."""
    driver = _driver_error(error)
    sqlstate = getattr(driver, "sqlstate", None) or getattr(driver, "pgcode", None)
    text = _first_sentence(driver)
    where = f"Revision {revision} stopped" if revision else "The migration stopped before any revision"
    because = f"{type(driver).__name__}: {_LITERALS.sub('…', text)}" if text else type(driver).__name__
    return {
        "code": "CM-401" if revision else "CM-407",
        "title": "A revision failed" if revision else "The migration environment failed",
        "detail": f"{where} with {because}; the database is at the revision before it."
        if revision
        else f"{where} with {because}.",
        "next_step": "Correct the revision file and send a new request; what was applied before stays applied."
        if revision
        else "Correct env.py or the connection, and try again.",
        "retryable": False,
        "revision": revision,
        "sqlstate": sqlstate,
        "connection_lost": _connection_lost(error, sqlstate),
        "unconnected": sqlstate is None and type(driver).__name__ == "OperationalError",
    }


def _driver_error(error: BaseException) -> BaseException:
    original = getattr(error, "orig", None) or error
    cause = original.__cause__
    # SQLAlchemy's asyncpg adapter wraps the driver's own error once more.
    return cause if cause is not None and getattr(cause, "sqlstate", None) else original


def _first_sentence(error: BaseException) -> str:
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    lines = str(primary or error).strip().splitlines()
    return lines[0][:300] if lines else ""


def _connection_lost(error: BaseException, sqlstate: str | None) -> bool:
    invalidated = bool(getattr(error, "connection_invalidated", False))
    return invalidated or (sqlstate or "").startswith(("08", "57P0")) or isinstance(error, ConnectionError)

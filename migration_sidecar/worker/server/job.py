"""Carries out one job in a worker process, which then ends."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from contextlib import suppress
from functools import cache
from pathlib import Path
from select import select
from socket import MSG_PEEK, socket
from typing import Any, TextIO

from migration_sidecar.protocol.jobs import Job, OrderedJob
from migration_sidecar.protocol.orders import EXIT_DID_NOTHING, MigrationOrders
from migration_sidecar.protocol.reports import ProblemFacts, Report
from migration_sidecar.protocol.results import Result
from migration_sidecar.protocol.server_words import hide_secrets
from migration_sidecar.worker.dbapi import socket_of
from migration_sidecar.worker.env.alembic_config import make_config
from migration_sidecar.worker.failure_report import describe_failure
from migration_sidecar.worker.known_passwords import watch
from migration_sidecar.worker.refusal import MigrationRefused


class MigrationFailed(Exception):
    """A migration failed; `facts` are those of its problem."""

    def __init__(self, facts: ProblemFacts) -> None:
        self.facts = facts
        super().__init__(facts["code"])


class Reporter:
    """Writes each report to the service as one line of JSON, and remembers the revision that is running."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.revision: str | None = None

    def __call__(self, report: Report) -> None:
        """Sends the report at once."""
        if report["event"] == "revision":
            self.revision = report["revision"]
        elif report["event"] == "executed":
            self.revision = None
        self.stream.write(json.dumps(report) + "\n")
        self.stream.flush()


def run_job(job: Job, channel: socket) -> None:
    """Called by the forkserver's child. Reports `done` with the result or `failed` with a problem; never raises.

    A migration prepares everything first, then reads its orders from the channel as one line of JSON.
    """
    report = Reporter(channel.makefile("w", encoding="utf-8"))
    report({"event": "process", "pid": os.getpid()})
    try:
        report({"event": "done", "result": _result(job, report, channel)})
    except MigrationFailed as failed:
        report({"event": "failed", "problem": failed.facts})
    except MigrationRefused as refusal:
        problem: ProblemFacts = {**refusal.facts, "revision": refusal.facts["revision"] or report.revision}
        report({"event": "failed", "problem": problem})
    except BaseException as error:  # a revision may also raise SystemExit or KeyboardInterrupt
        report({"event": "failed", "problem": describe_failure(error, report.revision)})


def _result(job: Job, report: Reporter, channel: socket) -> Result:
    watch()
    imported = set(sys.modules)
    if job["flask"] is not None and job["kind"] == "migrate" and "rehearsal" not in job:
        _wait_for_line(channel)  # the application runs with the migration: it may write while it is loaded
    config = make_config(job, parser(), report)
    if job["kind"] == "inspect":
        from migration_sidecar.worker.scripts.history_loader import load_history

        return load_history(config, report, job["seconds"], job["folders"])
    if job["kind"] == "resolve":
        from migration_sidecar.worker.scripts.target_resolution import resolve

        return resolve(json.loads(_next_line(channel, None)), job["action"], job["target"], job["revisions"])
    if job["kind"] == "render":
        from migration_sidecar.worker.scripts.offline_sql import render

        return render(config, job["revisions"], job["action"], job["folders"])
    if job["kind"] == "look":
        from migration_sidecar.worker.env.env_probe import probe_env

        return probe_env(config, report, job["seconds"], job["journal_table"], imported, is_exact=job["is_exact"])
    if "rehearsal" in job:
        from migration_sidecar.worker.adoption.schema_build import build_in_schema

        build_in_schema(config, job["target"], job["rehearsal"], report)
    else:
        _migrate(config, job, report, channel)
    return None


@cache
def parser() -> ArgumentParser:
    """The parser of `alembic`'s command line. Making it takes long, so the forkserver does it once."""
    from alembic.config import CommandLine

    return CommandLine().parser


def _migrate(config: Any, job: OrderedJob, report: Reporter, channel: socket) -> None:
    from alembic import command
    from alembic.util import CommandError

    from migration_sidecar.worker.own_tables import before_first_write
    from migration_sidecar.worker.server.warmup import warm_up
    from migration_sidecar.worker.session import configure_hook

    received: list[MigrationOrders] = []

    def orders(connection: Any = None) -> MigrationOrders:
        if not received:
            received.append(MigrationOrders.read(json.loads(_next_line(channel, connection))))
        return received[0]

    guard = configure_hook.install(orders, report)
    before_first_write(orders)
    if not _has_orders(channel):
        with suppress(Exception):  # only preparation: with another version of Alembic it may fail
            warm_up()
    if not _wait_for_orders(config):
        orders()
    try:
        if "proof" in job:
            from migration_sidecar.worker.adoption.stamp import stamp

            stamp(config, job["proof"])
        elif job["action"] == "upgrade":
            command.upgrade(config, job["target"])
        else:
            command.downgrade(config, job["target"])
        guard.require_completed()
    except BaseException as error:  # env.py may have raised SystemExit for a failed revision
        failure = guard.failure(error)
        if failure.revision is None and isinstance(failure.error, CommandError):
            raise _refused_by_alembic(failure.error) from None
        raise MigrationFailed(failure.facts()) from error


def _refused_by_alembic(error: BaseException) -> MigrationRefused:
    return MigrationRefused(
        "CM-302",
        "Alembic refused the history or the target.",
        "Correct the history or the target, and try again.",
        server_message=hide_secrets(str(error)).splitlines()[0].rstrip("."),
    )


def _wait_for_orders(config: Any) -> bool:
    """Whether env.py may run before the orders are there: only if it does nothing but connect."""
    from alembic.script import ScriptDirectory

    from migration_sidecar.worker.env.env_analysis import has_no_side_effects

    return has_no_side_effects(Path(ScriptDirectory.from_config(config).env_py_location))


def _wait_for_line(channel: socket) -> None:
    select([channel], [], [])
    if not channel.recv(1, MSG_PEEK):
        os._exit(EXIT_DID_NOTHING)


def _has_orders(channel: socket) -> bool:
    return bool(select([channel], [], [], 0)[0])


def _next_line(channel: socket, connection: Any) -> str:
    """Waits for a line from the service. Ends this process if the service or the server closes its connection."""
    waited_for = [channel, *([descriptor] if (descriptor := socket_of(connection)) is not None else [])]
    ready, _, _ = select(waited_for, [], [])
    line = channel.makefile("r", encoding="utf-8").readline() if channel in ready else ""
    if not line:
        os._exit(EXIT_DID_NOTHING)  # the exit code tells the service that nothing was done
    return line

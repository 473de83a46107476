"""The probe: runs env.py as `alembic upgrade` does, without a revision, and reports what it configures."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from contextlib import suppress
from functools import wraps
from pathlib import Path
from time import monotonic
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from alembic.runtime.environment import EnvironmentContext
from sqlalchemy import event
from sqlalchemy.pool import Pool

from migration_sidecar.protocol.journal_schema import PLAIN, JournalTables, journal_tables
from migration_sidecar.protocol.reports import ProblemFacts, SendReport
from migration_sidecar.protocol.results import ConfiguredDatabase, HistoryFacts
from migration_sidecar.worker.dbapi import driver_connection, in_autocommit
from migration_sidecar.worker.env.arguments import ArgumentsWatch
from migration_sidecar.worker.env.autogenerate import sees_journal
from migration_sidecar.worker.env.configure_text import written_version_table
from migration_sidecar.worker.env.engine_url import url_of_connection
from migration_sidecar.worker.env.env_analysis import has_no_side_effects
from migration_sidecar.worker.env.preview_failure import PreviewErrors, WaitedTooLong
from migration_sidecar.worker.env.reported_connections import ReportedConnections
from migration_sidecar.worker.env.run_facts import facts_of_run
from migration_sidecar.worker.env.written_versions import WrittenVersions
from migration_sidecar.worker.failure_report import describe_failure
from migration_sidecar.worker.no_commit import DiscardedCommits, discard_commits
from migration_sidecar.worker.own_tables import note_own_tables
from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.scripts.env_preview import preview_context
from migration_sidecar.worker.scripts.held_locks import passing_held_locks
from migration_sidecar.worker.scripts.history_loader import inspect_config, open_script_directory
from migration_sidecar.worker.scripts.load_errors import env_py_timeout
from migration_sidecar.worker.source_text import read_source
from migration_sidecar.worker.time_limit import TimeLimit, time_limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alembic.config import Config
    from alembic.script import ScriptDirectory

MAX_FILES = 500
INSTALLED = str(Path(os.__file__).parent)


WAITING_SECONDS = 5.0  # how long a connected env.py may wait for something before the preview ends


def probe_env(
    config: Config,
    report: SendReport,
    seconds: float = 0,
    journal_table: str | None = None,
    imported: Iterable[str] = (),
    *,
    is_exact: bool = True,
) -> HistoryFacts | None:
    """Reports each configured database and returns the history. `seconds` limits env.py and then the revision files.

    `imported` are the modules that had been loaded when nothing of the environment was. `is_exact` says that an upgrade
    has no other arguments. Reports that were sent before env.py failed stay valid. A failure after `heard` is one of
    the revision files. The history is read from env.py's own ScriptDirectory and while its context stands, because
    env.py may have set other folders, or what revision files read.
    """
    before, until = set(imported or sys.modules), monotonic() + seconds
    script = open_script_directory(config)
    # Before env.py runs, so that the service notices a change of one that never ends.
    only_connects = has_no_side_effects(Path(script.env_py_location))
    report({"event": "looking", "files": _files(script, before), "only_connects": only_connects})
    watch = ArgumentsWatch(config.cmd_opts or Namespace())
    config.cmd_opts = watch.options
    places: list[ConfiguredDatabase] = []
    found: list[str] = []  # what the version table holds
    own_tables = note_own_tables()
    connections, written = ReportedConnections(report), WrittenVersions()

    def nothing_to_do(heads: Any, context: Any) -> list[Any]:
        found[:] = heads
        if context.connection is not None:
            places[-1].update(facts_of_run(context, heads, written))  # type: ignore[typeddict-item]
        return []

    context = preview_context(config, script, nothing_to_do)
    with discard_commits() as discarded, passing_held_locks() as held, context:
        _note_each_configure(places, discarded, journal_tables(journal_table))
        errors = PreviewErrors(held)
        only_here: ProblemFacts | None = None
        written_table = ("", "")
        try:
            with time_limit(seconds, lambda where: env_py_timeout(where, seconds), report) as limit:
                _limit_waiting(limit)
                script.run_env()
        except BaseException as error:
            may_differ = watch.were_read and not is_exact and not connections.is_waiting
            error = _missing_x(Path(script.env_py_location), error) or error
            if not errors.are_only_here(
                error, discarded, unmigrated=_is_behind(script, places, found), other_arguments=may_differ
            ):
                raise error from None
            only_here = describe_failure(error, None)
            written_table = written_version_table(Path(script.env_py_location), error.__traceback__)
        else:
            if not places and errors.of_the_moment:
                only_here = _never_configured()
        finally:
            # env.py may configure another database only to read it.
            migrated = [place for place in places if place["migrates"]]
            report(
                {
                    "event": "looked",
                    "files": _files(script, before),
                    "places": migrated or places,
                    "own_tables": [(each.schema, each.name) for each in sorted(own_tables)],
                    "ended_at": monotonic(),
                    "reached": connections.reached,
                }
            )
        if only_here is not None:
            discarded.end_sessions()
            report({"event": "unseen", "unseen": only_here, "written_table": written_table})
        if not places or (only_here is not None and not migrated):
            return None
        report({"event": "heard", "heard": True})
        return inspect_config(script, report, max(1.0, until - monotonic()) if seconds else 0)


def _is_behind(script: ScriptDirectory, places: list[ConfiguredDatabase], found: Sequence[str]) -> bool:
    """Whether env.py got to run_migrations, and there are revisions that would have run."""
    with suppress(Exception):
        if set(script.get_heads()) <= set(found):
            return False
    return any(place["migrates"] for place in places)


def _limit_waiting(limit: TimeLimit) -> None:
    """From the first connection on: imports come before it, and they may take long."""
    event.listen(Pool, "connect", lambda *_: limit.watch_waiting(WAITING_SECONDS, WaitedTooLong))


def _note_each_configure(places: list[ConfiguredDatabase], discarded: DiscardedCommits, tables: JournalTables) -> None:
    configure = EnvironmentContext.configure

    @wraps(configure)
    def noting(self: EnvironmentContext, connection: Any = None, *args: Any, **options: Any) -> None:
        if connection is not None:
            all_options = {**self.context_opts, **options}  # Alembic keeps the options of an earlier configure
            places.append(
                {
                    "url": url_of_connection(connection),
                    "version_table": all_options.get("version_table") or PLAIN,
                    "version_table_schema": all_options.get("version_table_schema") or "",
                    "default_schema": "",
                    "role": "",
                    "migrates": False,  # until env.py calls run_migrations
                    "in_transaction": connection.in_transaction(),
                    "transaction_per_migration": bool(all_options.get("transaction_per_migration")),
                    "autocommit": in_autocommit(connection) or discarded.is_autocommit(driver_connection(connection)),
                    "sees_journal": sees_journal(connection, all_options, tables),
                    "identity": None,
                    "seen": None,
                    "prepares": False,
                    "access": "",
                }
            )
        return configure(self, connection, *args, **options)

    EnvironmentContext.configure = noting  # type: ignore[method-assign]


def _files(script: ScriptDirectory, before: set[str]) -> list[str]:
    """env.py and the service's own modules that it imported. The probe's answer may change when one of them changes."""
    origins = {getattr(sys.modules[name], "__file__", None) or "" for name in set(sys.modules) - before}
    own = sorted(
        origin for origin in origins if origin and not origin.startswith(INSTALLED) and "-packages/" not in origin
    )
    return [str(Path(script.env_py_location).absolute()), *own[:MAX_FILES]]


def _never_configured() -> ProblemFacts:
    return MigrationRefused("CM-407", "env.py met a lock that somebody holds, and configured no connection.").facts


def _missing_x(env_file: Path, error: BaseException) -> BaseException | None:
    """A refusal that names the -x argument which env.py needs and did not get; None for another error."""
    if not isinstance(error, KeyError):
        return None
    place = extract_tb(error.__traceback__)[-1]
    text = read_source(env_file)
    if Path(place.filename).resolve() != env_file.resolve() or "get_x_argument" not in text:
        return None
    return MigrationRefused(
        "CM-701",
        f"env.py asks in line {place.lineno} for -x {error.args[0]}=…, which was not given.",
        f"Give it: -x {error.args[0]}=VALUE.",
    )

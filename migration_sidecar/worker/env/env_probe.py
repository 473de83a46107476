"""The probe: runs env.py as `alembic current` does, and reports what it configures, with the history."""

from __future__ import annotations

import os
import sys
from functools import wraps
from pathlib import Path
from time import monotonic
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from migration_sidecar.protocol.journal_schema import PLAIN
from migration_sidecar.protocol.limits import CONNECT_SECONDS
from migration_sidecar.protocol.reports import SendReport
from migration_sidecar.protocol.results import ConfiguredDatabase, HistoryFacts
from migration_sidecar.worker.dbapi import current_role, default_schema, in_autocommit
from migration_sidecar.worker.env.engine_url import url_of_connection, url_of_parameters
from migration_sidecar.worker.env.env_analysis import has_no_side_effects
from migration_sidecar.worker.no_commit import run_without_commits
from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.scripts.history_loader import inspect_config
from migration_sidecar.worker.scripts.load_errors import env_py_timeout
from migration_sidecar.worker.source_text import read_source
from migration_sidecar.worker.time_limit import time_limit

if TYPE_CHECKING:
    from alembic.config import Config

MAX_FILES = 500
INSTALLED = str(Path(os.__file__).parent)


def probe_env(config: Config, report: SendReport, seconds: float = 0) -> HistoryFacts | None:
    """Reports each configured database and returns the history. `seconds` limits env.py and then the revision files.

    Reports that were sent before env.py failed stay valid. A failure after `heard` is one of the revision files. The
    history is read from env.py's own ScriptDirectory, because env.py may have set other folders.
    """
    before, until = set(sys.modules), monotonic() + seconds
    script = ScriptDirectory.from_config(config)
    # Before env.py runs, so that the service notices a change of one that never ends.
    only_connects = has_no_side_effects(Path(script.env_py_location))
    report({"event": "looking", "files": _files(script, before), "only_connects": only_connects})
    _report_connections(report)
    places = _note_each_configure()

    def nothing_to_do(_: Any, context: Any) -> list[Any]:
        if context.connection is not None:
            connection = context.connection
            places[-1].update(
                {"default_schema": default_schema(connection), "role": current_role(connection), "migrates": True}
            )
        return []

    def run() -> None:
        with EnvironmentContext(config, script, fn=nothing_to_do, dont_mutate=True):
            script.run_env()

    try:
        with time_limit(seconds, lambda where: env_py_timeout(where, seconds), report):
            run_without_commits(run, places.clear)
    except KeyError as error:
        raise _missing_x(Path(script.env_py_location), error) from error
    finally:
        # env.py may configure another database only to read it.
        migrated = [place for place in places if place["migrates"]]
        files = _files(script, before)
        report({"event": "looked", "files": files, "places": migrated or places, "ended_at": monotonic()})
    if not places:
        return None
    report({"event": "heard", "heard": True})
    return inspect_config(script, report, max(1.0, until - monotonic()) if seconds else 0)


def _report_connections(report: SendReport) -> None:
    """Reports `tried`, the URL to which env.py connects, and None once it is connected."""

    def connecting(dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        if dialect.name == "postgresql":
            url = url_of_parameters(dialect, parameters)
            report({"event": "connecting", "tried": url, "tried_at": monotonic()})
            # A server may accept the connection and never answer; a status must not wait for it.
            parameters.setdefault(
                "connect_timeout" if dialect.driver.startswith("psycopg") else "timeout", CONNECT_SECONDS
            )

    event.listen(Engine, "do_connect", connecting)
    event.listen(Pool, "connect", lambda *_: report({"event": "connected", "tried": None}))


def _note_each_configure() -> list[ConfiguredDatabase]:
    configure = EnvironmentContext.configure
    places: list[ConfiguredDatabase] = []

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
                    "autocommit": in_autocommit(connection),
                }
            )
        return configure(self, connection, *args, **options)

    EnvironmentContext.configure = noting  # type: ignore[method-assign]
    return places


def _files(script: ScriptDirectory, before: set[str]) -> list[str]:
    """env.py and the service's own modules that it imported. The probe's answer may change when one of them changes."""
    origins = {getattr(sys.modules[name], "__file__", None) or "" for name in set(sys.modules) - before}
    own = sorted(
        origin for origin in origins if origin and not origin.startswith(INSTALLED) and "-packages/" not in origin
    )
    return [str(Path(script.env_py_location).absolute()), *own[:MAX_FILES]]


def _missing_x(env_file: Path, error: KeyError) -> BaseException:
    """A refusal that names the -x argument which env.py needs and did not get; otherwise the same error."""
    place = extract_tb(error.__traceback__)[-1]
    text = read_source(env_file)
    if Path(place.filename).resolve() != env_file.resolve() or "get_x_argument" not in text:
        return error
    return MigrationRefused(
        "CM-701",
        f"env.py asks in line {place.lineno} for -x {error.args[0]}=…, which was not given.",
        f"Give it: -x {error.args[0]}=VALUE.",
    )

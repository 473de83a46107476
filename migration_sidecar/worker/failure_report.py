"""What is told about an error that is not ours: its kind in our sentence, and the driver's or Python's own words apart.

Those words go into `server_message`, which never reaches the audit: a trigger or a value may repeat a row.
"""

from __future__ import annotations

import re
from configparser import Error as IniError
from errno import EADDRNOTAVAIL, EHOSTDOWN, EHOSTUNREACH, EMFILE, ENETDOWN, ENETUNREACH, ENFILE, ENOBUFS, ENOMEM
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_DATA, getrlimit
from socket import gaierror
from traceback import extract_tb

from sqlalchemy.exc import ArgumentError

from migration_sidecar.protocol.limits import RESERVED_PER_USED
from migration_sidecar.protocol.reports import ProblemFacts
from migration_sidecar.protocol.server_words import readable
from migration_sidecar.worker.dbapi import driver_error, first_error, server_words, sqlstate_of, wrapped_errors
from migration_sidecar.worker.failing_place import failing_place, failing_statement
from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.source_text import read_source

_ATTRIBUTE_LOOKUP = re.compile(r"""\.attributes(?:\.get\(|\[)\s*["'](\w+)["']""")
_NO_CONNECTION = "Connection, url, or dialect_name is required."  # Alembic's message for context.configure(None)

# Where the revision file is not at fault. 55000 is what a guard raises that keeps a revision from being taken back.
_REMEDIES = {
    "42501": "Have the right granted and migrate again.",
    "55000": "Leave the database at its revision, or remove first what the server's message names as the reason.",
}
_OUT_OF_MEMORY = (
    "A migration process may use {megabytes} MiB of memory, and reserve {times} times as much: raise memory_limit_mb "
    "in [migration_sidecar]."
)
_NETWORK_ERRNOS = (
    *(EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH),
    *(EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS),  # no port, descriptor or buffer was free at that moment
)
LONGEST_SENTENCE = 300


def describe_failure(error: BaseException, revision: str | None) -> ProblemFacts:
    """Facts of a problem (CM-401, CM-407 or CM-701); from the driver's words literals and URLs are taken out.

    Beside the fields of Problem: `cause` says in our words how it ended, `connection_lost` that the session is gone,
    and `unconnected` that the driver got no session, or the network failed, and no SQLSTATE gives the reason.
    """
    if isinstance(error, ModuleNotFoundError) and revision is None:
        return _missing_module(error)
    if isinstance(error, IniError) or (isinstance(error, ArgumentError) and "Could not parse" in str(error)):
        return unusable_setting(error).facts
    if revision is None and (missing := _needs_injected_connection(error)):
        return missing
    if revision is None and isinstance(error, SystemExit) and isinstance(error.code, (int, type(None))):
        return _ended_itself(error.code or 0)
    error = first_error(error)
    driver, sqlstate, place = driver_error(error), sqlstate_of(error), failing_place(error, revision)
    cause = f"stopped with {type(driver).__name__}{f' at {place}' if place else ''}"
    next_step = memory_used_up(error) or (_REMEDIES.get(sqlstate or "") if revision else None)
    return {
        "code": "CM-401" if revision else "CM-407",
        "detail": f"Revision {revision} {cause}; its transaction was undone."
        if revision
        else f"The migration {cause} before any revision.",
        "next_step": next_step,
        "revision": revision,
        "sqlstate": sqlstate,
        "server_message": _words(error, driver),
        "cause": cause,
        "connection_lost": _connection_lost(error, sqlstate),
        "unconnected": revision is None and sqlstate is None and _opened_no_session(error),
    }


def _words(error: BaseException, driver: BaseException) -> str | None:
    """What was said, and in which statement, without literals, URLs and characters that a database cannot hold."""
    statement = failing_statement(error)
    said = readable(server_words(driver), statement or "")[:LONGEST_SENTENCE]
    words = f"{said}, in: {statement}" if said and statement else said
    return "".join(each if each.isprintable() else "�" for each in words) or None


def _opened_no_session(error: BaseException) -> bool:
    """Whether this, or what it wraps, is a driver's error for a session that it did not get, or one of the network."""
    return any(_is_of_the_network(each) or _is_a_drivers_refusal(each) for each in wrapped_errors(error))


def _is_of_the_network(error: BaseException) -> bool:
    # asyncpg connects with asyncio and passes its errors on. Before Python 3.11 asyncio has its own TimeoutError.
    if isinstance(error, (ConnectionError, TimeoutError, gaierror)) or type(error).__name__ == "TimeoutError":
        return True
    # For a name with several addresses asyncio joins their errors in an OSError without a number.
    return type(error) is OSError and error.errno in (None, *_NETWORK_ERRNOS)


def _is_a_drivers_refusal(error: BaseException) -> bool:
    names = [kind.__name__ for kind in type(error).__mro__]
    return "OperationalError" in names or (names[0], type(error).__module__) == ("InterfaceError", "pg8000.exceptions")


def memory_used_up(error: BaseException) -> str | None:
    """The way out where our own limit may be the reason. A library that cannot be loaded raises ImportError for it."""
    limit, _ = getrlimit(RLIMIT_DATA)
    library = isinstance(error, ImportError) and ".so" in Path(error.path or "").suffixes
    refused = isinstance(error, MemoryError) or getattr(error, "errno", None) == ENOMEM or library
    if limit == RLIM_INFINITY or not refused:
        return None
    return _OUT_OF_MEMORY.format(megabytes=(limit >> 20) // RESERVED_PER_USED, times=RESERVED_PER_USED)


def _connection_lost(error: BaseException, sqlstate: str | None) -> bool:
    invalidated = bool(getattr(error, "connection_invalidated", False))
    return invalidated or (sqlstate or "").startswith(("08", "57P0")) or isinstance(error, ConnectionError)


def unusable_setting(error: BaseException) -> MigrationRefused:
    """For a setting that cannot be parsed. The error's own text is not used: it may repeat a URL with its password."""
    if isinstance(error, IniError):
        key, reason = getattr(error, "option", None) or "alembic.ini", "it holds a % that is not doubled"
    else:
        key, reason = "sqlalchemy.url", "it is not like postgresql://user:password@host:5432/database"
    return MigrationRefused("CM-701", f"{key}: {reason}.", "Correct it and start again; write %% for %.")


def _ended_itself(code: int) -> ProblemFacts:
    """For an env.py that called exit. What it printed is not passed on: it has no limit and may hold secrets."""
    return MigrationRefused(
        "CM-407",
        f"env.py ended itself with exit code {code}; what it printed about that is not shown here.",
        "Run `alembic current` with the same options and environment to see what it prints.",
    ).facts


def _missing_module(error: ModuleNotFoundError) -> ProblemFacts:
    return MigrationRefused(
        "CM-701",
        f"env.py needs the module {error.name}, which this interpreter does not find.",
        "Install it there, or name the service's own interpreter with --python; for a module of the service's own, "
        "correct prepend_sys_path.",
    ).facts


def _needs_injected_connection(error: BaseException) -> ProblemFacts | None:
    """The problem of an env.py that needs `config.attributes['connection']`; `alembic` cannot run it either."""
    for frame in extract_tb(error.__traceback__):
        if Path(frame.filename).name == "env.py" and Path(frame.filename).is_file():
            taken = _ATTRIBUTE_LOOKUP.findall(read_source(Path(frame.filename)))
            if isinstance(error, KeyError) and error.args[0] in taken:
                return _missing(error.args[0])
            if taken and str(error) == _NO_CONNECTION:
                return _missing(taken[0])
    return None


def _missing(name: str) -> ProblemFacts:
    return MigrationRefused(
        "CM-701",
        f'env.py takes its connection from config.attributes["{name}"], which is filled in only by a program that runs '
        "Alembic itself.",
        "Let env.py connect by itself where it is not given one, as Alembic's own templates do.",
    ).facts

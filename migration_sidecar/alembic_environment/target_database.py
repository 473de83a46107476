"""Which database and which version table an environment really migrates: what its env.py says, not what we think."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from migration_sidecar.alembic_environment.loader import Loading, Told
from migration_sidecar.config.database_url import without_password
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import (
    DatabaseUnreachable,
    Misconfigured,
    OtherDatabase,
    ProblemError,
    StillLoading,
)
from migration_sidecar.contract.messages import Problem
from migration_sidecar.database.records import Records
from migration_sidecar.database.same_database import is_same_database
from migration_sidecar.forkserver.answer import Answer
from migration_sidecar.protocol.journal_schema import journal_tables
from migration_sidecar.protocol.limits import CONNECT_SECONDS
from migration_sidecar.protocol.reports import ProblemFacts
from migration_sidecar.protocol.results import ConfiguredDatabase
from migration_sidecar.protocol.url import URL, make_url
from migration_sidecar.protocol.version_table import VersionTable

_unheard: ContextVar[bool] = ContextVar("may_do_without_env_file", default=False)


@contextmanager
def even_unheard() -> Iterator[None]:
    """Within the block an env.py that is still being loaded is done without: for what only looks."""
    token = _unheard.set(True)
    try:
        yield
    finally:
        _unheard.reset(token)


@dataclass(frozen=True)
class Whereabouts:
    """What one look told."""

    url: URL | None = field(repr=False)
    table: VersionTable
    default_schema: str = ""  # where env.py's own search_path leads
    role: str = ""  # that env.py takes after it has logged in
    in_transaction: bool = False  # env.py opened a transaction itself: all revisions share it
    autocommit: bool = False  # env.py put its connection in AUTOCOMMIT: no revision is in a transaction
    certain: bool = True  # env.py was heard to the end
    reason: Problem | None = None  # why not, unless it is for the server to say
    tables: tuple[VersionTable, ...] = ()  # all of them, where env.py keeps several in one database


class Place:
    """Of one environment; env.py is asked in a process of its own, and again only when a file changed."""

    def __init__(self, settings: Settings, loading: Loading) -> None:
        self._settings = settings
        self._loading = loading
        self._tables = journal_tables(settings.journal_table)
        self._told: Told | None = None
        self._found: Whereabouts | None = None

    @property
    def database(self) -> str:
        """Its name as far as it is known without asking."""
        url = self._settings.given_url or (self._found.url if self._found else None) or self._settings.url
        return (url.database or "") if url is not None else ""

    async def url(self) -> URL:
        """Raises OtherDatabase (CM-702), Misconfigured, DatabaseUnreachable, or what kept env.py from telling."""
        found = await self.found()
        if found.url is None:
            raise _error(found.reason) if found.reason else Misconfigured("env.py", self._settings.no_url)
        return found.url

    @property
    def default_schema(self) -> str:
        """Of a version table that env.py leaves to a search_path of its own; empty before it was asked."""
        return self._found.default_schema if self._found else ""

    @property
    def role(self) -> str:
        """That migrates, where it is not the one that logs in; empty before env.py was asked."""
        return self._found.role if self._found else ""

    @property
    def problem(self) -> Problem | None:
        """What kept env.py from telling where it migrates; None before it was asked."""
        return self._found.reason if self._found else None

    async def version_table(self) -> VersionTable:
        return (await self.found()).table

    async def records(self) -> Records:
        """Where journal and operations of this history stand."""
        return Records(self._tables, await self.version_table())

    async def all_records(self) -> list[Records]:
        """Of every version table that env.py keeps in this database."""
        found = await self.found()
        return [Records(self._tables, table) for table in found.tables or (found.table,)]

    async def found(self) -> Whereabouts:
        """Raises OtherDatabase (CM-702) when env.py and DATABASE_URL disagree, or StillLoading."""
        if self._settings.is_our_own:
            return Whereabouts(self._settings.given_url or self._settings.url, self._settings.version_table)
        try:
            told = await self._loading.look()
        except StillLoading as error:
            if not _unheard.get():
                raise
            return self._found or self._declared(error.problem)
        if told is not self._told or self._found is None:
            found = self._heard(told.facts)
            await self._must_agree(found)
            self._found, self._told = found, told
        return self._found

    def scrubbed(self, text: str) -> str:
        """The text without the password of any URL that is known here."""
        urls = (self._settings.given_url, self._settings.url, self._found.url if self._found else None)
        for url in urls:
            text = without_password(text, url) if url is not None else text
        return text

    def _declared(self, reason: Problem | None) -> Whereabouts:
        """What is known without env.py."""
        url = self._settings.given_url or self._settings.url
        return Whereabouts(url, self._settings.version_table, certain=False, reason=reason)

    def _heard(self, told: Answer) -> Whereabouts:
        if told.get("heard"):
            return self._configured(told["places"])
        tried = told.get("tried")
        if tried and _gave_no_answer(told):
            silent = _silent(make_url(tried))
            return Whereabouts(None, self._settings.version_table, certain=False, reason=silent)
        if tried:  # the server's own answer to us says more than env.py's traceback
            url = self._settings.given_url or make_url(tried)
            return Whereabouts(url, self._settings.version_table, certain=False)
        problem = Problem.model_validate(_known(told["problem"])) if "problem" in told else _no_end(told)
        return self._declared(problem.model_copy(update={"detail": self.scrubbed(problem.detail)}))

    def _configured(self, places: list[ConfiguredDatabase]) -> Whereabouts:
        first = _only_one(places)
        tables = tuple(dict.fromkeys(_table(place) for place in places))
        return Whereabouts(
            self._settings.given_url or make_url(first["url"]),
            tables[0],
            first["default_schema"],
            first["role"],
            first["in_transaction"],
            first["autocommit"],
            tables=tables,
        )

    async def _must_agree(self, found: Whereabouts) -> None:
        """A service that was sent to one database must not migrate another."""
        url, said = found.url, self._settings.url
        if url is None or self._settings.given_url is not None:
            return
        if url.get_backend_name() != "postgresql":
            raise Misconfigured("env.py", f"it connects to {url.get_backend_name()}, and only PostgreSQL is supported")
        if not self._settings.from_environment or said is None:
            return
        if url.database != said.database:
            raise OtherDatabase(said.database or "", url.database or "")
        same = not found.certain or await is_same_database(said, url)
        if same is None:
            raise _error(_silent(said))
        if not same:
            raise OtherDatabase(_with_server(said), _with_server(url))


def _only_one(places: list[ConfiguredDatabase]) -> ConfiguredDatabase:
    """env.py may configure several times, but one operation changes one database."""
    databases = {(url.server, url.database) for url in (make_url(place["url"]) for place in places)}
    if len(databases) > 1:
        names = ", ".join(sorted(str(name) for _, name in databases))
        raise Misconfigured("env.py", f"it migrates several databases ({names}); choose one with --name or -x")
    return places[0]


def _table(place: ConfiguredDatabase) -> VersionTable:
    return VersionTable(place["version_table"], place["version_table_schema"] or place["default_schema"])


def _with_server(url: URL) -> str:
    return f"{url.database} at {url.server}"


def _known(problem: ProblemFacts) -> dict[str, object]:
    return {key: value for key, value in problem.items() if key in Problem.model_fields}


def _error(problem: Problem) -> ProblemError:
    if problem.code != "CM-513":
        return ProblemError.of(problem)
    return DatabaseUnreachable(problem.code, problem.title, problem.detail, problem.next_step)


def _gave_no_answer(told: Answer) -> bool:
    """The server took the connection and then kept silent: asking it once more would take as long again."""
    return told.get("ended_at", 0) - told.get("tried_at", 0) > CONNECT_SECONDS * 0.9


def _silent(url: URL) -> Problem:
    return Problem(
        code="CM-513",
        title="The database cannot be reached",
        detail=f"No session with PostgreSQL at {url.server} within {CONNECT_SECONDS} s.",
        next_step="Check that it runs and that host and port are right.",
        retryable=True,
    )


def _no_end(told: Answer) -> Problem:
    if told["event"] == "done":
        return _without_configure("env.py configures no connection.")
    if "after_seconds" in told:
        return never_configured(told["after_seconds"])
    return _without_configure("env.py ended its process before it got to context.configure.")


def never_configured(seconds: float) -> Problem:
    return _without_configure(f"env.py did not get to context.configure within {seconds:.0f} s.")


def _without_configure(detail: str) -> Problem:
    return Problem(
        code="CM-407",
        title="The migration environment failed",
        detail=detail,
        next_step="Try `alembic current` with the same options; it does the same.",
    )

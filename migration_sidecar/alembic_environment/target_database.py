"""Finds the database and the version table that an environment migrates, by probing its env.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from migration_sidecar.alembic_environment.loader import EnvironmentLoader, LoadResult
from migration_sidecar.alembic_environment.migration_target import (
    NAME_IT,
    UNKNOWN_ADDRESS,
    MigrationTarget,
    assumed_target,
    has_server_timed_out,
    one_address,
    server_timeout,
    session_lost,
    target_of,
    unreachable_target,
)
from migration_sidecar.alembic_environment.probe_problems import (
    incomplete_probe,
    is_lost_session,
    unconnected_probe,
    unseen_by_probe,
)
from migration_sidecar.config.database_url import mask_password
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import (
    DatabaseUnreachable,
    EnvironmentStillLoading,
    Misconfigured,
    OtherDatabase,
    ProblemError,
)
from migration_sidecar.contract.messages import Problem
from migration_sidecar.database.load_deadline import UNLIMITED, LoadDeadline
from migration_sidecar.database.records import MigrationRecords
from migration_sidecar.forkserver.answer import Answer
from migration_sidecar.protocol.catalog.database_identity import DatabaseIdentity, is_same, may_have_restarted
from migration_sidecar.protocol.first_upgrade.rule import OwnTable
from migration_sidecar.protocol.journal_schema import journal_tables
from migration_sidecar.protocol.results import SeenVersionTable
from migration_sidecar.protocol.url import URL, make_url
from migration_sidecar.protocol.version_table import VersionTable


class TargetDatabase:
    """The target of one environment. env.py is probed in a worker process, and again only when a file has changed."""

    def __init__(self, settings: Settings, loader: EnvironmentLoader) -> None:
        self._settings = settings
        self._loader = loader
        self._tables = journal_tables(settings.journal_table)
        self._last_probe: LoadResult | None = None
        self._target: MigrationTarget | None = None

    @property
    def database(self) -> str:
        """The name of the database as far as it is known without a probe."""
        url = self._settings.configured_url or (self._target.url if self._target else self._settings.url)
        return (url.database or "") if url is not None else ""

    async def url(self, loading: LoadDeadline = UNLIMITED) -> URL:
        """Raises Misconfigured, DatabaseUnreachable, or the reason why the probe failed."""
        target = await self.resolve(loading)
        if target.url is None:
            raise _error(target.reason) if target.reason else Misconfigured("env.py", self._settings.no_url)
        return target.url

    @property
    def default_schema(self) -> str:
        """Of an unqualified version table; empty with PostgreSQL's default search_path, and before the probe."""
        return self._target.default_schema if self._target else ""

    @property
    def prepared(self) -> Mapping[VersionTable, SeenVersionTable]:
        """The version tables as the last probe found them, where env.py wrote something before it migrates."""
        return self._target.prepared if self._target else {}

    @property
    def identity(self) -> DatabaseIdentity | None:
        """The database that env.py's connection reached; None if it is not known, and before the probe."""
        return self._target.identity if self._target else None

    @property
    def session_settings(self) -> dict[str, str]:
        """The settings that our own sessions take from env.py's session; none before the probe."""
        return self._target.session_settings if self._target else {}

    async def renew(self, found: DatabaseIdentity | None = None, loading: LoadDeadline = UNLIMITED) -> None:
        """Asks env.py again, because a session reached another database than before, `found`, or was refused.

        Raises ProblemError if `found` is still another one. A server that was restarted has a new identity; where
        env.py cannot be asked at this moment, the cluster's own identifier decides.
        """
        before = self._target
        heard = await self.ask_again(loading)
        if found is None or self.identity is None or is_same(self.identity, found):
            return
        if heard and (before is None or self._target is None or self._target.url == before.url):
            raise self._other_database()
        if heard:
            return  # env.py connects elsewhere by now, and so do our next sessions
        if before is None or before.identity is None or not may_have_restarted(before.identity, found):
            raise DatabaseUnreachable("CM-513", "The server was restarted, and env.py could not be asked again.")
        self._target = replace(before, identity=found)

    async def ask_again(self, loading: LoadDeadline = UNLIMITED) -> bool:
        """Probes env.py once more, although no file has changed. False if it could not be asked; then all stays."""
        heard = await self._loader.probe_again(loading)
        await self.resolve(loading)
        return heard

    async def ask_for(self, action: str, target: str, loading: LoadDeadline = UNLIMITED) -> None:
        """Asks env.py with the arguments of one operation, if it named no database where it had others."""
        found = await self.resolve(loading)
        may_tell = found.unseen is not None or self._loader.is_exact
        if found.is_assumed and may_tell and self._settings.command is None:
            await self._loader.probe_for((action, target), loading)
            await self.resolve(loading)

    async def require_named(self, loading: LoadDeadline = UNLIMITED) -> None:
        """Raises the reason if env.py named no database; called before anything is kept in one, or told of its rows."""
        target = await self.resolve(loading)
        if target.is_assumed and target.reason is not None:
            raise _error(target.reason)

    def _other_database(self) -> ProblemError:
        url = self._target.url if self._target else None
        name = f"{url.database} at {url.server}" if url is not None else ""
        if self._settings.configured_url is not None:
            return OtherDatabase(name)
        detail = f"It seems to be {name}, and that is another database; nothing was touched."
        return ProblemError("CM-703", detail, next_step=NAME_IT)

    @property
    def is_assumed(self) -> bool:
        """Whether env.py named no database by now, so that what is read may be another one's."""
        return self._target is not None and self._target.is_assumed

    @property
    def problem(self) -> Problem | None:
        """Why the probe of env.py failed; None before the probe."""
        return self._target.reason if self._target else None

    @property
    def unseen(self) -> Problem | None:
        """Why the probe of env.py could not see everything, though the upgrade may; None before the probe."""
        return self._target.unseen if self._target else None

    async def records(self, loading: LoadDeadline = UNLIMITED) -> MigrationRecords:
        """The journal and the operations of this history."""
        return self._records(await self.resolve(loading))[0]

    async def all_records(self, loading: LoadDeadline = UNLIMITED) -> list[MigrationRecords]:
        """The same for every version table that env.py configures."""
        return self._records(await self.resolve(loading))

    def _records(self, target: MigrationTarget) -> list[MigrationRecords]:
        tables, beside = target.tables or (target.table,), self._settings.beside_other_tables
        return [MigrationRecords(self._tables, table, target.own_tables, beside) for table in tables]

    async def resolve(self, loading: LoadDeadline = UNLIMITED) -> MigrationTarget:
        """Raises EnvironmentStillLoading, or Misconfigured if env.py migrates no database of PostgreSQL, or several."""
        if self._settings.uses_our_environment:
            url = self._settings.configured_url or self._settings.url
            return MigrationTarget(url, self._settings.version_table, only_connects=True)
        try:
            answer = await self._loader.probe_env(loading)
        except EnvironmentStillLoading as error:
            if not loading.allow_unprobed:
                raise
            return self._target or assumed_target(error.problem, (), self._settings)
        if answer is not self._last_probe or self._target is None:
            told = answer.facts
            own = frozenset(OwnTable(*each) for each in told.get("own_tables", ()))
            target = replace(self._from_answer(told), only_connects=told.get("only_connects", False), own_tables=own)
            self._target, self._last_probe = target, answer
        return self._target

    def learn(self, version_tables: Sequence[VersionTable]) -> None:
        """Takes over the version tables that a worker migrated, if the probe could not tell them."""
        if self._target is not None and not self._target.certain and version_tables:
            tables = tuple(dict.fromkeys(version_tables))
            self._target = replace(self._target, table=tables[0], tables=tables)

    def mask_passwords(self, text: str) -> str:
        """The text without the passwords of the URLs that are known here."""
        urls = (self._settings.configured_url, self._settings.url, self._target.url if self._target else None)
        for url in urls:
            text = mask_password(text, url) if url is not None else text
        return text

    def mask_problem(self, problem: Problem) -> Problem:
        """What a revision or a driver said may repeat the password of a URL that is known here."""
        texts = {"detail": problem.detail, "server_message": problem.server_message}
        return problem.model_copy(update={name: text and self.mask_passwords(text) for name, text in texts.items()})

    def _from_answer(self, answer: Answer) -> MigrationTarget:
        unseen = self.mask_problem(unseen_by_probe(answer["unseen"])) if "unseen" in answer else None
        if answer.get("heard"):
            return replace(target_of(answer["places"], self._settings), unseen=unseen)
        tried = answer.get("tried")
        if unseen is None and tried and has_server_timed_out(answer.get("tried_at", 0), answer.get("ended_at", 0)):
            return unreachable_target(server_timeout(make_url(tried)), self._settings)
        if unseen is None and tried:  # the service's own connection gets a clearer answer than env.py's traceback
            url = self._settings.configured_url or make_url(tried)
            return MigrationTarget(url, self._settings.version_table, certain=False)
        if unseen is not None:
            return self._as_far_as_seen(answer, unseen, is_obstacle=False)
        if "problem" in answer and is_lost_session(answer["problem"]):  # that tells nothing about env.py
            return self._before_lost_session(answer)
        problem = Problem.of(**answer["problem"]) if "problem" in answer else incomplete_probe(answer)
        return self._as_far_as_seen(answer, self.mask_problem(problem), is_obstacle=True)

    def _before_lost_session(self, answer: Answer) -> MigrationTarget:
        """The target as an earlier probe found it, or one that cannot be reached at this moment."""
        if self._target is not None and self._target.certain:
            return self._target
        url = self._settings.configured_url or one_address(answer.get("reached", []))
        return unreachable_target(session_lost(url), self._settings)

    def _as_far_as_seen(self, answer: Answer, problem: Problem, *, is_obstacle: bool) -> MigrationTarget:
        """The target by what env.py did earlier, or before the `problem`; otherwise an assumed one."""
        reason, unseen = (problem, None) if is_obstacle else (None, problem)
        if self._target is not None and self._target.certain:
            return replace(self._target, reason=reason, unseen=unseen)
        if places := answer.get("places"):
            known = target_of(places, self._settings)
            return replace(known, certain=False, reason=reason or known.reason, unseen=unseen)
        settings, reached = self._settings, answer.get("reached", [])
        if is_obstacle or not (reached or settings.configured_url):
            target = assumed_target(reason or unconnected_probe(problem), reached, settings)
        else:  # it waits for something of this database, such as a lock of its own, and so does the upgrade
            url = settings.configured_url or one_address(reached)
            unknown = None if url else UNKNOWN_ADDRESS
            target = MigrationTarget(url, settings.version_table, certain=False, reason=unknown)
        name, schema = answer.get("written_table", ("", ""))
        table = VersionTable(name or target.table.name, schema or target.table.schema)
        return replace(target, table=table, unseen=unseen)


def _error(problem: Problem) -> ProblemError:
    return (DatabaseUnreachable if problem.code == "CM-513" else ProblemError).of(problem)

"""Which database and which version table an environment really migrates: what its env.py says, not what we think."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

from migration_sidecar.address import without_password
from migration_sidecar.child.tables import journal_tables
from migration_sidecar.config_files import ConfigFiles
from migration_sidecar.errors import Misconfigured, NoProcess, OtherDatabase, ProblemError
from migration_sidecar.messages import Problem
from migration_sidecar.settings import Settings, VersionTable
from migration_sidecar.stamps import Stamps, stamps_of
from migration_sidecar.store import Records
from migration_sidecar.url import URL, make_url
from migration_sidecar.warm import WarmProcesses

LOOK_SECONDS = 15.0
AGAIN_SECONDS = 5.0  # how long an env.py that could not be asked is left alone, unless a file changes


@dataclass(frozen=True)
class Whereabouts:
    """What one look told."""

    url: URL | None = field(repr=False)
    table: VersionTable
    default_schema: str = ""  # where env.py's own search_path leads
    in_transaction: bool = False  # env.py opened a transaction itself: all revisions share it
    autocommit: bool = False  # env.py put its connection in AUTOCOMMIT: no revision is in a transaction
    certain: bool = True  # env.py was heard to the end
    reason: Problem | None = None  # why not, unless it is for the server to say


class Place:
    """Of one environment; env.py is asked in a process of its own, and again only when a file changed."""

    def __init__(self, settings: Settings, processes: WarmProcesses) -> None:
        self._settings = settings
        self._processes = processes
        self._tables = journal_tables(settings.journal_table)
        self._found: Whereabouts | None = None
        self._files: list[Path] = []
        self._stamps: Stamps = ()
        self._until = 0.0
        self._looking = asyncio.Lock()

    @property
    def database(self) -> str:
        """Its name as far as it is known without asking."""
        url = self._settings.given_url or (self._found.url if self._found else None) or self._settings.url
        return (url.database or "") if url is not None else ""

    async def url(self) -> URL:
        """Raises OtherDatabase (CM-702), Misconfigured, or what kept env.py from telling."""
        found = await self.found()
        if found.url is None:
            raise ProblemError.of(found.reason) if found.reason else Misconfigured("env.py", self._settings.no_url)
        return found.url

    @property
    def default_schema(self) -> str:
        """Of a version table that env.py leaves to a search_path of its own; empty before it was asked."""
        return self._found.default_schema if self._found else ""

    @property
    def problem(self) -> Problem | None:
        """What kept env.py from telling where it migrates; None before it was asked."""
        return self._found.reason if self._found else None

    async def version_table(self) -> VersionTable:
        return (await self.found()).table

    async def records(self) -> Records:
        """Where journal and operations of this history stand."""
        return Records(self._tables, await self.version_table())

    async def found(self) -> Whereabouts:
        """Raises OtherDatabase (CM-702) when env.py and DATABASE_URL disagree."""
        if self._settings.is_our_own:
            return Whereabouts(self._settings.given_url or self._settings.url, self._settings.version_table)
        async with self._looking:
            if self._found is not None and monotonic() < self._until and self._stamps == stamps_of(self._files):
                return self._found
            found = self._heard(await self._asked())
            self._must_agree(found)
            self._found, self._until = found, inf if found.certain else monotonic() + AGAIN_SECONDS
            return found

    def scrubbed(self, text: str) -> str:
        """The text without the password of any URL that is known here."""
        urls = (self._settings.given_url, self._settings.url, self._found.url if self._found else None)
        for url in urls:
            text = without_password(text, url) if url is not None else text
        return text

    async def _asked(self) -> dict[str, Any]:
        try:
            answer = await self._processes.ask(self._settings.job("look"), timeout_seconds=LOOK_SECONDS)
        except NoProcess as error:  # the status is still told
            answer = {"event": "failed", "problem": error.problem.model_dump()}
        files = ConfigFiles(self._settings.config_file)
        self._files = [files.ini, files.toml, *(Path(file) for file in answer.get("files", []))]
        self._stamps = stamps_of(self._files)
        return answer

    def _heard(self, answer: dict[str, Any]) -> Whereabouts:
        declared, places = self._settings.given_url or self._settings.url, answer.get("places", [])
        if answer["event"] == "done" and places:
            first = _only_one(places)
            schema = first["version_table_schema"] or first["default_schema"]
            url = self._settings.given_url or make_url(first["url"])
            return Whereabouts(
                url,
                VersionTable(first["version_table"], schema),
                first["default_schema"],
                first["in_transaction"],
                first["autocommit"],
            )
        table = self._settings.version_table
        if answer.get("tried"):  # the server's own answer to us says more than env.py's traceback
            return Whereabouts(self._settings.given_url or make_url(answer["tried"]), table, certain=False)
        problem = Problem.model_validate(_known(answer["problem"])) if "problem" in answer else _no_end(answer)
        problem = problem.model_copy(update={"detail": self.scrubbed(problem.detail)})
        return Whereabouts(declared, table, certain=False, reason=problem)

    def _must_agree(self, found: Whereabouts) -> None:
        """A service that was sent to one database must not migrate another."""
        url, said = found.url, self._settings.url
        if url is None or self._settings.given_url is not None:
            return
        if url.get_backend_name() != "postgresql":
            raise Misconfigured("env.py", f"it connects to {url.get_backend_name()}, and only PostgreSQL is supported")
        if self._settings.from_environment and said is not None and url.database != said.database:
            raise OtherDatabase(said.database or "", url.database or "")


def _only_one(places: list[dict[str, Any]]) -> dict[str, Any]:
    """env.py may configure several times, but one operation changes one database."""
    databases = {(url.host, url.port, url.database) for url in (make_url(place["url"]) for place in places)}
    if len(databases) > 1:
        names = ", ".join(sorted(str(name) for _, _, name in databases))
        raise Misconfigured("env.py", f"it migrates several databases ({names}); choose one with --name or -x")
    return places[0]


def _known(problem: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in problem.items() if key in Problem.model_fields}


def _no_end(answer: dict[str, Any]) -> Problem:
    ended = answer["event"] == "done"
    return Problem(
        code="CM-407",
        title="The migration environment failed",
        detail="env.py configures no connection."
        if ended
        else f"env.py did not get to context.configure within {LOOK_SECONDS:.0f} s, or ended its process.",
        next_step="Try `alembic current` with the same options; it does the same.",
    )

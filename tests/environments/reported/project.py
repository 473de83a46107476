"""A fresh copy of a case's project with fresh databases, and what stands in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from scripts.infrastructure.postgres import PostgresServer
from tests.environments import snapshot
from tests.environments.forking import ROOT, Command, Nurseries
from tests.environments.reported.case import OURS, Case
from tests.environments.snapshot import Snapshot
from tests.integration.databases import Database, fresh_database

NOT_INHERITED = ("PG", "DATABASE_URL", "ALEMBIC", "MIGRAT", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class State:
    """Two that are equal are the same databases to the owner of the project."""

    database: Snapshot
    answers: tuple[str, ...]
    other: Snapshot | None

    def difference(self, found: State) -> str:
        """In a few lines what `found` has and this has not, and the other way round."""
        return snapshot.difference(self._text(), found._text())

    def _text(self) -> str:
        each = [self.database, *([self.other] if self.other else [])]
        lines = [line for one in each for line in (one.schema, f"{one.versions}", f"{one.row_counts}")]
        return "\n".join([*lines, *self.answers])


@dataclass(frozen=True)
class Project:
    """`python` is another interpreter than that of the tests, or None."""

    case: Case
    driver: str
    folder: Path
    database: Database
    other: Database | None
    nurseries: Nurseries
    python: Path | None

    def run(self, program: str, *words: str) -> tuple[int, str, str]:
        """Its exit code, what it printed, and what it said beside."""
        pid, output, errors = self.begin(program, *words)
        code = self.nurseries.here(self.interpreter(program)).wait(pid)
        return code, output.read_text(errors="replace"), errors.read_text(errors="replace")

    def begin(self, program: str, *words: str, **variables: str) -> tuple[int, Path, Path]:
        """Its pid, and the files that it prints into."""
        said = Path(mkdtemp(prefix="said-", dir=self.folder.parent))
        output, errors = said / "output", said / "errors"
        environment = self.environment() | variables
        command = Command(program, list(words), str(self.folder), environment, str(output), str(errors))
        return self.nurseries.here(self.interpreter(program)).begin(command), output, errors

    def interpreter(self, program: str) -> str:
        """Our commands run in our own, and take the other one by an option."""
        return str(self.python) if self.python and program == "alembic" else _OWN

    def options(self) -> list[str]:
        """What our commands take to be pointed at this project."""
        return ["-c", self.case.config(), *(["--python", str(self.python)] if self.python else [])]

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        ours = {"GARDEN_URL": self.url(), "COLUMNS": "200", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
        return {**inherited, **ours, **{name: self.filled(value) for name, value in self.case.variables.items()}}

    def url(self) -> str:
        return self.filled("postgresql+{driver}://{user}:{password}@{server}:{port}/{db}")

    def filled(self, text: str) -> str:
        address = self.database.address
        return text.format(
            driver=self.driver,
            server=address.host,
            port=address.port,
            user=self.case.login or address.user,
            password=self.case.login or address.password,
            db=self.database.name,
            other=self.other.name if self.other else "",
        )

    def execute(self, statement: str) -> None:
        with self.database.connect() as connection:
            connection.execute(statement.encode())

    def state(self) -> State:
        with self.database.connect() as connection:
            answers = tuple(_answer(connection, query) for query in self.case.ask)
        other = snapshot.take(self.other, hides_ours=False) if self.other else None
        return State(snapshot.take(self.database), answers, other)


def _answer(connection: object, query: str) -> str:
    try:
        return str(connection.execute(query.encode()).fetchall())  # type: ignore[attr-defined]
    except Exception as error:  # a table that is not there is an answer, too
        return type(error).__name__


_OWN = Nurseries.OWN


@contextmanager
def project(
    case: Case, driver: str, server: PostgresServer, folder: Path, nurseries: Nurseries, drivers: Path
) -> Iterator[Project]:
    """`drivers` is an interpreter that has every driver, for what ours has not."""
    with ExitStack() as stack:
        database = stack.enter_context(fresh_database(server, case.options))
        other = stack.enter_context(fresh_database(server)) if case.other is not None else None
        for place, statements in ((database, case.before), (other, case.other or ())):
            for statement in statements:
                with place.connect() as connection:  # type: ignore[union-attr]
                    connection.execute(statement.replace("{db}", database.name).encode())
        home = Path(mkdtemp(prefix=f"{case.name}-", dir=folder)) / "garden"
        python = drivers if case.needs_drivers or driver not in OURS else None
        made = Project(case, driver, home, database, other, nurseries, python)
        case.place(home, driver, made.url())
        yield made

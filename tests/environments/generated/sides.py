"""Bare Alembic and migration-sidecar on a fresh database each, with a fresh copy of the project each."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from migration_sidecar.config.settings import read_settings
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Action, OperationRequest, OperationState
from migration_sidecar.engine.engine import Engine
from migration_sidecar.forkserver.client import ForkserverClient
from scripts.infrastructure.postgres import PostgresServer
from tests.environments import snapshot
from tests.environments.forking import ROOT, Command, Nurseries
from tests.environments.generated.environment import Generated
from tests.integration.databases import fresh_database

LIMIT_SECONDS = 120.0
FORESEEN = "CM-305"  # a statement that cannot run in a transaction: seen in the file, and refused before anything
NOT_COMMITTED = "CM-410"
HALF_DONE = "CM-405"  # a revision ended behind an autocommit block, so it is not run again for the next tenant
SPLIT = "CM-414"  # the plan's word for a transaction for each revision that env.py does not ask for
OURS = ("psycopg", "asyncpg")  # drivers that our own interpreter has
ROLES = (
    "CREATE ROLE gardener NOLOGIN SUPERUSER",  # everything is its own, so that only the owner tells who was it
    "CREATE ROLE visitor NOLOGIN",
)
# With a version table of its own, so that its tables are another history's. No sequence: it would count looks, too.
DIARY = """
CREATE SCHEMA diary;
CREATE TABLE diary.alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO diary.alembic_version VALUES ('d1');
CREATE TABLE diary.log (
  said text,
  word text DEFAULT current_setting('garden.word', true),
  who text DEFAULT current_user,
  path text DEFAULT current_setting('search_path')
);
CREATE TABLE diary.parent (id int PRIMARY KEY);
CREATE TABLE diary.child (id int REFERENCES diary.parent DEFERRABLE INITIALLY DEFERRED);
"""
VERSIONS = re.compile(r"^COPY (?!diary\.)\S+ \(version_num\) FROM stdin;\n((?:.*\n)*?)\\\.$", re.MULTILINE)


@dataclass(frozen=True)
class Ended:
    """`dump` is everything that stands in the database, without our own schema. `warned`: the plan told CM-414."""

    step: str
    done: bool
    dump: str
    said: str
    warned: bool = False

    def is_at(self, revision: str) -> bool:
        """Whether every version table holds this revision and nothing else."""
        held = [rows.split() for rows in VERSIONS.findall(self.dump)]
        return bool(held) and all(rows == [revision] for rows in held)


@dataclass(frozen=True)
class Compared:
    """`as_is` is bare Alembic where `bare` got an env.py that does what the operator chose."""

    before: str
    bare: list[Ended]
    ours: list[Ended]
    as_is: list[Ended] | None = None


Take = Callable[[Path, str], tuple[bool, str]]


class Sides:
    """`drivers` gives an interpreter that has every driver."""

    def __init__(self, server: PostgresServer, nurseries: Nurseries, drivers: Callable[[], Path]) -> None:
        self._server, self._nurseries, self._drivers = server, nurseries, drivers
        self._forkservers: dict[Path | None, ForkserverClient] = {}
        self._pool = ThreadPoolExecutor(2)
        self._before = ""
        with server.address.connect() as connection:
            for role in ROLES:
                connection.execute(role.encode())

    def compare(self, example: Generated) -> Compared:
        wanted = replace(example, env=example.env.split()) if example.per_revision else example
        bare = self._pool.submit(self._run, wanted, self._by_alembic)
        ours = self._pool.submit(self._run, example, self._by_hand if example.by_hand else self._by_endpoint)
        as_is = self._pool.submit(self._run, example, self._by_alembic) if wanted != example else None
        (before, theirs), (_, our_own) = bare.result(), ours.result()
        return Compared(before, theirs, our_own, as_is.result()[1] if as_is else None)

    def close(self) -> None:
        self._pool.shutdown()
        for forkserver in self._forkservers.values():
            forkserver.stop()

    def _python(self, example: Generated) -> Path | None:
        return self._drivers() if example.env.driver not in OURS else None

    def _forkserver(self, python: Path | None) -> ForkserverClient:
        if python not in self._forkservers:
            self._forkservers[python] = ForkserverClient(None, python)
        return self._forkservers[python]

    def _run(self, example: Generated, take: Take) -> tuple[str, list[Ended]]:
        python = self._python(example)
        with fresh_database(self._server) as database, TemporaryDirectory() as folder:
            with database.connect() as connection:
                connection.execute(DIARY.encode())
            scheme = f"postgresql+{example.env.driver}"
            ini = example.place(Path(folder) / "garden", database.address.url(database.name, scheme=scheme), python)
            before, ended = self._before or snapshot.dump(database), []
            self._before = before  # every database begins as this one did
            for step in example.steps:
                warned = take != self._by_alembic and example.per_revision and asyncio.run(self._warned(ini, step))
                done, said = take(ini, step)
                ended.append(Ended(step, done, snapshot.dump(database), said, warned))
                if not done:
                    break
            return before, ended

    def _by_alembic(self, ini: Path, step: str) -> tuple[bool, str]:
        return self._command("alembic", ini, "-c", ini.name, *step.split(), python=_python_of(ini))

    def _by_hand(self, ini: Path, step: str) -> tuple[bool, str]:
        return self._command("migration-sidecar", ini, *step.split(), "-c", ini.name)

    def _command(self, program: str, ini: Path, *words: str, python: Path | None = None) -> tuple[bool, str]:
        output = ini.parent / f"{uuid4()}.log"
        nursery = self._nurseries.here(str(python) if python else self._nurseries.OWN)
        environment = {"NO_COLOR": "1", "COLUMNS": "200", "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        code = nursery.wait(nursery.begin(Command(program, list(words), str(ini.parent), environment, str(output))))
        return code == 0, output.read_text(errors="replace")

    def _by_endpoint(self, ini: Path, step: str) -> tuple[bool, str]:
        return asyncio.run(self._operation(ini, *step.split()))

    def _engine(self, ini: Path) -> Engine:
        return Engine(read_settings(ini, {}), forkserver=self._forkserver(_python_of(ini)))

    async def _warned(self, ini: Path, step: str) -> bool:
        action, target = step.split()
        engine = self._engine(ini)
        try:
            plan = await engine.reader.plan(Action(action), target)
        except ProblemError:
            return False
        finally:
            await engine.close()
        return SPLIT in [warning.code for warning in plan.warnings]

    async def _operation(self, ini: Path, action: str, target: str) -> tuple[bool, str]:
        engine = self._engine(ini)
        request = OperationRequest(operation_id=f"op-{uuid4()}", action=action, target=target, requested_by="ada")  # type: ignore[arg-type]
        try:
            await engine.operations.accept(request)
            operation = await engine.operations.find(request.operation_id, wait_seconds=LIMIT_SECONDS)
        except ProblemError as error:
            return False, error.problem.model_dump_json(exclude_none=True)
        finally:
            await engine.close()
        return operation.state is OperationState.SUCCEEDED, operation.model_dump_json(exclude_none=True)


def _python_of(ini: Path) -> Path | None:
    return read_settings(ini, {}).python


def disagreement(example: Generated, compared: Compared) -> str:
    """What migration-sidecar did otherwise than bare Alembic, or nothing."""
    return _against_bare(example, compared) or _unwarned(example, compared)


def _refused(ours: Ended, prior: str) -> bool:
    """Whether it was refused, before anything was touched, for a statement that cannot run in a transaction."""
    return not ours.done and ours.dump == prior and FORESEEN in ours.said


def stopped_half_done(example: Generated, ours: Ended) -> bool:
    """Whether env.py caught the failure of a revision that left a part, and wanted to migrate the next tenant.

    Bare Alembic runs the revision again; environments.md tells that we do not.
    """
    keeps_on = bool(example.env.catches and example.env.tenants)
    return keeps_on and not ours.done and HALF_DONE in ours.said


def _unwarned(example: Generated, compared: Compared) -> str:
    """What the operator's choice has changed, although the plan did not say so."""
    prior = compared.before
    for theirs, ours in zip(compared.as_is or (), compared.ours, strict=False):
        if stopped_half_done(example, ours):
            return ""
        if ours.dump != theirs.dump and not ours.warned and not _refused(ours, prior):
            lines = snapshot.difference(theirs.dump, ours.dump)
            return f"transaction_per_revision made another `{ours.step}`, unsaid\n{lines}"
        if ours.dump != theirs.dump:
            return ""
        prior = ours.dump
    return ""


def _against_bare(example: Generated, compared: Compared) -> str:
    prior = compared.before
    for theirs, ours in zip(compared.bare, compared.ours, strict=False):
        head = f"g{len(example.revisions)}" if ours.step.endswith("head") else ours.step.split()[1]
        bare_does_it = theirs.done and theirs.is_at(head)
        if not bare_does_it and _refused(ours, prior):
            return ""
        if stopped_half_done(example, ours):
            return ""
        if ours.dump != theirs.dump:
            what = "did" if ours.done else "stopped at"
            return f"it {what} `{ours.step}` and left another database\n{snapshot.difference(theirs.dump, ours.dump)}"
        if ours.done and not theirs.done:
            return f"it did `{ours.step}`, at which bare Alembic fails"
        # Bare Alembic says nothing where env.py lost what was done, or a part of it; to say so is better.
        if bare_does_it and not ours.done and NOT_COMMITTED not in ours.said:
            return f"it refuses `{ours.step}`, which bare Alembic does"
        if theirs.done != ours.done:
            return ""
        prior = ours.dump
    return ""

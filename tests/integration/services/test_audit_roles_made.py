"""Who may migrate the audit: an administrator, an owner who may create roles, and one for whom somebody else does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from psycopg import sql

from scripts.infrastructure import ports
from scripts.infrastructure.postgres import Address, PostgresServer, binaries
from tests.integration.databases import Database
from tests.integration.services.fleet import BY_FOLDER, SERVICES, alembic

CAS = BY_FOLDER["cas_service"]
ROLES = ["cas_ingest", "cas_owner", "cas_reader", "cas_witness"]
WITHOUT_PROVIDER = ("--locale=C",)
# Rules of membership changed with PostgreSQL 16; the wheel brings that one too.
SERVERS = {"18": binaries(), "16": binaries().parents[1] / "pginstall" / "bin"}

FOREIGN = """
SELECT relname FROM pg_class
WHERE relnamespace IN ('audit'::regnamespace, 'public'::regnamespace) AND relkind IN ('r', 'v', 'S')
  AND relname <> 'alembic_version' AND relowner <> 'cas_owner'::regrole
UNION ALL
SELECT proname FROM pg_proc WHERE pronamespace = 'audit'::regnamespace AND proowner <> 'cas_owner'::regrole
"""


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PostgresServer]:
    """Roles belong to a whole server: whether they are made and dropped shows only on one of the test's own."""
    address = Address(host=ports.LOOPBACK, port=ports.choose(1)[0])
    locale = PostgresServer.locale if request.param == "18" else WITHOUT_PROVIDER
    server = PostgresServer(
        tmp_path, address, durable=False, dies_with_us=True, programs=SERVERS[request.param], locale=locale
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()


def database_of(server: PostgresServer, login: str, rights: str = "") -> Database:
    with server.address.connect() as connection:
        connection.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'secret' {rights}")
        connection.execute(f"CREATE DATABASE {login} OWNER {login}")
    return Database(login, Address(server.address.host, server.address.port, login, "secret"))


def administered(server: PostgresServer, name: str) -> Database:
    with server.address.connect() as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return Database(name, server.address)


def roles(server: PostgresServer) -> list[str]:
    with server.address.connect() as connection:
        rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'cas%' ORDER BY 1")
        return [name for (name,) in rows]


def refusal(database: Database) -> str:
    """What a person reads at the shell."""
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    ended = subprocess.run(
        command,
        cwd=CAS.path,
        env={**os.environ, "DATABASE_URL": database.url, "PYTHONPATH": str(SERVICES.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    return ended.stdout + ended.stderr


def statements(said: str) -> str:
    return said.partition("as administrator run: ")[2].partition(". Have the right granted")[0]


def test_an_owner_who_may_create_roles_needs_nobody_else(server: PostgresServer) -> None:
    database = database_of(server, "maker", "CREATEROLE")
    alembic(CAS, database, "upgrade", "head")
    assert roles(server) == ROLES
    with database.connect() as connection:
        assert connection.execute(FOREIGN).fetchall() == []
        for role in ("cas_ingest", "cas_reader", "cas_witness"):
            connection.execute(f"SET ROLE {role}; RESET ROLE")
    alembic(CAS, database, "downgrade", "base")
    assert roles(server) == []
    alembic(CAS, database, "upgrade", "head")


def test_an_owner_who_may_not_create_roles_is_told_what_to_have_run(server: PostgresServer) -> None:
    database = database_of(server, "owner")
    said = refusal(database)
    assert "Have the right granted and migrate again" in said
    assert roles(server) == []
    with Database(database.name, server.address).connect() as administrator:
        assert administrator.execute("SELECT version_num FROM alembic_version").fetchall() == [("audit_0005",)]
        administrator.execute(statements(said))
    alembic(CAS, database, "upgrade", "head")
    with database.connect() as connection:
        assert connection.execute(FOREIGN).fetchall() == []


def test_what_another_made_is_used_when_it_was_granted(server: PostgresServer) -> None:
    alembic(CAS, administered(server, "first"), "upgrade", "head")
    second = database_of(server, "second", "CREATEROLE")
    asked = statements(refusal(second))
    assert asked == "GRANT cas_owner, cas_ingest, cas_reader, cas_witness TO second"
    with server.address.connect() as administrator:
        administrator.execute(asked)
    alembic(CAS, second, "upgrade", "head")


def test_roles_stay_as_long_as_anybody_needs_them(server: PostgresServer) -> None:
    first, second = administered(server, "first"), administered(server, "second")
    for database in (first, second):
        alembic(CAS, database, "upgrade", "head")
    alembic(CAS, first, "downgrade", "audit_0005")
    assert roles(server) == ROLES
    with server.address.connect() as administrator:
        administrator.execute("CREATE ROLE auditor LOGIN IN ROLE cas_reader")
    alembic(CAS, second, "downgrade", "audit_0005")
    assert roles(server) == ["cas_reader"]


def test_databases_that_migrate_up_and_down_at_once_do_not_take_each_others_roles(
    server: PostgresServer, tmp_path: Path
) -> None:
    databases = [administered(server, f"rival_{number}") for number in range(6)]
    for database in databases:
        alembic(CAS, database, "upgrade", "audit_0005")
    steps = [("upgrade", "audit_0005:audit_0006"), ("downgrade", "audit_0006:audit_0005")]
    for verb, course in steps:
        alembic(CAS, databases[0], verb, course, "--sql", output=tmp_path / f"{verb}.sql")
    up, down = (sql.SQL((tmp_path / f"{verb}.sql").read_text()) for verb, _ in steps)

    def up_and_down(database: Database) -> None:
        with database.connect() as connection:
            for _ in range(20):
                connection.execute(up)
                connection.execute(down)
            connection.execute(up)

    with ThreadPoolExecutor(len(databases)) as rivals:
        list(rivals.map(up_and_down, databases))
    assert roles(server) == ROLES
    with databases[0].connect() as connection:
        assert connection.execute(FOREIGN).fetchall() == []

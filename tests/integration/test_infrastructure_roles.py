"""A PostgreSQL role for each service: what it owns, and what it cannot reach."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts.infrastructure import ports
from scripts.infrastructure.catalog import members
from scripts.infrastructure.databases import COORDINATOR_DATABASE, create_database, prepare_state_store
from scripts.infrastructure.errors import InUse
from scripts.infrastructure.ownership import give_database
from scripts.infrastructure.postgres import Address, PostgresServer
from scripts.infrastructure.role_passwords import RolePasswords, role_of
from scripts.infrastructure.service_roles import ServiceRoles
from tests.integration.databases import Database
from tests.integration.services.fleet import BY_FOLDER, alembic
from tests.integration.services.test_audit_store import event

DATABASES = [member.database for member in members()]
AUDIT = DATABASES[0]


@dataclass(frozen=True)
class Stage:
    """A server of the test's own, because roles belong to a whole server."""

    server: PostgresServer
    passwords: RolePasswords
    said: list[str]

    @property
    def roles(self) -> ServiceRoles:
        return ServiceRoles(self.server.address, self.passwords, ours=True, say=self.said.append)

    def url(self, role: str, database: str) -> str:
        address = self.server.address
        return f"postgresql://{role}@{address.host}:{address.port}/{database}?passfile={self.passwords.file(role)}"

    def connect(self, role: str, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url(role, database), autocommit=True)

    def ask(self, database: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.server.address.connect(database) as connection:
            return connection.execute(query, values).fetchall()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    directory = tmp_path_factory.mktemp("roles")
    address = Address(host=ports.LOOPBACK, port=ports.choose(1)[0])
    server = PostgresServer(directory, address, durable=False, dies_with_us=True)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def stage(started: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Two services have their databases, and Dapr its own."""
    stage = Stage(started, RolePasswords(tmp_path_factory.mktemp("state") / "passwords"), [])
    prepare_state_store(started.address)
    for name in (AUDIT, "cds_client", "cds_task"):
        create_database(started.address, name)
    stage.roles.give()
    return stage


def test_nobody_but_the_administrator_is_superuser_or_may_make_roles_or_databases(stage: Stage) -> None:
    mighty = "SELECT rolname FROM pg_roles WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication"
    assert stage.ask("postgres", f"{mighty} OR rolbypassrls") == [("postgres",)]
    logins = {name for (name,) in stage.ask("postgres", "SELECT rolname FROM pg_roles WHERE rolcanlogin")}
    assert logins == {"postgres", COORDINATOR_DATABASE, *DATABASES}


def test_a_service_owns_its_database_and_may_make_what_it_needs_there(stage: Stage) -> None:
    with stage.connect("cds_client", "cds_client") as connection:
        connection.execute("CREATE SCHEMA own")
        connection.execute("CREATE TABLE public.own (id int)")
        connection.execute("CREATE TEMPORARY TABLE passing (id int)")


@pytest.mark.parametrize("database", [AUDIT, "cds_task", COORDINATOR_DATABASE, "postgres", "template1"])
def test_a_service_cannot_connect_to_a_database_of_another(stage: Stage, database: str) -> None:
    """Neither to the state store."""
    with pytest.raises(psycopg.OperationalError, match="does not have CONNECT privilege"):
        stage.connect("cds_client", database)


def test_daprs_role_writes_its_schema_and_reaches_nothing_else(stage: Stage) -> None:
    with stage.connect(COORDINATOR_DATABASE, COORDINATOR_DATABASE) as connection:
        connection.execute("CREATE TABLE dapr.anything (id int)")
        for statement in ("CREATE TABLE public.anything (id int)", "CREATE TEMPORARY TABLE t ()", "CREATE SCHEMA s"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    with pytest.raises(psycopg.OperationalError, match="does not have CONNECT privilege"):
        stage.connect(COORDINATOR_DATABASE, "cds_client")


def test_a_wrong_password_and_none_are_refused(stage: Stage) -> None:
    address = stage.server.address
    for password in ("wrong", "cds_client", ""):
        with pytest.raises(psycopg.OperationalError, match="password"):
            Address(address.host, address.port, "cds_client", password).connect("cds_client")


def test_each_password_is_another_one_and_only_we_can_read_it(stage: Stage) -> None:
    files = [stage.passwords.file(role_of(name)) for name in (*DATABASES, COORDINATOR_DATABASE)]
    assert len({file.read_text().rpartition(":")[2] for file in files}) == len(files)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(stage.passwords.folder.stat().st_mode) == 0o700


def test_giving_again_changes_nothing(stage: Stage) -> None:
    what = "SELECT d.datname, d.datacl::text, pg_get_userbyid(d.datdba) FROM pg_database d ORDER BY 1"
    before = [stage.ask("postgres", what), {each: each.read_text() for each in stage.passwords.folder.iterdir()}]
    stage.roles.give()
    assert before == [
        stage.ask("postgres", what),
        {each: each.read_text() for each in stage.passwords.folder.iterdir()},
    ]
    assert give_database(stage.server.address, "cds_client", "cds_client") == 0


def test_a_role_that_a_person_raised_is_brought_down_again(stage: Stage) -> None:
    with stage.server.address.connect() as administrator:
        administrator.execute("ALTER ROLE cds_task SUPERUSER CREATEDB PASSWORD 'other'")
    stage.roles.give()
    assert stage.ask("postgres", "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = 'cds_task'") == [
        (False, False)
    ]
    stage.connect("cds_task", "cds_task").close()


def test_what_a_person_migrates_as_administrator_belongs_to_the_service(stage: Stage) -> None:
    """By the guide's address, with the administrator's name and password."""
    with psycopg.connect(stage.server.address.url("cds_task"), autocommit=True) as person:
        person.execute("CREATE TABLE by_hand (id int GENERATED ALWAYS AS IDENTITY)")
    with stage.connect("cds_task", "cds_task") as service:
        service.execute("ALTER TABLE by_hand ADD COLUMN more int")
        service.execute("INSERT INTO by_hand (more) VALUES (1)")


def test_the_audit_is_migrated_by_its_own_role_and_an_auditor_may_still_log_in(stage: Stage) -> None:
    address = stage.server.address
    service = Database(AUDIT, Address(address.host, address.port, AUDIT, stage.passwords.make(AUDIT)))
    alembic(BY_FOLDER["cas_service"], service, "upgrade", "head")
    alembic(BY_FOLDER["cas_service"], service, "downgrade", "base")
    alembic(BY_FOLDER["cas_service"], service, "upgrade", "head")
    with address.connect() as administrator:
        administrator.execute("CREATE ROLE anna LOGIN PASSWORD 'anna' IN ROLE cas_reader")
    with Address(address.host, address.port, "anna", "anna").connect(AUDIT) as auditor:
        assert auditor.execute("SELECT count(*) FROM audit.events").fetchone() == (0,)
    with stage.connect(AUDIT, AUDIT) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("GRANT cas_owner TO cds_client")


OBJECTS = """
SELECT CASE WHEN c.relkind = 'i' THEN 'index' ELSE c.relkind::text END, c.oid::regclass::text,
       pg_get_userbyid(c.relowner), c.relacl::text
FROM pg_class c WHERE c.relnamespace::regnamespace::text IN ('public', 'audit', 'migration_sidecar')
UNION ALL SELECT 'function', p.oid::regprocedure::text, pg_get_userbyid(p.proowner), p.proacl::text
FROM pg_proc p WHERE p.pronamespace::regnamespace::text IN ('public', 'audit', 'migration_sidecar')
UNION ALL SELECT 'schema', nspname, pg_get_userbyid(nspowner), nspacl::text FROM pg_namespace
WHERE nspname !~ '^pg_|^information_'
UNION ALL SELECT 'statistics', stxname, pg_get_userbyid(stxowner), '' FROM pg_statistic_ext
ORDER BY 1, 2
"""


EVENTS = "SELECT seq, hash FROM public.audit_events ORDER BY seq"
APPEND = "SELECT audit.append_events(%s::jsonb)"


def test_an_audit_of_an_earlier_release_becomes_what_a_new_one_is(stage: Stage) -> None:
    """There the superuser had migrated it. Owners and rights are the same afterwards, those of cas_owner too."""
    address = stage.server.address
    for name in ("audit_of_old", "audit_of_new"):
        create_database(address, name)
    give_database(address, "audit_of_new", AUDIT)
    login = Address(address.host, address.port, AUDIT, stage.passwords.make(AUDIT))
    alembic(BY_FOLDER["cas_service"], Database("audit_of_new", login), "upgrade", "head")
    alembic(BY_FOLDER["cas_service"], Database("audit_of_old", address), "upgrade", "head")
    with address.connect("audit_of_old") as person:
        person.execute(APPEND, [json.dumps([event()])])
    before = stage.ask("audit_of_old", EVENTS)
    assert give_database(address, "audit_of_old", AUDIT) > 0
    assert stage.ask("audit_of_old", OBJECTS) == stage.ask("audit_of_new", OBJECTS)
    assert stage.ask("audit_of_old", EVENTS) == before
    with stage.connect(AUDIT, "audit_of_old") as service:
        service.execute("SET ROLE cas_ingest")
        service.execute(APPEND, [json.dumps([event()])])
    owners = {owner for _, _, owner, _ in stage.ask("audit_of_old", OBJECTS)}
    assert owners == {"cas_owner", AUDIT, "pg_database_owner"}
    assert give_database(address, "audit_of_old", AUDIT) == 0


EVERYTHING = """
CREATE SCHEMA "od d";
CREATE TABLE "od d"."t""x" (id serial PRIMARY KEY, other int GENERATED ALWAYS AS IDENTITY, a int, b int);
CREATE TABLE parted (a int) PARTITION BY LIST (a);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE VIEW v AS SELECT 1 AS one; CREATE MATERIALIZED VIEW m AS SELECT 1 AS one; CREATE SEQUENCE s;
CREATE TYPE colour AS ENUM ('red'); CREATE TYPE pair AS (a int, b int); CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE FUNCTION f(a int, VARIADIC b text[]) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE PROCEDURE p(INOUT a int) LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION add(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
CREATE AGGREGATE total(int) (sfunc = add, stype = int, initcond = 0);
CREATE OPERATOR === (leftarg = int, rightarg = int, function = add);
CREATE OPERATOR FAMILY fam USING btree; CREATE COLLATION mine FROM "C";
CREATE TEXT SEARCH DICTIONARY d (template = simple); CREATE TEXT SEARCH CONFIGURATION c (copy = simple);
CREATE STATISTICS st ON a, b FROM "od d"."t""x";
SELECT lo_create(4711);
"""


def test_objects_of_every_kind_are_given(stage: Stage) -> None:
    address = stage.server.address
    create_database(address, "of_every_kind")
    with address.connect("of_every_kind") as person:
        for statement in EVERYTHING.split(";")[:-1]:
            person.execute(statement)
    assert give_database(address, "of_every_kind", "cds_task") > 0
    assert give_database(address, "of_every_kind", "cds_task") == 0
    with stage.connect("cds_task", "of_every_kind") as service:
        service.execute("DROP TYPE span")  # DROP OWNED stumbles over ranges
        service.execute("DROP OWNED BY CURRENT_USER CASCADE")
    left = "SELECT proname FROM pg_proc WHERE oid >= 16384 UNION ALL SELECT relname FROM pg_class WHERE oid >= 16384"
    assert stage.ask("of_every_kind", left) == []


def test_a_database_with_a_locked_table_is_left_as_it_is_and_named(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.infrastructure.ownership.LOCK_TIMEOUT", "100ms")
    address = stage.server.address
    create_database(address, "busy")
    with address.connect("busy") as person:
        person.execute("CREATE TABLE first (id int)")
        person.execute("CREATE TABLE locked (id int)")
        with person.transaction():
            person.execute("LOCK TABLE locked IN ACCESS SHARE MODE")
            with pytest.raises(InUse, match="Database busy was not given"):
                give_database(address, "busy", "cds_task")
    owners = "SELECT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert stage.ask("busy", owners) == [("postgres",)] * 2


def test_on_a_server_of_somebody_else_only_what_is_free_is_taken(stage: Stage, tmp_path: Path) -> None:
    started, theirs = stage.server, [role_of(name) for name in DATABASES[:2]]
    said: list[str] = []
    guest = ServiceRoles(started.address, RolePasswords(tmp_path / "passwords"), ours=False, say=said.append)
    with started.address.connect() as administrator:
        before = administrator.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [theirs[0]]).fetchone()
    guest.give()
    assert not guest.passwords.exists(theirs[0])
    assert any(f"the server has a role {theirs[0]} already" in each for each in said)
    with started.address.connect() as administrator:
        after = administrator.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [theirs[0]]).fetchone()
    assert before == after


def test_an_administrator_without_the_right_makes_no_role_and_says_so(started: PostgresServer, tmp_path: Path) -> None:
    with started.address.connect() as administrator:
        administrator.execute("CREATE ROLE humble LOGIN CREATEDB PASSWORD 'humble'")
    address = Address(started.address.host, started.address.port, "humble", "humble")
    said: list[str] = []
    with started.address.connect() as administrator:
        administrator.execute("GRANT CONNECT ON DATABASE postgres TO humble")
    ServiceRoles(address, RolePasswords(tmp_path / "passwords"), ours=False, say=said.append).give()
    assert said == ["Services have no roles of their own: humble is no superuser, so all log in as humble"]
    assert not (tmp_path / "passwords").exists()

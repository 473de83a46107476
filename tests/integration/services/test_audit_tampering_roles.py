"""T1 to T6: what the audit's own roles try in vain. A superuser is another matter: see test_audit_tampering."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.integration.databases import Database

FORGED = """
INSERT INTO public.audit_events
    (seq, event_id, event_type, occurred_at, recorded_at, source, payload_hash, prev_hash, hash)
VALUES (2, gen_random_uuid(), 'migration.approved', now(), now(), 'me', 'x', (SELECT hash FROM audit.chain_head), 'y')
"""
TAMPERING = {
    "T1-update": "UPDATE public.audit_events SET outcome = 'fine'",
    "T2-delete": "DELETE FROM public.audit_events",
    "T3-truncate": "TRUNCATE public.audit_events",
    "T4-forged": FORGED,
    "head": "UPDATE audit.chain_head SET seq = 0",
    "view-update": "UPDATE audit.events SET outcome = 'fine'",
    "view-delete": "DELETE FROM audit.events",
    "rights": "UPDATE audit.reader_services SET service = 'cds-task'",
    "windows": "INSERT INTO audit.windows (opens, closes) VALUES ('00:00', '00:00')",
    "tables": "DELETE FROM audit.changed_tables",
    "triggers": "ALTER TABLE public.audit_events DISABLE TRIGGER ALL",
    "security": "ALTER TABLE public.audit_events DISABLE ROW LEVEL SECURITY",
    "function": "CREATE OR REPLACE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
    "schema": "CREATE TABLE audit.mine ()",
    "become-owner": "SET ROLE cas_owner",
}
READING = {
    "table": "SELECT * FROM public.audit_events",
    "view": "SELECT * FROM audit.events",
    "head": "SELECT * FROM audit.chain_head",
    "readers": "SELECT * FROM audit.reader_services",
}
RIGHTS = """
SELECT 'schema', nspname, nspacl, nspowner FROM pg_namespace WHERE nspname = 'audit'
UNION ALL SELECT 'relation', relname, coalesce(relacl, acldefault('r', relowner)), relowner
    FROM pg_class WHERE oid = 'public.audit_events'::regclass OR relnamespace = 'audit'::regnamespace
UNION ALL SELECT 'function', proname, coalesce(proacl, acldefault('f', proowner)), proowner
    FROM pg_proc WHERE pronamespace = 'audit'::regnamespace
"""
RIGHTS_OF = """
SELECT kind, name, privilege_type FROM (%s) AS thing (kind, name, acl, owner) CROSS JOIN LATERAL aclexplode(acl)
WHERE grantee = %s AND owner <> grantee ORDER BY 1, 2
"""
APPEND = "SELECT * FROM audit.append_events(%s::jsonb)"


def event() -> dict[str, Any]:
    when = "2026-01-02T03:04:05.123456Z"
    return {"event_id": str(uuid4()), "event_type": "migration.started", "occurred_at": when, "source": "coordinator"}


def append(connection: psycopg.Connection[Any], *events: dict[str, Any]) -> None:
    connection.execute(APPEND, [json.dumps(events)])


@pytest.fixture
def recorded(audit: Database) -> Database:
    with audit.connect() as connection:
        append(connection, event())
    return audit


def acting_as(audit: Database, role: str) -> psycopg.Connection[Any]:
    """As a login of that role is: without a way back."""
    connection = audit.connect()
    connection.execute(f"SET SESSION AUTHORIZATION {role}")
    return connection


def rows(audit: Database) -> list[Any]:
    with audit.connect() as connection:
        return connection.execute("SELECT * FROM public.audit_events").fetchall()


@pytest.mark.parametrize("role", ["cas_ingest", "cas_reader", "cas_witness"])
@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING)
def test_no_role_can_tamper(recorded: Database, role: str, statement: str) -> None:
    before = rows(recorded)
    with acting_as(recorded, role) as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute(statement)
    assert "permission denied" in str(refused.value) or "must be owner" in str(refused.value)
    assert rows(recorded) == before


@pytest.mark.parametrize("statement", READING.values(), ids=READING)
def test_who_appends_sees_nothing(recorded: Database, statement: str) -> None:
    with acting_as(recorded, "cas_ingest") as connection:
        append(connection, event())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize(
    ("grantee", "rights"),
    [
        ("0", []),  # everybody
        ("'cas_ingest'::regrole", [("function", "append_events", "EXECUTE"), ("schema", "audit", "USAGE")]),
    ],
)
def test_everybody_has_no_right_and_who_appends_exactly_one(audit: Database, grantee: str, rights: list[Any]) -> None:
    with audit.connect() as connection:
        assert connection.execute(RIGHTS_OF % (RIGHTS, grantee)).fetchall() == rights


@pytest.mark.parametrize("role", ["cas_reader", "cas_witness"])
def test_t5_who_reads_or_signs_does_not_append(recorded: Database, role: str) -> None:
    with acting_as(recorded, role) as connection:
        assert connection.execute("SELECT count(*) FROM audit.events").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append_events"):
            append(connection, event())


@pytest.mark.parametrize("statement", [TAMPERING[name] for name in ("T1-update", "T2-delete", "T3-truncate")])
def test_t6_the_owner_meets_the_triggers(recorded: Database, statement: str) -> None:
    before = rows(recorded)
    with acting_as(recorded, "cas_owner") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute(statement)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SET session_replication_role = replica")
    assert rows(recorded) == before


def test_a_stranger_cannot_even_look(recorded: Database) -> None:
    with recorded.connect() as connection:
        connection.execute("CREATE ROLE stranger; SET ROLE stranger")
        try:
            for statement in (*READING.values(), "SELECT audit.append_events('[]')"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
        finally:
            connection.execute("RESET ROLE; DROP ROLE stranger")


def test_what_runs_with_the_owners_rights_looks_for_names_nowhere_but_in_the_catalog_first(audit: Database) -> None:
    """Temporary objects, which anybody may make, come last."""
    with audit.connect() as connection:
        definers = connection.execute(
            "SELECT DISTINCT proconfig FROM pg_proc WHERE pronamespace = 'audit'::regnamespace AND prosecdef"
        )
        assert definers.fetchall() == [(["search_path=pg_catalog, pg_temp"],)]

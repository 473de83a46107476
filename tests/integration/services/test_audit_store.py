"""The audit store: one function appends, nothing changes what is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from migration_sidecar.cli import app
from tests.integration.databases import Database
from tests.integration.services.fleet import BY_FOLDER, alembic, catalog

BROKEN_LINKS = """
SELECT seq FROM (
    SELECT event, seq, lag(hash, 1, repeat('0', 64)) OVER (ORDER BY seq) AS predecessor,
           row_number() OVER (ORDER BY seq) AS position
    FROM audit_events AS event
) AS link
WHERE (event).prev_hash <> predecessor OR (event).hash <> audit.event_hash(event) OR seq <> position
   OR (event).payload_hash <> audit.payload_hash(event)
"""


def event(**facts: Any) -> dict[str, Any]:
    fresh = {"event_id": str(uuid4()), "event_type": "migration.started", "occurred_at": "2026-01-02T03:04:05.123456Z"}
    return {**fresh, "source": "coordinator", "detail": {"why": "release"}, **facts}


def append(database: Database, *events: dict[str, Any]) -> list[str]:
    with database.connect() as connection:
        rows = connection.execute("SELECT result FROM audit.append_events(%s::jsonb)", [json.dumps(events)])
        return [result for (result,) in rows]


def ask(database: Database, question: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(question).fetchall()


def test_events_are_numbered_in_the_order_they_were_sent(audit: Database) -> None:
    events = [event() for _ in range(5)]
    assert append(audit, *events) == ["stored"] * 5
    assert ask(audit, "SELECT event_id::text FROM audit_events ORDER BY seq") == [(e["event_id"],) for e in events]
    assert ask(audit, BROKEN_LINKS) == []


def test_an_event_sent_again_is_recognised_and_not_stored_again(audit: Database) -> None:
    sent = event()
    same_in_other_words = {**sent, "occurred_at": "2026-01-02T04:04:05.123456+01:00", "actor": None}
    assert append(audit, sent, sent) == ["stored", "repeated"]
    assert append(audit, same_in_other_words) == ["repeated"]
    assert ask(audit, "SELECT count(*) FROM audit_events") == [(1,)]


@pytest.mark.parametrize("change", [{"actor": "mallory"}, {"detail": {}}, {"occurred_at": "2026-01-02T03:04:05Z"}])
def test_an_id_stored_with_other_content_is_a_conflict_and_keeps_its_content(
    audit: Database, change: dict[str, Any]
) -> None:
    sent = event()
    assert append(audit, sent) == ["stored"]
    before = ask(audit, "SELECT * FROM audit_events")
    assert append(audit, {**sent, **change}, event()) == ["conflict", "stored"]
    assert ask(audit, "SELECT * FROM audit_events WHERE seq = 1") == before


def test_a_contested_event_keeps_both_contents(audit: Database) -> None:
    """The forger may have been the first: without the second content the true one would be lost."""
    forged = event(actor="mallory", service="cds-task", request_id="release-41")
    true = {**forged, "actor": "ada", "detail": {"why": "ticket 7"}}
    append(audit, forged, true, true)
    [(conflict, stored, of_first, of_second)] = ask(
        audit,
        "SELECT conflict_seq, stored_seq, stored, refused FROM audit.contested",
    )
    assert (conflict, stored, of_first["actor"]) == (2, 1, "mallory")
    assert {name: of_second[name] for name in ("event_id", "actor", "detail")} == {
        "event_id": true["event_id"],
        "actor": "ada",
        "detail": {"why": "ticket 7"},
    }
    hashes = "SELECT encode(sha256(payload::bytea), 'hex') FROM audit.contested"
    refused = "SELECT detail ->> 'refused_payload_hash' FROM audit_events WHERE event_type = 'audit.conflict'"
    assert ask(audit, hashes) == ask(audit, refused)


@pytest.mark.parametrize(
    ("statement", "role"),
    [
        ("UPDATE audit.contested_events SET payload = ''", None),
        ("DELETE FROM audit.contested_events", None),
        ("TRUNCATE audit.contested_events", None),
        ("INSERT INTO audit.contested_events VALUES (9, gen_random_uuid(), 1, '', '', '')", "cas_ingest"),
        ("INSERT INTO audit.contested_events VALUES (9, gen_random_uuid(), 1, '', '', '')", "cas_witness"),
        ("SELECT * FROM audit.contested", "cas_ingest"),
    ],
)
def test_what_was_refused_is_not_changed(audit: Database, statement: str, role: str | None) -> None:
    sent = event()
    append(audit, sent, {**sent, "actor": "ada"})
    with audit.connect() as connection:
        if role is not None:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize(
    ("stored", "refused", "seen"),
    [("cds-task", "cds-task", 1), ("cds-task", "cds-client", 0), ("cds-client", "cds-task", 0), (None, None, 0)],
)
def test_a_reader_sees_contested_events_of_the_services_it_is_held_to(
    audit: Database, stored: str | None, refused: str | None, seen: int
) -> None:
    sent = event(service=stored)
    append(audit, sent, {**sent, "actor": "ada", "service": refused})
    with audit.connect() as connection:
        connection.execute("INSERT INTO audit.reader_services VALUES ('cas_reader', 'cds-task'); SET ROLE cas_reader")
        assert len(connection.execute("SELECT * FROM audit.contested").fetchall()) == seen


def test_a_conflict_is_recorded_once_with_the_names_of_what_differs_and_without_its_words(audit: Database) -> None:
    sent = event(request_id="release-41", service="cds-task")
    forged = {**sent, "actor": "canary", "detail": {"why": "canary"}, "request_id": "other"}
    append(audit, sent)
    for _ in range(2):
        assert append(audit, forged) == ["conflict"]
    assert append(audit, {**forged, "actor": "another"}) == ["conflict"]
    recorded = ask(
        audit,
        "SELECT seq, source, request_id, service, detail ->> 'event_id', detail ->> 'seq', detail -> 'differing'"
        " FROM audit_events WHERE event_type = 'audit.conflict' ORDER BY seq",
    )
    about = ("cas-audit", "release-41", "cds-task", sent["event_id"], "1", ["actor", "detail", "request_id"])
    assert recorded == [(2, *about), (3, *about)]
    assert ask(audit, "SELECT FROM audit_events WHERE audit_events::text ~ 'canary|another'") == []
    [(stored,)] = ask(audit, "SELECT detail ->> 'stored_payload_hash' FROM audit_events WHERE seq = 2")
    assert ask(audit, "SELECT payload_hash FROM audit_events WHERE seq = 1") == [(stored,)]
    assert ask(audit, BROKEN_LINKS) == []


def test_the_caller_has_no_say_in_number_time_and_hashes(audit: Database) -> None:
    append(
        audit, event(seq=77, recorded_at="1999-01-01T00:00:00Z", hash="forged", prev_hash="forged", payload_hash="x")
    )
    assert ask(audit, "SELECT seq, recorded_at > now() - interval '1 hour' FROM audit_events") == [(1, True)]
    assert ask(audit, BROKEN_LINKS) == []


def test_sixty_four_writers_at_once_make_one_chain(audit: Database) -> None:
    shared = event()
    with ThreadPoolExecutor(64) as writers:
        results = list(writers.map(lambda _: append(audit, event(), shared, event()), range(64)))
    assert sum(result.count("stored") for result in results) == 129
    assert sum(result.count("repeated") for result in results) == 63
    assert ask(audit, BROKEN_LINKS) == []
    assert ask(audit, "SELECT count(*), max(seq) FROM audit_events") == [(129, 129)]


def test_a_batch_that_fails_leaves_no_gap(audit: Database) -> None:
    with pytest.raises(psycopg.errors.NotNullViolation):
        append(audit, event(), event(source=None))
    assert append(audit, event()) == ["stored"]
    assert ask(audit, "SELECT seq FROM audit_events") == [(1,)]


@pytest.mark.parametrize(
    "change", ["UPDATE audit_events SET outcome = 'fine'", "DELETE FROM audit_events", "TRUNCATE audit_events"]
)
@pytest.mark.parametrize("session", ["origin", "replica"])
def test_what_is_recorded_cannot_be_changed_even_by_the_owner(audit: Database, change: str, session: str) -> None:
    """`session_replication_role = replica` silences ordinary triggers."""
    append(audit, event())
    with audit.connect() as connection:
        connection.execute(f"SET session_replication_role = {session}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute(change)
    assert ask(audit, "SELECT count(*) FROM audit_events") == [(1,)]


def test_a_changed_row_no_longer_matches_its_hash(audit: Database) -> None:
    """Shows that BROKEN_LINKS, on which the tests above lean, finds something."""
    append(audit, event(), event(), event())
    with audit.connect() as connection:
        connection.execute("ALTER TABLE audit_events DISABLE TRIGGER refuse_change")
        connection.execute("UPDATE audit_events SET outcome = 'fine' WHERE seq = 2")
    assert ask(audit, BROKEN_LINKS) == [(2,)]


def test_the_chain_goes_on_where_it_was_after_its_function_came_back(database: Database) -> None:
    """Only the function can go from under events: audit_0003 and whatever is above it stay."""
    alembic(BY_FOLDER["cas_service"], database, "upgrade", "audit_0002")
    append(database, event(), event())
    alembic(BY_FOLDER["cas_service"], database, "downgrade", "audit_0001")
    alembic(BY_FOLDER["cas_service"], database, "upgrade", "head")
    audit = database
    append(audit, event())
    assert ask(audit, "SELECT count(*) FROM audit_events") == [(3,)]
    assert ask(audit, BROKEN_LINKS) == []


GUARDED = [f"audit_{number:04}" for number in range(12, 2, -1)]
OBJECTS = """
SELECT proname, 'function' FROM pg_proc WHERE pronamespace = 'audit'::regnamespace
UNION ALL SELECT relname, relkind::text FROM pg_class WHERE relnamespace = 'audit'::regnamespace
UNION ALL SELECT tgname, tgenabled::text FROM pg_trigger WHERE tgrelid = 'public.audit_events'::regclass
ORDER BY 1, 2
"""


def at(revision: str, database: Database) -> str:
    """Brings it there and gives the revision below."""
    alembic(BY_FOLDER["cas_service"], database, "upgrade", revision)
    return f"audit_{int(revision[-4:]) - 1:04d}"


def objects(database: Database) -> list[Any]:
    return [*ask(database, OBJECTS), *sorted(catalog(database), key=str)]


@pytest.mark.parametrize("revision", GUARDED)
def test_no_revision_is_taken_back_from_under_an_event(revision: str, database: Database) -> None:
    """Each where it is the newest, and before anything of it is dropped."""
    below = at(revision, database)
    append(database, event())
    before = objects(database)
    with pytest.raises(AssertionError, match=f"downgrade {below}"):
        alembic(BY_FOLDER["cas_service"], database, "downgrade", below)
    assert objects(database) == before
    assert ask(database, "SELECT version_num FROM alembic_version") == [(revision,)]
    assert ask(database, "SELECT count(*) FROM audit_events") == [(1,)]


def test_whoever_takes_the_audit_back_from_under_events_is_not_told_to_correct_the_revision(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = BY_FOLDER["cas_service"]
    below = at(GUARDED[0], database)
    append(database, event())
    monkeypatch.setenv("DATABASE_URL", service.url(database))
    arguments = ["downgrade", below, "--json", "--config", str(service.path / "alembic.ini")]
    error = json.loads(CliRunner().invoke(app, arguments).stdout)["error"]
    assert (error["code"], error["sqlstate"]) == ("CM-401", "55000")
    assert error["next_step"].startswith("Leave the database at its revision, or remove first")
    assert "is not taken back while it does" in error["server_message"]
    assert error["server_message"] not in error["detail"]


@pytest.mark.parametrize("revision", GUARDED)
def test_a_revision_of_an_audit_that_holds_nothing_goes_down_and_up(revision: str, database: Database) -> None:
    below = at(revision, database)
    before = objects(database)
    alembic(BY_FOLDER["cas_service"], database, "downgrade", below)
    assert objects(database) != before
    alembic(BY_FOLDER["cas_service"], database, "upgrade", revision)
    assert objects(database) == before


def test_an_audit_that_holds_events_comes_up_from_the_landed_history_with_its_chain(database: Database) -> None:
    """What was refused before the table for it was there is gone, and its conflict does not say otherwise."""
    alembic(BY_FOLDER["cas_service"], database, "upgrade", "audit_0009")
    sent = event()
    append(database, sent, {**sent, "actor": "before"})
    stored = ask(database, "SELECT * FROM audit_events ORDER BY seq")
    alembic(BY_FOLDER["cas_service"], database, "upgrade", "head")
    assert ask(database, "SELECT * FROM audit_events ORDER BY seq") == stored
    assert append(database, {**sent, "actor": "before"}, {**sent, "actor": "after"}) == ["conflict", "conflict"]
    assert ask(database, "SELECT conflict_seq, refused ->> 'actor' FROM audit.contested") == [(3, "after")]
    kept = "SELECT seq, detail ? 'refused_in' FROM audit_events WHERE event_type = 'audit.conflict' ORDER BY seq"
    assert ask(database, kept) == [(2, False), (3, True)]
    assert ask(database, BROKEN_LINKS) == []


def test_no_revision_is_taken_back_from_under_an_anchor_whose_events_are_gone(audit: Database) -> None:
    with audit.connect() as connection:
        connection.execute(
            "INSERT INTO audit.signing_keys (number, key_id, public_key, after_seq) VALUES (1,'k','p',0)"
        )
        columns = "(seq, line, signature, sha256, previous_sha256, key_id)"
        connection.execute(f"INSERT INTO audit.anchors {columns} VALUES (1, 'l', 's', 'a', 'b', 'k')")
    for revision in ("audit_0008", "audit_0005", "base"):
        with pytest.raises(AssertionError, match=f"downgrade {revision}"):
            alembic(BY_FOLDER["cas_service"], audit, "downgrade", revision)
    assert ask(audit, "SELECT version_num FROM alembic_version") == [("audit_0012",)]


def test_a_person_who_takes_the_audit_back_is_told_why_not(audit: Database) -> None:
    append(audit, event())
    command = [sys.executable, "-m", "alembic", "downgrade", "-1"]
    environment = {**os.environ, "DATABASE_URL": audit.url}
    folder = BY_FOLDER["cas_service"].path
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "the audit holds events or anchors, and is not taken back while it does" in ended.stdout


def test_a_downgrade_does_not_drop_recorded_events(audit: Database) -> None:
    append(audit, event())
    with pytest.raises(AssertionError, match="downgrade base"):
        alembic(BY_FOLDER["cas_service"], audit, "downgrade", "base")
    assert ask(audit, "SELECT count(*) FROM audit_events") == [(1,)]


def test_only_who_was_granted_the_function_may_append(audit: Database) -> None:
    with audit.connect() as connection:
        connection.execute("CREATE ROLE stranger; GRANT USAGE ON SCHEMA audit TO stranger; SET ROLE stranger")
        try:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append_events"):
                connection.execute("SELECT audit.append_events('[]')")
            connection.execute(
                "RESET ROLE; GRANT EXECUTE ON FUNCTION audit.append_events TO stranger; SET ROLE stranger"
            )
            connection.execute("SELECT audit.append_events(%s::jsonb)", [json.dumps([event()])])
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="audit_events"):
                connection.execute("SELECT * FROM audit_events")
        finally:
            connection.execute("RESET ROLE; DROP OWNED BY stranger; DROP ROLE stranger")


@pytest.mark.parametrize(
    "moment", ["infinity", "-infinity", "2026-01-02 03:04:05 BC", "12026-01-02T03:04:05Z", "9999-12-31T23:59:59-01:00"]
)
def test_a_time_that_its_hash_could_not_tell_from_another_is_refused(audit: Database, moment: str) -> None:
    with pytest.raises(psycopg.errors.DataException, match="year"):
        append(audit, event(occurred_at=moment))
    assert append(audit, event(occurred_at="0001-01-01T00:00:00Z"), event(occurred_at="9999-12-31T23:59:59.999999Z"))


@pytest.mark.parametrize(
    "forged",
    [
        {"event_type": "audit.conflict"},
        {"event_type": "audit.segment_retired"},
        {"event_type": ["audit.conflict"]},
        {"source": "cas-audit"},
    ],
)
def test_nobody_speaks_for_the_audit_but_itself(audit: Database, forged: dict[str, Any]) -> None:
    with pytest.raises(psycopg.errors.DataException, match="the audit itself"):
        append(audit, event(), event(**forged))
    assert ask(audit, "SELECT FROM audit_events") == []
    assert append(audit, event(source="cas-audit/journal")) == ["stored"]


def test_a_writer_that_stops_before_its_commit_lets_the_others_in_soon(audit: Database) -> None:
    with audit.connect() as stuck:
        stuck.autocommit = False
        stuck.execute("SELECT audit.append_events(%s::jsonb)", [json.dumps([event()])])
        assert stuck.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("10s",)
        stuck.execute("SET LOCAL idle_in_transaction_session_timeout = '100ms'")
        assert append(audit, event()) == ["stored"]
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            stuck.execute("SELECT 1")
    assert ask(audit, "SELECT count(*) FROM audit_events") == [(1,)]

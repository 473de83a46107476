"""What an auditor asks, each in one line of SQL, and what a reader who is held to some services sees of it."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.integration.databases import Database

SHA = "ab" * 32


def event(event_type: str, occurred_at: str = "2026-03-04T10:00:00Z", **facts: Any) -> dict[str, Any]:
    fresh = {"event_id": str(uuid4()), "event_type": event_type, "occurred_at": occurred_at, "source": "test"}
    return {**fresh, "request_id": "release-41", **facts}


def applied(service: str, revision: str, *tables: str, **facts: Any) -> dict[str, Any]:
    detail = {"revision": revision, "sha256": SHA, "tables": list(tables), "way_in": "endpoint", "attempt": 1}
    told = {"service": service, "database": service.replace("-", "_"), "actor": "ada", "duration_ms": 12}
    given = {"event_type": "revision.applied", **told, "outcome": "applied", "to_revision": revision, **facts}
    return event(**{**given, "detail": {**detail, **facts.get("detail", {})}})


STORY = [
    event("migration.requested", actor="ada", detail={"reason": "ticket 7", "services": ["cds-task", "cds-client"]}),
    event("migration.approved", actor="grace"),
    event("migration.started", actor="ada"),
    applied("cds-task", "task_0001", "public.tasks", "public.processed_events"),
    applied("cds-task", "task_0002", "public.tasks"),
    event("migration.step_finished", service="cds-task", outcome="succeeded"),
    event("attempt.failed", service="cds-client", outcome="CM-401", detail={"error": "it broke", "revision": "c_0001"}),
    event(
        "migration.step_finished",
        service="cds-client",
        outcome="failed",
        detail={"error": {"code": "CM-401", "detail": "it broke"}},
    ),
    event("migration.finished", "2026-03-04T10:05:00Z", outcome="failed"),
    applied(
        "cds-client",
        "client_0001",
        "public.clients",
        occurred_at="2026-03-07T23:30:00Z",
        request_id=None,
        actor="eve@laptop",
        detail={"way_in": "by hand", "actor_basis": "operating system"},
    ),
]


@pytest.fixture
def told(audit: Database) -> Database:
    with audit.connect() as connection:
        connection.execute("SELECT audit.append_events(%s::jsonb)", [json.dumps(STORY)])
    return audit


def ask(audit: Database, question: str, login: str = "cas_reader") -> list[tuple[Any, ...]]:
    with audit.connect() as connection:
        connection.execute(f"SET SESSION AUTHORIZATION {login}")
        return connection.execute(question).fetchall()


def test_which_revision_went_where_when_by_whom_on_whose_approval_and_with_what_result(told: Database) -> None:
    question = (
        "SELECT service, revision, result, occurred_at::date::text, actor, approved_by, request_id, request_outcome,"
        " sha256, duration_ms FROM audit.revisions ORDER BY seq"
    )
    day, rest = "2026-03-04", (SHA, 12)
    assert ask(told, question) == [
        ("cds-task", "task_0001", "applied", day, "ada", "grace", "release-41", "failed", *rest),
        ("cds-task", "task_0002", "applied", day, "ada", "grace", "release-41", "failed", *rest),
        ("cds-client", "client_0001", "applied", "2026-03-07", "eve@laptop", None, None, None, *rest),
    ]


def test_who_changed_this_table_last(told: Database) -> None:
    last = "SELECT revision FROM audit.table_changes WHERE table_name = '{}' ORDER BY seq DESC LIMIT 1"
    assert ask(told, last.format("public.tasks")) == [("task_0002",)]
    assert ask(told, last.format("public.processed_events")) == [("task_0001",)]
    assert ask(told, last.format("public.nothing")) == []


@pytest.mark.parametrize("tables", ["public.tasks", [["public.tasks"]], [None], ["x" * 5000], ["a", "a"], {}])
def test_odd_words_about_tables_keep_no_event_out(audit: Database, tables: Any) -> None:
    with audit.connect() as connection:
        sent = applied("cds-task", "task_0001", detail={"tables": tables})
        with connection.transaction():
            rows = connection.execute("SELECT result FROM audit.append_events(%s::jsonb)", [json.dumps([sent])])
            assert rows.fetchall() == [("stored",)]


def test_what_failed_this_quarter(told: Database) -> None:
    quarter = "occurred_at >= '2026-01-01' AND occurred_at < '2026-04-01'"
    question = f"SELECT event_type, service, code, said FROM audit.failures WHERE {quarter} ORDER BY seq"
    assert ask(told, question) == [
        ("attempt.failed", "cds-client", "CM-401", "it broke"),
        ("migration.step_finished", "cds-client", "CM-401", "it broke"),
        ("migration.finished", None, None, None),
    ]
    assert ask(told, "SELECT FROM audit.failures WHERE occurred_at >= '2026-04-01'") == []


def test_what_was_done_by_hand(told: Database) -> None:
    question = "SELECT service, revision, actor, actor_basis FROM audit.by_hand"
    assert ask(told, question) == [("cds-client", "client_0001", "eve@laptop", "operating system")]


def test_a_run_is_one_row(told: Database) -> None:
    question = (
        "SELECT requested_by, approved_by, reason, outcome, steps, steps_failed, revisions, finished_at - requested_at"
        " FROM audit.runs WHERE request_id = 'release-41'"
    )
    [(*facts, lasted)] = ask(told, question)
    assert facts == ["ada", "grace", "ticket 7", "failed", 2, 1, 2]
    assert lasted.total_seconds() == 300


def test_what_the_first_release_recorded_of_a_request_is_told_too(audit: Database) -> None:
    asked = {"reason": "ticket 6", "action": "upgrade", "services": "all"}
    with audit.connect() as connection:
        old = [event("migration.requested", actor="ada", detail={"request": asked})]
        connection.execute("SELECT audit.append_events(%s::jsonb)", [json.dumps(old)])
    assert ask(audit, "SELECT reason, action, services FROM audit.runs") == [("ticket 6", "upgrade", "all")]


ALL = {"task_0001", "task_0002", "client_0001"}
WITHIN_AND_OUTSIDE = {
    "no window says nothing": ("", set()),
    "in working hours": ("(NULL, '{1,2,3,4,5}', '09:00', '18:00', 'UTC')", {"client_0001"}),
    "the end is outside": ("(NULL, '{1,2,3,4,5,6,7}', '09:00', '10:00', 'UTC')", ALL),
    "another hour of the world": ("(NULL, '{3}', '18:00', '20:00', 'Asia/Tokyo')", {"client_0001"}),
    "over midnight, from the day it opens": ("(NULL, '{6}', '22:00', '02:00', 'UTC')", {"task_0001", "task_0002"}),
    "over midnight, on the next day": ("(NULL, '{6}', '22:00', '02:00', 'Etc/GMT-2')", {"task_0001", "task_0002"}),
    "over midnight, from another day": ("(NULL, '{7}', '22:00', '02:00', 'UTC')", ALL),
    "all day": ("(NULL, '{3,6}', '00:00', '00:00', 'UTC')", set()),
    "of another service": ("('cds-task', '{1}', '09:00', '18:00', 'UTC')", {"task_0001", "task_0002"}),
    "of several, one is enough": (
        "('cds-task', '{3}', '09:00', '18:00', 'UTC'), (NULL, '{6}', '23:00', '00:00', 'UTC')",
        set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("windows", "outside"), WITHIN_AND_OUTSIDE.values(), ids=WITHIN_AND_OUTSIDE)
def test_what_ran_outside_a_window(told: Database, windows: str, outside: set[str]) -> None:
    """Wednesday at 10:00 UTC and Saturday at 23:30 UTC; Etc/GMT-2 is two hours ahead, where that is Sunday at 01:30."""
    if windows:
        with told.connect() as connection:
            columns = "(service, weekdays, opens, closes, time_zone)"
            connection.execute(f"INSERT INTO audit.windows {columns} VALUES {windows}")
    assert {revision for (revision,) in ask(told, "SELECT revision FROM audit.outside_windows")} == outside


@pytest.mark.parametrize("window", ["'{8}', 'UTC'", "'{1}', 'Nowhere/Land'"])
def test_a_window_that_can_never_be_is_refused(audit: Database, window: str) -> None:
    with audit.connect() as connection, pytest.raises((psycopg.errors.DataError, psycopg.errors.CheckViolation)):
        connection.execute(
            f"INSERT INTO audit.windows (opens, closes, weekdays, time_zone) VALUES ('09:00', '10:00', {window})"
        )


VIEWS = ("events", "revisions", "table_changes", "failures", "outside_windows", "by_hand")
LEAK = """
CREATE FUNCTION pg_temp.shout(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
AS $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$
"""


@pytest.fixture
def held(told: Database) -> Any:
    """A login that may see cds-task only."""
    with told.connect() as connection:
        connection.execute("CREATE ROLE held LOGIN IN ROLE cas_reader")
        connection.execute("INSERT INTO audit.reader_services VALUES ('held', 'cds-task')")
        connection.execute("INSERT INTO audit.windows (opens, closes) VALUES ('00:00', '00:01')")
        connection.execute(f"GRANT TEMPORARY ON DATABASE {told.name} TO held")
        try:
            yield told
        finally:
            connection.execute("DROP OWNED BY held; DROP ROLE held")


@pytest.mark.parametrize("view", VIEWS)
def test_a_reader_held_to_a_service_sees_no_other(held: Database, view: str) -> None:
    services = f"SELECT DISTINCT service FROM audit.{view}"
    everything = {service for (service,) in ask(held, services)}
    assert {service for (service,) in ask(held, services, "held")} == everything & {"cds-task"}
    assert everything != {"cds-task"}


def test_a_reader_held_to_a_service_stays_held_in_another_role(held: Database) -> None:
    with held.connect() as connection:
        connection.execute("SET SESSION AUTHORIZATION held; SET ROLE cas_reader")
        assert connection.execute("SELECT DISTINCT service FROM audit.events").fetchall() == [("cds-task",)]


def test_a_reader_is_held_by_the_groups_it_is_in_and_a_superuser_by_none(told: Database) -> None:
    with told.connect() as connection:
        connection.execute(
            "CREATE ROLE team IN ROLE cas_reader; CREATE ROLE part IN ROLE team; CREATE ROLE kim IN ROLE part"
        )
        connection.execute(
            "INSERT INTO audit.reader_services VALUES ('team', 'cds-task'), ('nobody there', 'cds-client')"
        )
        try:
            everything = connection.execute("SELECT count(*) FROM audit.events").fetchone()
            connection.execute("SET ROLE cas_reader")
            assert connection.execute("SELECT count(*) FROM audit.events").fetchone() == everything
            for become in ("SET SESSION AUTHORIZATION kim", "SET ROLE cas_reader"):
                connection.execute(become)
                assert connection.execute("SELECT DISTINCT service FROM audit.events").fetchall() == [("cds-task",)]
        finally:
            connection.execute("RESET SESSION AUTHORIZATION; DROP ROLE kim, part, team")


def test_a_function_of_the_readers_own_is_not_shown_what_the_reader_is_not(held: Database) -> None:
    with held.connect() as connection:
        heard: list[str] = []
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
        connection.execute("SET SESSION AUTHORIZATION held; SET client_min_messages = notice")
        connection.execute(LEAK)
        connection.execute("SELECT FROM audit.events WHERE pg_temp.shout(service)")
    assert set(heard) == {"cds-task"}

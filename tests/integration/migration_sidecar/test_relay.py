"""The journal's way to the audit, through an HTTP server that stands in for daprd."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import migration_sidecar.engine.journal_relay
from migration_sidecar.contract.audit import AuditBatch
from migration_sidecar.engine.engine import Engine
from scripts.infrastructure import ports
from signed_calls.key_folder import make_key, public_folder
from signed_calls.keys import PublicKeys
from signed_calls.signer import Signer
from signed_calls.verification import Verifier
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, rows, until
from tests.integration.migration_sidecar.hostile_rows import write_by_hand


class Audit:
    """Answers each batch with the next of `answers`, at last with 200; None keeps the batch and hangs up.

    It refuses what holds an event of one of the types in `never`, as long as there are any.
    """

    def __init__(self, *answers: int | None, never: tuple[str, ...] = (), conflicts: tuple[str, ...] = ()) -> None:
        self.answers = list(answers)
        self.never, self.conflicts = never, conflicts
        self.refusal = (422, {"code": "CM-603", "detail": "It has no such type."})
        self.keys: PublicKeys | None = None  # where it has some, it demands signatures
        self.short_receipts = 0  # so many receipts leave an event out
        self.batches: list[list[dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def event_types(self) -> list[str]:
        return [event["event_type"] for batch in self.batches for event in batch]

    @property
    def event_ids(self) -> list[str]:
        return [event["event_id"] for batch in self.batches for event in batch]

    def take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        if request.path != "/v1.0/invoke/cas-audit/method/audit/events":
            return request.send_error(404)
        batch = AuditBatch.model_validate_json(body)
        if any(event.event_type in self.never for event in batch.events):
            return self.reply(request, *self.refusal)
        if self.keys is not None:
            caller = Verifier(self.keys, "cas-audit").verify("POST", "/audit/events", request.headers.items(), body)
            assert caller.name == "orders"
        answer = self.answers.pop(0) if self.answers else 200
        if answer is None or answer < 300:
            self.batches.append(json.loads(body)["events"])
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if answer is None:
            return request.connection.close()
        conflicts = [str(event.event_id) for event in batch.events if event.event_type in self.conflicts]
        left_out = 1 if self.short_receipts > 0 else 0
        self.short_receipts -= left_out
        stored = len(batch.events) - len(conflicts) - left_out
        receipt = {"stored": stored, "repeated": 0, "conflicts": conflicts}
        return self.reply(request, answer, receipt if answer < 300 else {})

    def reply(self, request: BaseHTTPRequestHandler, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        request.send_response(status)
        request.send_header("content-length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)


@contextmanager
def served(audit: Audit, port: int) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with suppress(OSError):
                audit.take(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@asynccontextmanager
async def relaying(engine: Engine, signer: Signer | None = None) -> AsyncIterator[None]:
    task = asyncio.create_task(engine.relay.run(signer))
    try:
        yield
    finally:
        assert not task.done(), "the relay gave up"
        task.cancel()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration_sidecar.engine.journal_relay, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(migration_sidecar.engine.journal_relay, "LONGEST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(migration_sidecar.engine.journal_relay, "REFUSED_RETRY_SECONDS", 0.2)


@pytest.fixture
def port() -> int:
    return ports.choose(1)[0]


@pytest.fixture
async def migrated(environment: Environment, start_engine: StartEngine, port: int) -> Engine:
    """Two revisions applied, a third that failed."""
    environment.revision("a1")
    environment.revision("a2", "with op.get_context().autocommit_block():\n    pass")
    environment.revision("a3", 'op.execute("SELECT 1/0")')
    engine = start_engine(environment, DAPR_HTTP_PORT=str(port))
    await carry_out(engine, request_id="run-1")
    return engine


EXPECTED = ["attempt.started", "revision.applied", "revision.started", "revision.applied", "attempt.failed"]
WAITING = "SELECT count(*) FROM migration_sidecar.journal WHERE relayed_at IS NULL"


def all_relayed(database: Database) -> bool:
    return rows(database, WAITING) == [(0,)]


async def test_journal_rows_arrive_once_and_in_their_order(migrated: Engine, port: int, database: Database) -> None:
    audit = Audit()
    with served(audit, port):
        async with relaying(migrated):
            await until(lambda: all_relayed(database))
            await asyncio.sleep(0.3)
    assert audit.event_types == EXPECTED
    journal = rows(
        database,
        "SELECT event_id::text FROM migration_sidecar.journal WHERE kind <> 'started' ORDER BY seq",
    )
    assert [(event_id,) for event_id in audit.event_ids] == journal
    (events,) = audit.batches
    assert {(event["service"], event["request_id"], event["actor"]) for event in events} == {("orders", "run-1", "ada")}
    assert (events[1]["from_revision"], events[1]["to_revision"]) == (None, "a1")
    assert (events[3]["from_revision"], events[3]["to_revision"]) == ("a1", "a2")
    assert events[-1]["outcome"] == "CM-401"


async def test_an_audit_that_is_away_at_first_gets_everything_later(
    migrated: Engine, port: int, database: Database
) -> None:
    audit = Audit()
    async with relaying(migrated):
        await asyncio.sleep(0.4)
        assert not all_relayed(database)
        with served(audit, port):
            await until(lambda: all_relayed(database))
    assert audit.event_types == EXPECTED


@pytest.mark.parametrize("answer", [500, 503, 404, 429, 400, 401, 403])
async def test_rows_are_marked_only_after_the_audit_took_them(
    answer: int, migrated: Engine, port: int, database: Database
) -> None:
    audit = Audit(*[answer] * 3)
    with served(audit, port):
        async with relaying(migrated):
            await until(lambda: len(audit.answers) < 3)
            assert rows(database, WAITING) != [(0,)] or not audit.answers
            await until(lambda: all_relayed(database))
    assert audit.answers == []
    assert audit.event_types == EXPECTED


async def test_a_lost_answer_repeats_the_same_events_under_the_same_ids(
    migrated: Engine, port: int, database: Database
) -> None:
    audit = Audit(None)
    with served(audit, port):
        async with relaying(migrated):
            await until(lambda: all_relayed(database))
    first, second = audit.batches
    assert first == second


async def test_a_receipt_that_leaves_an_event_out_counts_for_none_of_them(
    migrated: Engine, port: int, database: Database
) -> None:
    audit = Audit()
    audit.short_receipts = 1
    with served(audit, port):
        async with relaying(migrated):
            await until(lambda: all_relayed(database))
    first, second = audit.batches
    assert first == second


async def test_a_long_journal_is_passed_on_in_batches_without_pausing(
    migrated: Engine, port: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_sidecar.engine.journal_relay, "BATCH", 2)
    monkeypatch.setattr(migration_sidecar.engine.journal_relay, "IDLE_SECONDS", 60)
    audit = Audit()
    with served(audit, port):
        async with relaying(migrated):
            await until(lambda: all_relayed(database))
    assert audit.event_types == EXPECTED
    assert len(audit.batches) > 1


async def test_sessions_that_are_ended_do_not_end_the_relay(migrated: Engine, port: int, database: Database) -> None:
    audit = Audit()
    with served(audit, port):
        async with relaying(migrated):
            for _ in range(3):
                rows(
                    database,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
                )
                await asyncio.sleep(0.1)
            await until(lambda: all_relayed(database))
    assert list(dict.fromkeys(audit.event_ids)) == audit.event_ids[: len(EXPECTED)]


async def test_a_row_that_nobody_can_read_keeps_no_other_from_the_audit_and_is_tried_again(
    migrated: Engine, port: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stumbles = [ValueError("a row of a kind that is not known yet")] * 2
    understand = migration_sidecar.engine.journal_relay.audit_event

    def stumble(*row: Any) -> Any:
        if stumbles:
            raise stumbles.pop()
        return understand(*row)

    monkeypatch.setattr(migration_sidecar.engine.journal_relay, "audit_event", stumble)
    audit = Audit()
    with served(audit, port):
        async with relaying(migrated):
            await until(lambda: all_relayed(database))
    assert audit.event_types == [*EXPECTED[2:], *EXPECTED[:2]]


async def test_every_batch_is_signed_anew_by_the_service_for_the_audit(
    migrated: Engine, port: int, database: Database, tmp_path: Path
) -> None:
    key = make_key(tmp_path, "orders")
    audit = Audit(500, None)
    audit.keys = PublicKeys(public_folder(tmp_path))
    with served(audit, port):
        async with relaying(migrated, Signer(lambda: key)):
            await until(lambda: all_relayed(database))
    nonces = [headers["signature-input"].split("nonce=")[1][:24] for headers in audit.headers]
    assert len(nonces) == len(set(nonces)) >= 2
    assert audit.event_types[-len(EXPECTED) :] == EXPECTED


@pytest.mark.parametrize(
    "refusal",
    [
        (422, {"code": "CM-603", "detail": "It has no such type."}),
        (403, {"code": "CM-109", "detail": "It has no such type."}),  # it is of a service whose name is not ours
    ],
    ids=["its content", "its source"],
)
async def test_an_event_the_audit_never_takes_holds_up_no_other_and_is_never_forgotten(
    migrated: Engine,
    port: int,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    refusal: tuple[int, dict[str, str]],
) -> None:
    audit = Audit(never=("revision.started",))
    audit.refusal = refusal
    waiting = "SELECT kind FROM migration_sidecar.journal WHERE relayed_at IS NULL"
    with served(audit, port):
        async with relaying(migrated):
            await until(lambda: rows(database, waiting) == [("nontx_started",)])
            refusals = [record for record in caplog.records if record.message == "audit_refuses_an_event"]
            assert [vars(record)["reason"] for record in refusals[:1]] == ["It has no such type."]
            assert audit.event_types == [kind for kind in EXPECTED if kind != "revision.started"]
            audit.never = ()
            await until(lambda: all_relayed(database))
    assert sorted(audit.event_types) == sorted(EXPECTED)


QUOTING = {
    "a_trigger": """op.execute("DO $$ BEGIN RAISE EXCEPTION 'c4n4ry'; END $$")""",
    "a_false_duplicate": """op.execute("DO $$ BEGIN RAISE 'c4n4ry' USING ERRCODE = '23505'; END $$")""",
    "a_value_of_another_type": """op.execute("SELECT CAST(CAST('c4n4ry' AS text) AS int)")""",
    "a_duplicate": """op.execute("CREATE TABLE u (a text UNIQUE); INSERT INTO u VALUES ('c4n4ry'), ('c4n4ry')")""",
    "sql_that_is_none": """op.execute("SELECT 'x' c4n4ry c4n4ry")""",
    "python": """raise ValueError("no c4n4ry\\nhere: c4n4ry")""",
    "an_address": """raise RuntimeError("postgresql://ada:c4n4ry@host/db")""",
}


@pytest.mark.parametrize("body", QUOTING.values(), ids=QUOTING.keys())
async def test_what_an_error_quotes_stays_in_the_service(
    body: str, environment: Environment, start_engine: StartEngine, port: int, database: Database
) -> None:
    environment.revision("a1", body)
    engine = start_engine(environment, DAPR_HTTP_PORT=str(port))
    await carry_out(engine)
    audit = Audit()
    with served(audit, port):
        async with relaying(engine):
            await until(lambda: all_relayed(database))
    ((_, failed),) = audit.batches
    assert "c4n4ry" not in json.dumps(audit.batches)
    assert failed["detail"]["error"].startswith("Revision a1 stopped with ")
    assert failed["detail"]["error"].endswith("; it was undone.")


async def test_a_conflict_is_told_loudly_and_holds_nothing_up(
    migrated: Engine, port: int, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    audit = Audit(conflicts=("revision.started",))
    with served(audit, port):
        async with relaying(migrated):
            await until(lambda: all_relayed(database))
    assert [record.levelname for record in caplog.records if record.message == "audit_conflict"] == ["ERROR"]


async def test_what_waits_for_the_audit_shows_in_the_status_and_in_readiness(
    migrated: Engine, port: int, database: Database
) -> None:
    assert (await migrated.reader.status()).audit_backlog is None
    rows_ago(database, seconds=60)
    backlog = (await migrated.reader.status()).audit_backlog
    assert backlog is not None
    assert backlog.events == len(EXPECTED)
    assert (
        f" {len(EXPECTED)} events have been waiting for the audit since 20" in (await migrated.startup.readiness())[1]
    )
    with served(Audit(), port):
        async with relaying(migrated):
            await until(lambda: all_relayed(database))
    assert (await migrated.reader.status()).audit_backlog is None


def rows_ago(database: Database, *, seconds: int) -> None:
    with database.connect() as connection:
        connection.execute(f"UPDATE migration_sidecar.journal SET at = at - interval '{seconds} seconds'")


async def test_the_relay_shows_the_token_of_its_sidecar(
    migrated: Engine, port: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAPR_API_TOKEN", "token of daprd")
    audit = Audit()
    with served(audit, port):
        async with relaying(migrated):
            await until(lambda: all_relayed(database))
    assert audit.headers[0]["dapr-api-token"] == "token of daprd"


@pytest.fixture
def neighbours(make_environment: MakeEnvironment, start_engine: StartEngine, port: int) -> list[Engine]:
    """Two services with a history each in one database; neither may lose what the other did, or tell it twice."""
    engines = []
    for service in ("billing", "shipping"):
        environment = make_environment(name=service)
        environment.ini.write_text(environment.ini.read_text().replace("service = orders", f"service = {service}"))
        env = environment.folder / "alembic" / "env.py"
        env.write_text(env.read_text().replace("connection=connection,", f"{ELSEWHERE}'{service}_version',"))
        environment.revision(service)
        engines.append(start_engine(environment, DAPR_HTTP_PORT=str(port)))
    return engines


ELSEWHERE = "connection=connection, version_table="


@pytest.mark.parametrize("relays", [1, 2])
async def test_services_that_share_a_journal_lose_nothing_and_are_told_apart(
    relays: int, neighbours: list[Engine], port: int, database: Database
) -> None:
    for engine in neighbours:
        await carry_out(engine)
    audit = Audit()
    with served(audit, port):
        async with AsyncExitStack() as relaying_all:
            for engine in neighbours[:relays]:
                await relaying_all.enter_async_context(relaying(engine))
            await until(lambda: all_relayed(database))
            await asyncio.sleep(0.2)
    events = {event["event_id"]: event for batch in audit.batches for event in batch}
    assert all(event == events[event["event_id"]] for batch in audit.batches for event in batch)
    told = [(event["service"], event["event_type"]) for event in events.values()]
    expected = [(service, kind) for service in ("billing", "shipping") for kind in EXPECTED[:2]]
    assert sorted(told) == sorted(expected)


async def test_rows_that_nobody_can_read_hold_up_no_other(
    migrated: Engine, port: int, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    hostile = write_by_hand(database)
    await carry_out(migrated, request_id="run-2")  # behind them
    audit = Audit()
    with served(audit, port):
        async with relaying(migrated):
            await until(lambda: rows(database, WAITING) == [(hostile,)])
            await asyncio.sleep(0.3)
    assert audit.event_types.count("attempt.started") == 2
    assert len(set(audit.event_ids)) == len(audit.event_ids)
    assert "relay_stumbled" not in caplog.text


async def test_a_receipt_without_an_end_is_read_only_so_far(migrated: Engine, port: int, database: Database) -> None:
    class Endless(Audit):
        def reply(self, request: BaseHTTPRequestHandler, status: int, document: dict[str, Any]) -> None:
            if len(self.batches) > 1:
                return super().reply(request, status, document)
            request.send_response(status)
            request.end_headers()
            for _ in range(1000):
                request.wfile.write(b" " * 65536)
            return None

    audit = Endless()
    with served(audit, port):
        async with relaying(migrated):
            await until(lambda: all_relayed(database))
    assert len(audit.batches) == 2

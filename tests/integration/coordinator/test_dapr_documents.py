"""Dapr state under a real daprd and a real PostgreSQL keeps the contract that the coordinator relies on."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest
import yaml

from coordinator.adapters.dapr_state import DaprDocuments
from coordinator.adapters.daprd import DaprHttpClient
from coordinator.audit.dead_letters import DeadLetters
from coordinator.audit.rejections import RateLimit
from coordinator.domain.dead_letters import letter_index
from coordinator.domain.dead_letters.letter import BecameRun, letter_of
from coordinator.domain.request import read_request
from coordinator.domain.request_parsing.cloud_event import ReceivedEvent
from coordinator.domain.run import Run
from coordinator.errors import NotJson
from coordinator.ports import DocumentStore
from coordinator.unavailable import StateUnavailable
from scripts.infrastructure import ports
from scripts.infrastructure.databases import prepare_state_store
from scripts.infrastructure.postgres import PostgresServer
from scripts.infrastructure.supervise import Program, dying_with_us
from tests.document_store_contract import DocumentStoreContract, fresh
from tests.unit.coordinator.at_the_doors import event

ROOT = Path(__file__).parents[3]
DAPRD = Path(sys.prefix) / "dapr" / ".dapr" / "bin" / "daprd"


@pytest.fixture(scope="module")
def sidecar(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A daprd with the committed state store and nothing else; gives its HTTP port."""
    directory = tmp_path_factory.mktemp("daprd")
    prepare_state_store(postgres.address)
    _write_component(directory / "components", postgres.address.url("migration_coordinator"))
    http, grpc, internal, metrics = ports.choose(4)
    command = [
        str(DAPRD),
        *("--app-id", "migration-coordinator", "--resources-path", str(directory / "components")),
        *("--dapr-http-port", str(http), "--dapr-grpc-port", str(grpc), "--metrics-port", str(metrics)),
        *("--dapr-internal-grpc-port", str(internal), "--dapr-listen-addresses", "127.0.0.1"),
        *("--dapr-internal-grpc-listen-address", "127.0.0.1", "--metrics-listen-address", "127.0.0.1"),
    ]
    program = Program("daprd", dying_with_us(command), directory, environment={"DAPR_HOST_IP": "127.0.0.1"})
    try:
        program.start()
        program.wait_until(lambda: _is_up(http), "its outbound health", timeout_seconds=60)
        yield http
    finally:
        program.stop()


def _write_component(directory: Path, connection: str) -> None:
    component = yaml.safe_load((ROOT / "components" / "statestore.yaml").read_text())
    for entry in component["spec"]["metadata"]:
        if entry["name"] == "connectionString":
            entry["value"] = connection
    # Actors need placement, which these tests do not.
    component["spec"]["metadata"] = [e for e in component["spec"]["metadata"] if e["name"] != "actorStateStore"]
    directory.mkdir()
    (directory / "statestore.yaml").write_text(yaml.safe_dump(component))


def _is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v1.0/healthz/outbound", trust_env=False).status_code == 204
    except httpx.HTTPError:
        return False


@pytest.fixture
async def caller(sidecar: int) -> AsyncIterator[DaprHttpClient]:
    async with DaprHttpClient(sidecar) as caller:
        yield caller


class TestDocumentsInDapr(DocumentStoreContract):
    @pytest.fixture
    def store(self, caller: DaprHttpClient) -> DocumentStore:
        return DaprDocuments(caller, "statestore")

    @pytest.fixture
    def run(self) -> Run:
        return Run.accept(read_request({"services": "all"}, default_request_id=fresh()), datetime.now(UTC))


@pytest.mark.parametrize("stored", [b"", b"no JSON", b"\xff\x00", b"null", b"[" * 20_000, b'{"open": 1}'], ids=repr)
async def test_bytes_that_somebody_else_wrote_spoil_no_other_document(
    caller: DaprHttpClient, postgres: PostgresServer, stored: bytes
) -> None:
    documents = DaprDocuments(caller, "statestore")
    spoilt, good = fresh(), fresh()
    for key in (spoilt, good):
        await documents.create(key, {"n": 1})
    connection = await asyncpg.connect(postgres.address.url("migration_coordinator"))
    try:
        written = "UPDATE dapr.state SET value = $1 WHERE key LIKE '%' || $2"
        assert await connection.execute(written, stored, spoilt) == "UPDATE 1"
    finally:
        await connection.close()
    found = await documents.read_many([spoilt, good])
    assert found[good].value == {"n": 1}
    assert not isinstance(found[spoilt].value, dict) or stored.startswith(b"{")
    assert await documents.read(spoilt) == found[spoilt]
    assert not await documents.create(spoilt, {"n": 2})
    assert await documents.replace(spoilt, {"n": 2}, found[spoilt].etag)


HOSTILE = "a\0\ud800\x1b[2J'\";--"


async def test_dead_letters_are_kept_found_and_replaced_whatever_is_in_them(
    caller: DaprHttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_index, "LIMIT", 3)
    letters = DeadLetters(DaprDocuments(caller, "statestore"), rate_limit=RateLimit(burst=1000))
    bodies = [event(fresh(), {"services": 7, "reason": HOSTILE}, source=HOSTILE) for _ in range(5)]
    bodies.append(b"\xff\x00 nonsense" + fresh().encode())
    at, kept = datetime.now(UTC), []
    for body in bodies:
        kept.append(letter_of(ReceivedEvent.parse(body), NotJson(HOSTILE), at, None))
        await letters.keep(kept[-1])
        await letters.keep(kept[-1])
    page = await letters.page(100, None)
    assert [(each.id, each.times) for each in page.letters] == [(each.id, 2) for each in kept[:2:-1]]
    assert (page.dropped, page.damaged) == (3, [])
    run = BecameRun(request_id="r-1", at=at, by="ada")
    await letters.change(kept[-1].id, lambda one: one.becoming(run))
    assert (await letters.find(str(kept[-1].id))).run == run


async def test_a_store_that_daprd_does_not_have_is_unavailable_and_says_so(caller: DaprHttpClient) -> None:
    documents = DaprDocuments(caller, "nowhere")
    with pytest.raises(StateUnavailable, match="ERR_STATE_STORE_NOT_FOUND"):
        await documents.read("key")
    with pytest.raises(StateUnavailable):
        await documents.create("key", {})


async def test_a_sidecar_that_is_away_makes_state_unavailable() -> None:
    async with DaprHttpClient(ports.choose(1)[0]) as caller:
        with pytest.raises(StateUnavailable, match="ClientConnectorError"):
            await DaprDocuments(caller, "statestore").read("key")

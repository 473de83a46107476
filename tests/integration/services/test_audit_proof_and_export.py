"""GET /audit/verify, /anchors, /keys, /proof/{event}, /export: through the service as it runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from audit_verifier.verify import Keys, verify_file, verify_proof
from migration_sidecar.api.problems import PROBLEMS
from migration_sidecar.http_server.problem_response import install_problem_handlers
from migration_sidecar.http_server.proven_caller import CallPolicy
from services.cas_service.api.evidence import router
from services.cas_service.app import app
from signed_calls.settings import CallSettings
from tests.integration.databases import Database
from tests.integration.services.evidence import Evidence, evidence_of


@pytest.fixture
async def evidence(audit: Database, tmp_path: Path) -> AsyncIterator[Evidence]:
    """Seven events, five of them signed, and two to come."""
    async with evidence_of(audit, tmp_path) as evidence:
        evidence.record(5)
        await evidence.sign()
        evidence.record(2)
        yield evidence


@pytest.fixture
async def door(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("AUDIT_FOLDER", str(evidence.folder))
    app = FastAPI()
    install_problem_handlers(app, PROBLEMS)
    app.include_router(router)
    app.state.database = evidence.engine.database
    app.state.call_policy = CallPolicy(CallSettings(required=False), "cas-audit")
    async with served(app) as client:
        yield client


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client


async def test_the_service_verifies_piece_by_piece(door: httpx.AsyncClient) -> None:
    first = (await door.get("/audit/verify", params={"limit": 4})).json()
    assert (first["ok"], first["last_seq"], first["next_after"], first["head_seq"]) == (True, 4, 4, 7)
    rest = (await door.get("/audit/verify", params={"after": 4})).json()
    assert (rest["ok"], rest["events"], rest["anchored_seq"], "next_after" in rest) == (True, 3, 5, False)


async def test_the_service_signs_what_it_records_while_it_runs(door: httpx.AsyncClient, evidence: Evidence) -> None:
    evidence.record(100)
    anchors: list[Any] = []
    async with asyncio.timeout(60):
        while not anchors:
            await asyncio.sleep(0.1)
            anchors = (await door.get("/audit/anchors", params={"after": 5})).json()["anchors"]
    assert anchors[0]["anchor"].split("|")[2] == "107"


async def test_an_event_is_proved_by_its_id_and_by_its_number(door: httpx.AsyncClient, evidence: Evidence) -> None:
    keys = Keys((await door.get("/audit/keys")).json())
    [(event_id,)] = evidence.ask("SELECT event_id FROM audit_events WHERE seq = 3")
    proofs = [(await door.get(f"/audit/proof/{event}")).json() for event in (event_id, 3)]
    assert proofs[0] == proofs[1]
    assert verify_proof(proofs[0], keys).ok
    assert str(event_id) in proofs[0]["event"]


async def test_an_event_that_is_not_signed_yet_cannot_be_proved_yet(door: httpx.AsyncClient) -> None:
    answer = await door.get("/audit/proof/7")
    assert (answer.status_code, answer.json()["code"]) == (409, "CM-525")


async def test_what_is_no_event_is_told_how_events_are_named(door: httpx.AsyncClient) -> None:
    answer = await door.get("/audit/proof/nope")
    assert (answer.status_code, answer.json()["code"]) == (422, "CM-603")
    assert "name it by its seq, such as 57, or by its event_id" in answer.json()["detail"]


async def test_an_event_nobody_recorded_has_no_proof(door: httpx.AsyncClient) -> None:
    for event in ("8", "6f3c0a52-0f5e-4e2b-9b0a-2f7d8c1e4a55"):
        answer = await door.get(f"/audit/proof/{event}")
        assert (answer.status_code, answer.json()["code"]) == (404, "CM-604")


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [({}, 1, 7), ({"from": "4"}, 4, 7), ({"from": "2", "to": "5"}, 2, 5), ({"to": "9"}, 1, 7)],
)
async def test_an_export_verifies_offline_wherever_it_begins_and_ends(
    door: httpx.AsyncClient, evidence: Evidence, query: dict[str, str], first: int, last: int
) -> None:
    file = evidence.folder / "export.jsonl"
    file.write_bytes((await door.get("/audit/export", params=query)).content)
    found = verify_file(str(file), str(evidence.keys_file), str(evidence.anchors_file))
    assert (found.ok, found.first_seq, found.last_seq) == (True, first, last)


async def test_an_export_holds_every_event_as_it_was_recorded(door: httpx.AsyncClient, evidence: Evidence) -> None:
    lines = [json.loads(line) for line in (await door.get("/audit/export")).text.splitlines()]
    exported = [json.loads(line["payload"])["event_id"] for line in lines if "payload" in line]
    assert exported == [str(event_id) for (event_id,) in evidence.ask("SELECT event_id FROM audit_events ORDER BY seq")]


@pytest.mark.parametrize(
    "address",
    [
        "/audit/verify?limit=1000000000",
        "/audit/verify?after=-1",
        "/audit/verify?after=1&after=2",
        "/audit/verify?sql=1",
        "/audit/anchors?limit=0",
        "/audit/keys?all=1",
        "/audit/proof/1;drop",
        "/audit/proof/99999999999999999999",
        "/audit/export?from=0",
        "/audit/export?to=x",
        "/audit/export?from=1&from=2",
        "/audit/export?from=5&to=3",
    ],
)
async def test_a_question_of_another_form_is_refused_with_a_sentence(door: httpx.AsyncClient, address: str) -> None:
    answer = await door.get(address)
    assert (answer.status_code, answer.json()["code"]) == (422, "CM-603")


async def test_readiness_and_verification_say_why_the_audit_is_not_being_signed(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", evidence.audit.url)
    monkeypatch.setenv("MIGRATE_ON_STARTUP", "off")
    monkeypatch.setenv("AUDIT_FOLDER", str(evidence.folder))
    evidence.settings.key_file.chmod(0o644)
    async with served(app) as door:
        ready = {"reason": ""}
        async with asyncio.timeout(60):
            while "Anchoring" not in ready["reason"]:
                await asyncio.sleep(0.1)
                ready = (await door.get("/readyz")).json()
        assert ready["ready"]
        assert "Anchoring stands still: the signing key signing-key.pem may be read by others. Since" in ready["reason"]
        assert (await door.get("/audit/verify")).json()["anchoring"] in ready["reason"]

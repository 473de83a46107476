"""The audit stores what a caller tells of itself, and of a batch with anything else it stores nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from migration_sidecar.api.app import make_app
from migration_sidecar.config.settings import read_settings
from migration_sidecar.contract.audit import AuditBatch
from services.cas_service.api.events import router
from signed_calls.key_folder import make_key, public_folder, publish
from signed_calls.signature import Call
from tests.integration.databases import Database
from tests.integration.services.fleet import BY_FOLDER


@pytest.fixture
async def door(audit: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """The whole application, as its environment sets it up."""
    monkeypatch.setenv("CALL_SIGNATURES", "required")
    monkeypatch.setenv("CALL_KEYS", str(public_folder(tmp_path)))
    environment = {"DATABASE_URL": audit.url, "MIGRATE_ON_STARTUP": "off"}
    settings = read_settings(BY_FOLDER["cas_service"].path / "alembic.ini", environment)
    app = make_app(settings.config_file, routers=[router], settings=settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client


def event(source: str, **facts: Any) -> dict[str, Any]:
    fresh = {"event_id": str(uuid4()), "event_type": "migration.started", "occurred_at": "2026-01-02T03:04:05Z"}
    return {**fresh, "source": source, **facts}


async def send(door: httpx.AsyncClient, keys: Path, name: str, *events: dict[str, Any]) -> httpx.Response:
    body = AuditBatch.model_validate({"events": events}).model_dump_json().encode()
    headers = make_key(keys, name).sign(Call("POST", "/audit/events", "cas-audit", body))
    return await door.post("/audit/events", content=body, headers={"content-type": "application/json", **headers})


def stored(audit: Database) -> list[str]:
    with audit.connect() as connection:
        return [row[0] for row in connection.execute("SELECT source FROM public.audit_events ORDER BY seq").fetchall()]


async def test_each_source_tells_of_itself(door: httpx.AsyncClient, audit: Database, tmp_path: Path) -> None:
    for name, source in (("migration-coordinator", "migration-coordinator"), ("cds-task", "cds-task/journal")):
        answer = await send(door, tmp_path, name, event(source), event(source))
        assert (answer.status_code, answer.json()["stored"]) == (200, 2)
    assert stored(audit) == ["migration-coordinator"] * 2 + ["cds-task/journal"] * 2


async def test_an_id_that_the_coordinator_will_use_cannot_be_occupied_by_a_service(
    door: httpx.AsyncClient, audit: Database, tmp_path: Path
) -> None:
    """Whoever spoke first owned the id, and the true event was refused for ever."""
    true = event("migration-coordinator", request_id="release-42", actor="alice")
    answer = await send(door, tmp_path, "cds-task", event("cds-task/journal"), {**true, "actor": "bob"})
    assert (answer.status_code, answer.json()["code"]) == (403, "CM-109")
    assert stored(audit) == []
    assert (await send(door, tmp_path, "migration-coordinator", true)).json()["stored"] == 1
    assert stored(audit) == ["migration-coordinator"]


async def test_a_renamed_service_tells_what_it_did_under_its_former_name_if_its_key_is_filed_there(
    door: httpx.AsyncClient, audit: Database, tmp_path: Path
) -> None:
    told = event("cds-former/journal")
    assert (await send(door, tmp_path, "cds-task", told)).status_code == 403
    publish(tmp_path, "cds-former", make_key(tmp_path, "cds-task"))
    # The folder is looked at once a second; there was none of this name, and that is not remembered.
    assert (await send(door, tmp_path, "cds-task", told)).json()["stored"] == 1
    assert stored(audit) == ["cds-former/journal"]


async def test_a_body_of_the_largest_size_is_signed_as_a_whole(
    door: httpx.AsyncClient, audit: Database, tmp_path: Path
) -> None:
    events = [event("cds-task/journal", actor="a" * 200, from_revision="r" * 500) for _ in range(900)]
    answer = await send(door, tmp_path, "cds-task", *events)
    assert (answer.status_code, answer.json().get("stored")) == (200, 900)

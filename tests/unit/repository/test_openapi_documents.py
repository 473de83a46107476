"""The committed OpenAPI documents are those of the code, and an application shows its own only where it is told to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from coordinator.settings import Settings
from migration_sidecar.api.app import make_app
from migration_sidecar.config.settings import read_settings
from migration_sidecar.contract.errors import Misconfigured
from migration_sidecar.http_server.openapi import serve_document
from scripts.openapi import FOLDER, ROOT, documents, text_of

NAMES = ("cas-audit", "coordinator", "service")
INI = ROOT / "services" / "task_service" / "alembic.ini"


@pytest.fixture(scope="module")
def written() -> dict[str, dict[str, Any]]:
    return documents()


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_document_is_that_of_the_code(name: str, written: dict[str, dict[str, Any]]) -> None:
    command = ".venv/bin/python -m scripts.openapi writes it anew"
    assert (FOLDER / f"{name}.json").read_text() == text_of(written[name]), command


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name in NAMES:
        for path, of_path in json.loads((FOLDER / f"{name}.json").read_text())["paths"].items():
            for method, operation in of_path.items():
                yield f"{name} {path}", method, operation


def test_every_operation_says_how_it_refuses_and_every_refusal_is_a_problem() -> None:
    for where, method, operation in operations():
        answers = operation["responses"]
        assert {"403", "500"} <= answers.keys(), where
        assert ("415" in answers) is (method != "get"), where
        assert "HTTPValidationError" not in json.dumps(operation), where
        for status, answer in answers.items():
            if status >= "400" and not (status == "503" and where.endswith("/readyz")):
                assert list(answer["content"]) == ["application/problem+json"], (where, status)


def test_every_body_that_is_read_is_typed() -> None:
    bodies = [where for where, _, operation in operations() if "requestBody" in operation]
    assert sorted(bodies) == [
        "cas-audit /audit/events",
        "cas-audit /migrations/operations",
        "coordinator /audit/acknowledgements",
        "coordinator /dead-letters/{name}/resubmit",
        "coordinator /migrations",
        "coordinator /migrations/{request_id}/{verb}",
        "coordinator /plans",
        "service /migrations/operations",
    ]


async def shown(app: FastAPI) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        return await client.get("/openapi.json")


async def test_an_application_shows_its_document_only_when_it_is_told_to() -> None:
    app = make_app(INI)
    assert (await shown(app)).status_code == 404
    serve_document(app)
    assert (await shown(app)).json() == json.loads((FOLDER / "service.json").read_text())


def test_no_application_is_told_to_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COORDINATOR_SERVE_OPENAPI", raising=False)
    assert not Settings().serve_openapi
    assert not read_settings(INI, {"DATABASE_URL": "postgresql://u@h/d"}).serve_openapi
    assert read_settings(INI, {"DATABASE_URL": "postgresql://u@h/d", "MIGRATION_SERVE_OPENAPI": "true"}).serve_openapi
    with pytest.raises(Misconfigured, match="true or false"):
        read_settings(INI, {"DATABASE_URL": "postgresql://u@h/d", "MIGRATION_SERVE_OPENAPI": "yes"})

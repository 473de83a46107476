"""Where APP_API_TOKEN is set, an event is taken from our own sidecar and from nobody else."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from migration_sidecar.http_server.own_sidecar import OwnSidecarGuard

SET = {"APP_API_TOKEN": "the token"}
ASKED_BY_DAPR = ("/events/migrate-requested", "/events/migrate-requested-dead", "/dapr/subscribe", "/job/any")
TAKEN: list[str] = []


def application(environment: dict[str, str]) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    def take(path: str) -> dict[str, str]:
        TAKEN.append(path)
        return {"status": "SUCCESS"}

    app.add_middleware(OwnSidecarGuard, environment=environment)
    return app


async def send(path: str, environment: dict[str, str], *shown: tuple[str, str]) -> httpx.Response:
    TAKEN.clear()
    transport = httpx.ASGITransport(application(environment))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        return await client.post(path, headers=[(name, value.encode()) for name, value in shown], json={})


@pytest.mark.parametrize("path", ASKED_BY_DAPR)
@pytest.mark.parametrize(
    "shown",
    [
        [],
        [("dapr-api-token", "")],
        [("dapr-api-token", "another token")],
        [("dapr-api-token", "the token "), ("dapr-api-token", "x")],
        [("dapr-api-token", "the token"), ("dapr-api-token", "the token")],
        [("authorization", "the token")],
        [("dapr-api-token", "thé token")],
    ],
)
async def test_whoever_does_not_show_the_token_is_refused(path: str, shown: list[tuple[str, str]]) -> None:
    answer = await send(path, SET, *shown)
    assert (answer.status_code, answer.json()["code"]) == (401, "CM-108")
    assert TAKEN == []


@pytest.mark.parametrize("path", ASKED_BY_DAPR)
async def test_our_own_sidecar_is_let_in(path: str) -> None:
    answer = await send(path, SET, ("Dapr-Api-Token", "the token"))
    assert (answer.status_code, TAKEN) == (200, [path.removeprefix("/")])


@pytest.mark.parametrize("environment", [{}, {"APP_API_TOKEN": ""}])
async def test_without_a_token_everybody_is_let_in(environment: dict[str, str]) -> None:
    assert (await send("/events/migrate-requested", environment)).status_code == 200


@pytest.mark.parametrize("path", ["/migrations", "/healthz", "/readyz"])
async def test_other_routes_are_not_looked_at(path: str) -> None:
    assert (await send(path, SET)).status_code == 200


async def test_the_refusal_does_not_tell_the_token() -> None:
    assert "the token" not in (await send("/job/any", SET)).text.lower().replace("the app_api_token", "")

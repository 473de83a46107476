"""What is refused is answered alike by every application, and query parameters are read in one spelling."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Query, Request

from migration_sidecar.contract.errors import BodyTooLarge
from migration_sidecar.contract.query_parameters import Number, QueryParameters, TrueOrFalse, WholeNumber
from migration_sidecar.http_server.problem_response import install_problem_handlers
from migration_sidecar.http_server.request_body import read_body
from migration_sidecar.http_server.validation import EACH_PARAMETER_ONCE


class Asked(QueryParameters):
    many: WholeNumber = 1
    seconds: Number = 0.0
    sql: TrueOrFalse = False


def application() -> FastAPI:
    app = FastAPI()
    install_problem_handlers(app, {BodyTooLarge: lambda error: (error.problem, error.status)})
    router = APIRouter(dependencies=[EACH_PARAMETER_ONCE])

    @router.get("/asked")
    async def asked(query: Annotated[Asked, Query()]) -> Asked:
        return query

    @router.post("/asked")
    async def read(request: Request) -> int:
        return len(await read_body(request, 10, BodyTooLarge))

    @router.delete("/asked")
    async def fail() -> None:
        raise RuntimeError("password=hunter2")

    app.include_router(router)
    return app


async def ask(method: str, path: str = "/asked", **sent: Any) -> httpx.Response:
    transport = httpx.ASGITransport(application(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path, **sent)


@pytest.mark.parametrize("number", ["+5", " 5", "5 ", "5.0", "1_000", "0x5", "\u0665", "-1e", ""])
async def test_a_whole_number_is_written_in_digits(number: str) -> None:
    answer = await ask("GET", params={"many": number})
    assert (answer.status_code, answer.json()["code"]) == (422, "CM-603")
    assert (await ask("GET", params={"many": "5"})).json()["many"] == 5


@pytest.mark.parametrize(("text", "read"), [("0.5", 0.5), ("25", 25.0), ("1e1", 10.0), ("2.5E-1", 0.25)])
async def test_a_number_is_written_as_in_json(text: str, read: float) -> None:
    assert (await ask("GET", params={"seconds": text})).json()["seconds"] == read
    for wrong in (f" {text}", f"+{text}", "nan", "inf", ".5", "1_0", "5."):
        assert (await ask("GET", params={"seconds": wrong})).status_code == 422


@pytest.mark.parametrize("word", ["1", "on", "yes", "True", "TRUE", "t", ""])
async def test_a_switch_is_true_or_false(word: str) -> None:
    assert (await ask("GET", params={"sql": word})).status_code == 422
    assert (await ask("GET", params={"sql": "true"})).json()["sql"] is True


async def test_a_parameter_that_is_unknown_or_given_twice_is_refused_and_named_without_control_characters() -> None:
    for query in ("many=1&many=1", "%1Bmany=1", "Many=1"):
        answer = await ask("GET", f"/asked?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, "CM-603")
        assert answer.json()["detail"].isprintable()
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_is_read_as_far_as_the_limit() -> None:
    assert (await ask("POST", content=b"x" * 10)).json() == 10
    assert (await ask("POST", content=b"x" * 11)).json()["code"] == "CM-106"


async def test_a_wrong_method_is_told_every_right_one() -> None:
    answer = await ask("PUT")
    assert (answer.status_code, answer.json()["code"]) == (405, "CM-603")
    assert answer.headers["allow"] == "DELETE, GET, POST"


async def test_an_address_that_is_none_and_a_mistake_of_our_own_are_problems_that_tell_nothing() -> None:
    answer = await ask("GET", "/nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "CM-603")
    answer = await ask("DELETE")
    assert (answer.status_code, answer.json()["code"]) == (500, "CM-901")
    assert "hunter2" not in answer.text

"""The coordinator's doors and bearer tokens: a token proves an operator, and only where there is no signature."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator import app as coordinator
from coordinator.adapters.daprd import DaprHttpClient
from coordinator.adapters.oidc_tokens import OidcTokens
from coordinator.adapters.operator_keys import OperatorKeys
from coordinator.api.bearer_tokens import LONGEST_HEADER
from coordinator.domain.audit_events import SOURCE as COORDINATOR
from coordinator.domain.catalog_file import read_catalog
from coordinator.settings import Settings
from migration_sidecar.contract.audit_detail import LIMITS, encoded_size, validation_error
from migration_sidecar.contract.messages import AuditEvent
from signed_calls.key_folder import make_key, public_folder
from signed_calls.keys import PublicKeys
from signed_calls.settings import CallSettings
from signed_calls.signature import Call
from tests.unit.coordinator.at_the_doors import app_of, client_for
from tests.unit.coordinator.fakes import CATALOG, Life, World
from tests.unit.coordinator.token_issuer import AUDIENCE, ISSUER, SUBJECT, jwks, token

ISSUED = f"""
[oidc]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
jwks = "keys.json"
"""
OPERATORS = f"""
[[operators]]
name = "ada"
may = ["request"]
services = ["first"]
oidc_subject = "{SUBJECT}"
[[operators]]
name = "clerk"
may = ["read"]
oidc_subject = "clerk-7"
[[operators]]
name = "bob"
may = ["request"]
"""
REQUIRED = CallSettings(required=True)
ASKED = {"services": ["first"], "request_id": "r-1", "requested_by": "somebody else"}


@dataclass
class Door:
    world: World
    life: Life
    client: httpx.AsyncClient
    folder: Path

    async def call(self, *tokens: str, method: str = "POST", path: str = "/migrations", **more: Any) -> httpx.Response:
        return await self.send([f"Bearer {each}" for each in tokens], method=method, path=path, **more)

    async def send(
        self,
        values: list[str],
        *,
        body: Any = ASKED,
        method: str = "POST",
        path: str = "/migrations",
        signed_by: str | None = None,
        changes: dict[str, str] | None = None,
    ) -> httpx.Response:
        content = json.dumps(body).encode() if method == "POST" else b""
        headers = [("content-type", "application/json"), *(("authorization", value) for value in values)]
        if signed_by is not None:
            signature = make_key(self.folder, signed_by).sign(Call(method, path, COORDINATOR, content))
            headers += (signature | (changes or {})).items()
        return await self.client.request(method, path, content=content, headers=headers)

    def refusals(self) -> list[AuditEvent]:
        return [each for each in self.world.audit.events.values() if each.event_type == "migration.rejected"]


Open = Callable[..., Door]


@pytest.fixture
def open_door(tmp_path: Path) -> Open:
    def open_one(*, tokens: bool = True, calls: CallSettings = REQUIRED) -> Door:
        (tmp_path / "keys.json").write_bytes(jwks("ed-1"))
        world = World(catalog=read_catalog(CATALOG + ISSUED + OPERATORS))
        life = world.life()
        keys = OperatorKeys(world.catalog.operators, PublicKeys(public_folder(tmp_path)))
        assert world.catalog.oidc is not None
        verifier = OidcTokens.of(world.catalog.oidc, tmp_path) if tokens else None
        app = app_of(world, life, calls, keys, tokens=verifier)
        return Door(world, life, client_for(app), tmp_path)

    return open_one


async def test_an_operator_asks_and_the_audit_names_him_his_issuer_and_his_subject(open_door: Open) -> None:
    door = open_door()
    assert (await door.call(token())).status_code == 202
    await door.life.drive()
    events = door.world.audit.events.values()
    assert {event.actor for event in events} == {"ada"}
    assert {event.detail["actor_basis"] for event in events} == {f"OIDC token of {ISSUER}, subject {SUBJECT}"}
    assert {event.detail["requested_by"] for event in events} == {"somebody else"}


async def test_he_may_with_a_token_what_fleet_toml_says_and_no_more(open_door: Open) -> None:
    door = open_door()
    answer = await door.call(token(), body={"services": "all"})
    assert (answer.status_code, answer.json()["code"]) == (403, "CM-109")
    answer = await door.call(token(sub="clerk-7"))
    assert (answer.status_code, answer.json()["code"]) == (403, "CM-109")
    assert [each.actor for each in door.refusals()] == ["ada", "clerk"]
    assert (await door.call(token(sub="clerk-7"), method="GET", path="/audit/events?request_id=x&type=y")).is_success
    assert (await door.call(token(sub="clerk-7"), path="/plans")).is_success


async def test_a_valid_token_of_somebody_who_is_no_operator_is_refused_and_recorded_under_no_name(
    open_door: Open,
) -> None:
    door = open_door()
    for subject in ("eve", "bob"):  # also where an operator has that name
        for _ in range(2):
            answer = await door.call(token(sub=subject))
            assert (answer.status_code, answer.json()["code"]) == (403, "CM-109")
        answer = await door.call(token(sub=subject), method="GET", path="/audit/events?request_id=x&type=y")
        assert answer.status_code == 403
    refusals = door.refusals()
    assert [each.actor for each in refusals] == [None, None]
    assert [each.detail["actor_basis"][-3:] for each in refusals] == ["eve", "bob"]
    assert (await door.call(token(), method="GET", path="/migrations/r-1")).status_code == 404


async def test_the_longest_issuer_and_subject_fit_into_an_event() -> None:
    longest = "OIDC token of " + "i" * 255 + ", subject " + '"' * 255
    assert encoded_size(longest) <= LIMITS["actor_basis"]


REFUSED: dict[str, list[str]] = {
    "expired": ["Bearer " + token(iat=1, exp=2)],
    "another key": ["Bearer " + token("ed-stranger", header={"kid": "ed-1"})],
    "two headers": ["Bearer " + token(), "Bearer " + token()],
    "two headers, one of them empty": ["Bearer " + token(), ""],
    "two tokens in one header": [f"Bearer {token()}, Bearer {token()}"],
    "too long": ["Bearer " + token(more="x" * LONGEST_HEADER)],
    "another scheme": ["Basic " + token()],
    "no scheme": [token()],
    "no token": ["Bearer "],
    "empty": [""],
    "with padding": [f"Bearer {token()}="],
    "two spaces": [f"Bearer  {token()}"],
    "bytes that are no ASCII": ["Bearer \xe9" + token()],
    "garbage": ["Bearer a.b.c"],
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_proves_nobody_is_refused_and_recorded_once_without_the_token(
    open_door: Open, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    door = open_door()
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):
            answer = await door.send([value.encode("latin-1") for value in REFUSED[what]])  # type: ignore[misc]
    assert (answer.status_code, answer.json()["code"]) == (401, "CM-108")
    (refusal,) = door.refusals()
    assert (refusal.actor, refusal.detail["code"], refusal.detail["door"]) == (None, "CM-108", "call")
    assert validation_error(refusal) is None
    told = answer.text + refusal.model_dump_json() + str([vars(record) for record in caplog.records])
    sent = [part for value in REFUSED[what] for part in value.replace(" ", ".").split(".") if len(part) > 20]
    assert not [part for part in sent if part in told]


async def test_of_keys_that_cannot_be_read_the_caller_learns_that_he_may_try_again(open_door: Open) -> None:
    door = open_door()
    (door.folder / "keys.json").unlink()
    answer = await door.call(token())
    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (503, "CM-108", True)
    assert (await door.call(method="GET", path="/migrations/r-1")).status_code == 404


async def test_a_signature_counts_where_there_is_one_and_a_token_never_helps_it(open_door: Open) -> None:
    door = open_door()
    broken = {"signature": "call=:" + "A" * 86 + "==:"}
    for changes in (broken, {"call-audience": "cds-task"}):
        answer = await door.send([f"Bearer {token()}"], signed_by="bob", changes=changes)
        assert answer.status_code == 401
    for half in ("signature", "signature-input"):
        answer = await door.client.post(
            "/migrations", json=ASKED, headers={"authorization": f"Bearer {token()}", half: "x"}
        )
        assert answer.status_code == 401
    assert (await door.send(["Bearer a.b.c"], signed_by="bob")).status_code == 202
    await door.life.drive()
    (asked,) = [each for each in door.world.audit.events.values() if each.event_type == "migration.requested"]
    assert (asked.actor, asked.detail["actor_basis"][:11]) == ("bob", "signed call")


@pytest.mark.parametrize(("verb", "status"), [("cancel", 403), ("approve", 403)])
async def test_a_verb_is_held_against_the_operator_of_the_token(open_door: Open, verb: str, status: int) -> None:
    door = open_door()
    body = {"reason": "because", **({"plan_digest": "0" * 64} if verb == "approve" else {})}
    assert (await door.call(token(), path=f"/migrations/r-1/{verb}", body=body)).status_code == status
    assert (await door.call("a.b.c", path=f"/migrations/r-1/{verb}", body=body)).status_code == 401
    assert [(each.actor, each.detail["code"]) for each in door.refusals()] == [("ada", "CM-109"), (None, "CM-108")]


async def test_without_an_issuer_no_token_is_looked_at(open_door: Open) -> None:
    answer = await open_door(tokens=False).call(token())
    assert (answer.status_code, answer.json()["detail"]) == (401, "It is not signed.")


async def test_a_token_is_looked_at_only_where_callers_are_checked(open_door: Open) -> None:
    door = open_door()
    assert (await door.call("a.b.c", method="GET", path="/migrations")).status_code == 200
    door = open_door(calls=CallSettings(required=True, reads_required=True))
    assert (await door.call("a.b.c", method="GET", path="/migrations")).status_code == 401
    assert (await door.call(token(), method="GET", path="/migrations")).status_code == 200
    door = open_door(calls=CallSettings(required=False))
    assert (await door.call("a.b.c")).status_code == 202
    await door.life.drive()
    assert {each.detail["actor_basis"] for each in door.world.audit.events.values()} == {"claimed"}


@pytest.mark.parametrize(
    ("more", "challenge"), [(ISSUED, 'Signature, Bearer realm="migration-coordinator"'), ("", "Signature")]
)
async def test_the_application_takes_tokens_where_fleet_toml_names_an_issuer_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, challenge: str
) -> None:
    monkeypatch.setenv("CALL_SIGNATURES", "required")
    monkeypatch.setenv("CALL_KEYS", str(tmp_path))
    monkeypatch.setenv("COORDINATOR_CATALOG", str(tmp_path / "fleet.toml"))
    (tmp_path / "keys.json").write_bytes(jwks("ed-1"))
    operators = OPERATORS if more else ""
    app = coordinator.create_app()
    async with DaprHttpClient(9) as nothing_there:
        coordinator._wire(app, Settings(), read_catalog(CATALOG + more + operators), nothing_there)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            answer = await client.get("/audit/keys")
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)
            answer = await client.get("/audit/keys", headers={"authorization": f"Bearer {token()}"})
    assert (answer.status_code == 401) is (more == "")

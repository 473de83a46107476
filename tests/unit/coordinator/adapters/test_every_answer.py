"""What the adapters make of every kind of answer that daprd and the services give."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.audit_client import HttpAudit
from coordinator.adapters.dapr_pubsub import DaprPublisher
from coordinator.adapters.dapr_state import DaprDocuments
from coordinator.adapters.daprd import Reply
from coordinator.adapters.service_client import HttpServices, refusal_from
from coordinator.adapters.storable import storable
from coordinator.errors import CoordinatorError, ServiceLied
from coordinator.ports import ProgressEvent, ServiceAddress
from coordinator.unavailable import (
    AuditNotReady,
    AuditUnavailable,
    BrokerUnavailable,
    ServiceRefused,
    ServiceUnreachable,
    SidecarUnreachable,
    StateUnavailable,
)
from migration_sidecar.contract.messages import Action, AuditEvent, OperationRequest
from migration_sidecar.contract.progress_events import ProgressEventType
from migration_sidecar.contract.strict_json import FORBIDDEN

HERE = ServiceAddress("first", "first_db")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROBLEM = {"type": "about:blank", "status": 409, "code": "CM-404", "title": "t", "detail": "d", "next_step": "n"}
STATUS = {"service": "first", "database": "first_db", "state": "at_head"}


class Daprd:
    """Answers every call alike and remembers what was asked."""

    def __init__(self, answer: Reply | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    async def call(self, method: str, path: str, **given: Any) -> Reply:
        self.asked.append((method, path, given))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def reply(status: int, document: Any = None, *, text: str = "") -> Reply:
    return Reply(status, text.encode() if document is None else json.dumps(document).encode())


AWAY, SLOW = SidecarUnreachable("ClientConnectorError"), TimeoutError()


def event() -> AuditEvent:
    return AuditEvent(event_id=uuid4(), event_type="migration.requested", occurred_at=NOW, source="s")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(500, {"errorCode": "ERR_DIRECT_INVOKE", "message": "no host"}), ServiceUnreachable),
        (reply(500, text="oops"), ServiceUnreachable),
        (reply(502, ["what"]), ServiceUnreachable),
        (SLOW, ServiceUnreachable),
        (AWAY, SidecarUnreachable),
        (reply(409, PROBLEM), ServiceRefused),
        (reply(503, PROBLEM), ServiceRefused),
        (reply(404, {"detail": "Not Found"}), ServiceLied),
        (reply(307), ServiceLied),
        (reply(200), ServiceLied),
        (reply(200, text="<html>"), ServiceLied),
        (reply(200, {"service": "first"}), ServiceLied),
        (reply(200, {**STATUS, "surprise": 1}), ServiceLied),
        (reply(200, {**STATUS, "service": "second"}), ServiceLied),
        (reply(200, {**STATUS, "database": "other"}), ServiceLied),
    ],
)
async def test_every_answer_but_the_right_one_has_its_own_error(
    answer: Reply | Exception, error: type[CoordinatorError]
) -> None:
    daprd = Daprd(answer)
    with pytest.raises(error):
        await HttpServices(daprd).status(HERE)


async def test_a_problem_is_passed_on_with_the_service_it_came_from() -> None:
    daprd = Daprd(reply(409, PROBLEM))
    with pytest.raises(ServiceRefused) as caught:
        await HttpServices(daprd).status(HERE)
    assert (caught.value.problem().code, caught.value.problem().service, caught.value.answered) == (
        "CM-404",
        "first",
        409,
    )


async def test_the_service_is_a_header_and_the_path_is_fixed() -> None:
    daprd = Daprd(reply(503, PROBLEM))
    services = HttpServices(daprd)
    for ask in (
        services.status(HERE),
        services.plan(HERE, action=Action.UPGRADE, target="head", with_sql=True),
        services.plan(HERE, action=Action.UPGRADE, target="head", beside_other_tables=True),
        services.start(HERE, OperationRequest(operation_id="r-1.first.1", target="head"), wait_seconds=5),
        services.operation(HERE, "r-1.first.1", wait_seconds=5),
    ):
        with pytest.raises(ServiceRefused):
            await ask
    assert [(method, path, given["parameters"]) for method, path, given in daprd.asked] == [
        ("GET", "/migrations", None),
        ("GET", "/migrations/plan", {"action": "upgrade", "target": "head", "sql": "true"}),
        ("GET", "/migrations/plan", {"action": "upgrade", "target": "head", "beside_other_tables": "true"}),
        ("POST", "/migrations/operations", {"wait_seconds": "5"}),
        ("GET", "/migrations/operations/r-1.first.1", {"wait_seconds": "5"}),
    ]
    assert {given["headers"]["dapr-app-id"] for _, _, given in daprd.asked} == {"first"}
    assert daprd.asked[3][2]["body"]["operation_id"] == "r-1.first.1"
    assert "beside_other_tables" not in daprd.asked[3][2]["body"]  # a service of release 0.2 refuses it


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(503, {**PROBLEM, "code": "CM-522"}), AuditNotReady),
        (reply(503, {**PROBLEM, "code": "CM-513"}), AuditUnavailable),
        (reply(500, text="oops"), AuditUnavailable),
        (reply(200, {"stored": 0, "repeated": 0}), AuditUnavailable),
    ],
)
async def test_only_the_audits_own_word_means_that_it_is_not_migrated(
    answer: Reply, error: type[CoordinatorError]
) -> None:
    daprd = Daprd(answer)
    with pytest.raises(AuditUnavailable) as caught:
        await HttpAudit(daprd, "audit").append([event()])
    assert type(caught.value) is error


async def test_a_receipt_for_every_event_is_a_receipt() -> None:
    one, two, three = event(), event(), event()
    answer = {"stored": 1, "repeated": 1, "conflicts": [str(three.event_id)]}
    daprd = Daprd(reply(200, answer))
    receipt = await HttpAudit(daprd, "audit").append([one, two, three])
    assert receipt.conflicts == [three.event_id]


@pytest.mark.parametrize("answer", [reply(403), reply(500), AWAY, SLOW])
async def test_a_broker_that_does_not_take_an_event_is_unavailable(answer: Reply | Exception) -> None:
    daprd = Daprd(answer)
    with pytest.raises(BrokerUnavailable):
        await DaprPublisher(daprd, "pubsub", "migrate.events").publish(ProgressEventType.FINISHED, "id", NOW, {})


async def test_what_is_published_is_a_whole_cloud_event_with_our_id() -> None:
    daprd = Daprd(reply(204))
    await DaprPublisher(daprd, "pubsub", "migrate.events").publish(ProgressEventType.FINISHED, "id-1", NOW, {"a": 1})
    method, path, given = daprd.asked[0]
    assert (method, path) == ("POST", "/v1.0/publish/pubsub/migrate.events")
    assert given["headers"]["content-type"] == "application/cloudevents+json"
    body = given["body"]
    assert (body["id"], body["type"], body["time"]) == ("id-1", "migrate.finished", "2026-01-01T00:00:00Z")
    assert (body["specversion"], body["data"]) == ("1.0", {"a": 1})


async def test_several_events_are_one_call() -> None:
    daprd = Daprd(reply(204))
    events = [ProgressEvent(ProgressEventType.STEP_FINISHED, f"id-{number}", NOW, {"a": number}) for number in (1, 2)]
    await DaprPublisher(daprd, "pubsub", "migrate.events").publish_all(events)
    method, path, given = daprd.asked[0]
    assert (method, path) == ("POST", "/v1.0/publish/bulk/pubsub/migrate.events")
    assert [(each["entryId"], each["event"]["id"], each["event"]["data"]) for each in given["body"]] == [
        ("id-1", "id-1", {"a": 1}),
        ("id-2", "id-2", {"a": 2}),
    ]
    assert {each["contentType"] for each in given["body"]} == {"application/cloudevents+json"}


@pytest.mark.parametrize("answer", [reply(403), reply(500, {"failedEntries": [{"entryId": "id"}]}), AWAY, SLOW])
async def test_a_broker_that_does_not_take_each_of_several_events_is_unavailable(answer: Reply | Exception) -> None:
    with pytest.raises(BrokerUnavailable):
        await DaprPublisher(Daprd(answer), "pubsub", "migrate.events").publish_all(
            [ProgressEvent(ProgressEventType.FINISHED, "id", NOW, {})]
        )


@pytest.mark.parametrize(
    ("answer", "won"),
    [
        (reply(204), True),
        (reply(409, {"message": "possible etag mismatch"}), False),
        (reply(500, {"message": "failed saving: no item was updated"}), False),
    ],
)
async def test_a_lost_race_is_told_from_a_store_that_is_down(answer: Reply, won: bool) -> None:
    daprd = Daprd(answer)
    assert await DaprDocuments(daprd, "store").create("key", {}) is won


@pytest.mark.parametrize("answer", [reply(500, {"errorCode": "ERR_STATE_SAVE"}), AWAY, SLOW])
async def test_a_store_that_is_down_is_unavailable_and_its_text_stays_inside(answer: Reply | Exception) -> None:
    daprd = Daprd(answer)
    documents = DaprDocuments(daprd, "store")
    for ask in (
        documents.create("k", {}),
        documents.replace("k", {}, "1"),
        documents.read("k"),
        documents.read_many(["k"]),
    ):
        with pytest.raises(StateUnavailable):
            await ask


def row(seq: int) -> dict[str, Any]:
    facts = {"kind": "applied", "history": "alembic_version", "operation_id": "o", "attempt": 1}
    return {"seq": seq, **facts, "relayed": True, "seconds_ago": 1.5}


def journal(*numbers: int, next_after: int | None = None, **facts: Any) -> Reply:
    page = {"service": "first", "database": "first_db", "entries": [row(seq) for seq in numbers], "positions": []}
    return reply(200, page | {"next_after": next_after} | facts)


@pytest.mark.parametrize(("answer", "numbers"), [(journal(), []), (journal(8, 9, next_after=9), [8, 9])])
async def test_a_journal_is_read_on_from_where_the_page_before_ended(answer: Reply, numbers: list[int]) -> None:
    daprd = Daprd(answer)
    page = await HttpServices(daprd).journal(HERE, after=7, limit=2)
    assert [entry.seq for entry in page.entries] == numbers
    (asked,) = daprd.asked
    assert asked[:2] == ("GET", "/migrations/journal")
    assert asked[2]["parameters"] == {"after": "7", "limit": "2"}


@pytest.mark.parametrize(
    "answer",
    [
        journal(9, 8),
        journal(8, 8),
        journal(7),
        journal(8, 9, 10),
        journal(8, next_after=9),
        journal(next_after=7),
        journal(8, database="other"),
    ],
    ids=["backwards", "twice", "before", "too many", "skips", "without end", "another's"],
)
async def test_a_journal_page_that_cannot_be_the_next_one_is_not_believed(answer: Reply) -> None:
    with pytest.raises(ServiceLied):
        await HttpServices(Daprd(answer)).journal(HERE, after=7, limit=2)


def test_dapr_neither_repeats_a_call_nor_gives_it_a_time_limit_of_its_own() -> None:
    """So an audit that hangs is told by the coordinator; and with a timeout of Dapr's, who hangs up can end daprd."""
    spec = yaml.safe_load((Path(__file__).parents[4] / "components" / "resiliency.yaml").read_text())["spec"]
    assert "timeouts" not in spec["policies"]
    assert spec["policies"]["retries"]["never"]["maxRetries"] == 0
    assert all(policies == {"retry": "never"} for policies in spec["targets"]["apps"].values())


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (rb'"a\u0000b\ud800\ud83d\ude00\ud83d"', "a\ufffdb\ufffd\U0001f600\ufffd"),
        (rb'"\\u0000 \\\u001b \\\\ud800 \u00e9\n"', "\\u0000 \\\ufffd \\\\ud800 \u00e9\n"),
        (rb'"\uD800\uDC00\udc00"', "\U00010000\ufffd"),
        ('"é, as it is"'.encode(), "é, as it is"),
    ],
)
def test_what_a_service_answers_can_be_kept(sent: bytes, kept: str) -> None:
    assert json.loads(storable(sent)) == kept


@given(st.binary() | st.text().map(lambda text: json.dumps(text).encode()))
def test_what_holds_nothing_that_is_refused_stays_as_it_is(content: bytes) -> None:
    assert storable(storable(content)) == storable(content)
    if not FORBIDDEN.search(content.decode(errors="replace")) and b"\\" not in content:
        assert storable(content) == content


def test_a_refusal_with_half_a_surrogate_pair_can_be_shown_beside_others() -> None:
    """The whole answer of /fleet could not be written for one service's refusal, and no run with it be stored."""
    problem = rb'{"code": "CM-301", "title": "t\ud800", "detail": "d\u0000", "next_step": "n"}'
    error = refusal_from("orders", Reply(409, problem))
    shown = error.problem().model_dump_json()
    assert "\\u0000" not in shown
    assert shown.encode()

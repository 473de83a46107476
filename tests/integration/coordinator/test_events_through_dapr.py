"""Events by a real daprd and a real Redis, with the shipped retries and dead letters; what is behind is in memory."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml
from fastapi import FastAPI, Request, Response

from coordinator.api.events import subscriptions
from coordinator.audit.rejections import RateLimit, Rejections
from coordinator.domain.catalog_file import read_catalog
from coordinator.runs.resubmission import Resubmission
from coordinator.unavailable import StateContended
from scripts.infrastructure import ports
from scripts.infrastructure.redis import RedisServer
from scripts.infrastructure.supervise import Program, dying_with_us
from tests.unit.coordinator.at_the_doors import event_requesters
from tests.unit.coordinator.fakes import CATALOG, Life, World

ROOT = Path(__file__).parents[3]
DAPRD = Path(sys.prefix) / "dapr" / ".dapr" / "bin" / "daprd"
DEAD = "/events/migrate-requested-dead"
LONG_SECONDS = 60.0


class Doors:
    """The coordinator's door for events on a port, and how often each route was asked."""

    def __init__(self, life: Life) -> None:
        self.asked: Counter[str] = Counter()
        self.app = FastAPI()
        door = subscriptions.EventDoor(life.intake, event_requesters(), life.letters)
        subscriptions.subscribe(self.app, door, "pubsub")
        self.app.middleware("http")(self._count)
        self.port = ports.choose(1)[0]

    async def _count(self, request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        answer = await go_on(request)
        self.asked[request.url.path] += 1
        return answer


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", ports.choose(1)[0], dies_with_us=True)
    try:
        server.start()
        yield server
    finally:
        server.program.stop()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def life(world: World) -> Life:
    life = world.life()
    # Nothing of a flood leaks through while a slow machine works at it.
    life.rejections = Rejections(life.spool, world.topic, world.clock, RateLimit(burst=60, seconds=1e9))
    object.__setattr__(life.intake, "rejections", life.rejections)
    return life


@pytest.fixture
async def doors(life: Life) -> AsyncIterator[Doors]:
    doors = Doors(life)
    server = uvicorn.Server(uvicorn.Config(doors.app, host="127.0.0.1", port=doors.port, log_level="error"))
    serving = asyncio.create_task(server.serve())
    yield doors
    server.should_exit = True
    await serving


@pytest.fixture
def components(redis: RedisServer, tmp_path: Path) -> Path:
    components = tmp_path / "components"
    components.mkdir()
    shutil.copy(ROOT / "components" / "resiliency.yaml", components)
    moved = {"redisHost": f"127.0.0.1:{redis.port}", "secretsFile": str(redis.access.of_dapr)}
    for name in ("pubsub.yaml", "broker-secrets.yaml"):
        component = yaml.safe_load((ROOT / "components" / name).read_text())
        for entry in component["spec"]["metadata"]:
            if entry["name"] in moved:
                entry["value"] = moved[entry["name"]]
        (components / name).write_text(yaml.safe_dump(component))
    return components


@pytest.fixture
def short(components: Path) -> None:
    """The shipped retries, each two minutes, in a few seconds."""
    file = components / "resiliency.yaml"
    resiliency = yaml.safe_load(file.read_text())
    resiliency["spec"]["policies"]["retries"]["inbound"] |= {"duration": "500ms", "maxRetries": 8}
    file.write_text(yaml.safe_dump(resiliency))


@pytest.fixture
async def publish(doors: Doors, components: Path, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    http, grpc, internal, metrics = ports.choose(4)
    command = [
        str(DAPRD),
        *("--app-id", "migration-coordinator", "--resources-path", str(components)),
        *("--app-port", str(doors.port), "--app-channel-address", "127.0.0.1"),
        *("--dapr-http-port", str(http), "--dapr-grpc-port", str(grpc), "--metrics-port", str(metrics)),
        *("--dapr-internal-grpc-port", str(internal), "--dapr-listen-addresses", "127.0.0.1"),
        *("--dapr-internal-grpc-listen-address", "127.0.0.1", "--metrics-listen-address", "127.0.0.1"),
    ]
    program = Program("daprd", dying_with_us(command), tmp_path, environment={"DAPR_HOST_IP": "127.0.0.1"})
    address = f"http://127.0.0.1:{http}/v1.0/"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:

        async def publish(content: Any, kind: str = "application/json", query: str = "") -> None:
            body = content if isinstance(content, str) else json.dumps(content)
            answer = await client.post(
                f"{address}publish/pubsub/migrate.requested{query}", content=body, headers={"content-type": kind}
            )
            assert answer.status_code == 204, answer.text

        try:
            program.start()
            await until(lambda: _is_up(client, f"{address}healthz"), "daprd to be up")
            yield publish
        finally:
            await asyncio.to_thread(program.stop)


async def _is_up(client: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(address)).status_code == 204
    except httpx.HTTPError:
        return False


async def until(holds: Callable[[], Awaitable[bool]], what: str, seconds: float = LONG_SECONDS) -> float:
    """How long it took."""
    began = time.monotonic()
    while not await holds():
        assert time.monotonic() - began < seconds, f"time was up while waiting for {what}"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


def wrong(number: int) -> tuple[Any, str]:
    """Every other one has an envelope that is refused, as a publisher without a content type makes it."""
    if number % 2:
        return json.dumps({"services": "all", "request_id": f"bad-{number}"}), "text/plain"
    return {"services": 7, "request_id": f"bad-{number}"}, "application/json"


async def test_of_200_bad_events_60_are_recorded_and_140_counted_though_each_comes_as_a_dead_letter_too(
    publish: Callable[..., Awaitable[None]], doors: Doors, world: World, life: Life
) -> None:
    for number in range(200):
        await publish(*wrong(number))

    async def all_came_twice() -> bool:
        return doors.asked[DEAD] >= 200

    await until(all_came_twice, "the dead letters")
    await life.rejections.flush()
    recorded = [event for event in world.audit.events.values() if event.event_type == "migration.rejected"]
    counts = [event for event in world.audit.events.values() if event.event_type == "migration.rejections_counted"]
    assert (len(recorded), sum(event.detail["count"] for event in counts)) == (60, 140)
    assert {event.request_id for event in recorded} <= {f"bad-{number}" for number in range(200)}
    assert life.intake.counts["rejected"] == 200
    assert world.audit.conflicts == []


async def test_a_good_event_behind_twelve_on_which_we_fail_does_not_wait_for_them(
    publish: Callable[..., Awaitable[None]], world: World, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is delivered by one of ten workers, which stays with it for as long as it is answered RETRY."""
    take_in = life.runs.read

    async def read(request_id: str) -> Any:
        if request_id.startswith("poison-"):
            raise RuntimeError("a mistake of ours")
        return await take_in(request_id)

    monkeypatch.setattr(life.runs, "read", read)
    for number in range(12):
        await publish({"services": "all", "request_id": f"poison-{number}"})
    await publish({"services": "all", "request_id": "good"})

    async def is_accepted() -> bool:
        return await take_in("good") is not None

    waited = await until(is_accepted, "the good event", seconds=180)
    print(f"the good event waited {waited:.1f} s")
    assert waited < 20

    async def all_are_refused() -> bool:
        return len([event for event in world.audit.events.values() if event.outcome == "rejected"]) == 12

    await until(all_are_refused, "twelve refusals")
    assert {event.detail["code"] for event in world.audit.events.values() if event.outcome == "rejected"} == {"CM-901"}


async def test_an_event_that_could_not_be_stored_is_delivered_until_it_can(
    publish: Callable[..., Awaitable[None]], doors: Doors, world: World, life: Life
) -> None:
    world.documents.down = True
    await publish({"services": "all", "request_id": "patient"})

    async def came_twice() -> bool:
        return doors.asked["/events/migrate-requested"] >= 2

    await until(came_twice, "a second delivery")
    world.documents.down = False

    async def is_accepted() -> bool:
        return await life.runs.read("patient") is not None

    await until(is_accepted, "the event")
    assert life.intake.counts["rejected"] == 0


async def test_each_refused_event_is_one_dead_letter_that_came_once_and_becomes_one_run_when_it_is_right(
    publish: Callable[..., Awaitable[None]], doors: Doors, world: World, life: Life
) -> None:
    late = {"specversion": "1.0", "id": "late", "source": "s", "type": "t", "data": {"services": ["late"]}}
    await publish(late, "application/cloudevents+json")
    for number in range(20):
        await publish(*wrong(number))

    async def all_are_dead() -> bool:
        return doors.asked[DEAD] >= 21

    await until(all_are_dead, "the dead letters")
    page = await life.letters.page(100, None)
    refused = {each.event_id for each in world.audit.events.values() if each.event_type == "migration.rejected"}
    assert ({each.id for each in page.letters}, len(page.letters)) == (refused, 21)
    assert {(each.times, each.is_whole) for each in page.letters} == {(1, True)}
    world.catalog = read_catalog(CATALOG + '[[services]]\nname = "late"\ndatabase = "late_db"\n')
    today = world.life()
    resubmission = Resubmission(today.letters, today.intake, today.spool)
    runs = [await resubmission.resubmit("late") for _ in range(2)]
    assert runs[0].request.services == ["late"]
    assert (await today.runs.index()).recent == ["late"]


async def test_an_event_that_could_not_be_accepted_for_long_is_kept_until_it_is(
    short: None, publish: Callable[..., Awaitable[None]], life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:

        async def contended(*_: Any) -> None:
            raise StateContended("index-of-runs")

        patched.setattr(life.runs, "create", contended)
        await publish({"services": "all", "request_id": "patient"})

        async def is_kept() -> bool:
            return bool((await life.letters.page(5, None)).letters)

        await until(is_kept, "the letter")
        assert (await life.letters.find("patient")).run is None

    async def is_marked() -> bool:
        return (await life.letters.find("patient")).run is not None

    await until(is_marked, "the run in the letter")
    assert await life.runs.read("patient") is not None


OF_VERSION_0_2 = """
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: migrate-requested}
spec:
  pubsubname: pubsub
  topic: migrate.requested
  routes: {default: /events/migrate-requested}
  deadLetterTopic: migrate.requested.dead
scopes: [migration-coordinator]
"""


@pytest.fixture
def file_of_version_0_2(components: Path) -> None:
    (components / "subscriptions.yaml").write_text(OF_VERSION_0_2)


async def test_beside_the_subscription_file_of_an_older_version_each_event_still_comes_once(
    file_of_version_0_2: None, publish: Callable[..., Awaitable[None]], doors: Doors, world: World
) -> None:
    for number in range(20):
        await publish(*wrong(number))

    async def all_are_dead() -> bool:
        return doors.asked[DEAD] >= 20

    await until(all_are_dead, "the dead letters")
    assert doors.asked["/events/migrate-requested"] == 20
    assert len(world.audit.events) == 20


REQUEST = json.dumps({"services": "all", "request_id": "mine"})
EVENT = {"specversion": "1.0", "id": "mine", "source": "s", "type": "t", "data": {"services": "all"}}


@pytest.mark.parametrize(
    ("content", "kind", "query", "says"),
    [
        (REQUEST, "text/plain", "", "holds the request as a text"),
        (REQUEST, "application/xml", "", "holds the request as a text"),
        (REQUEST, "application/octet-stream", "", "data_base64 is there instead of data"),
        (EVENT, "application/json", "", "a CloudEvent inside a CloudEvent"),
        ([EVENT], "application/cloudevents-batch+json", "", "is a list or a batch"),
        (REQUEST, "application/json", "?metadata.rawPayload=true", "a request without a CloudEvent around it"),
        ({**EVENT, "data": REQUEST}, "application/cloudevents+json", "", "holds the request as a text"),
        ({**EVENT, "data": [1]}, "application/cloudevents+json", "", "is a list or a batch"),
    ],
)
async def test_what_publishers_get_wrong_is_named_and_found_as_dapr_delivers_it(
    publish: Callable[..., Awaitable[None]], world: World, content: Any, kind: str, query: str, says: str
) -> None:
    await publish(content, kind, query)

    async def is_refused() -> bool:
        return bool(world.audit.events)

    await until(is_refused, "the refusal")
    (refused,) = world.audit.events.values()
    assert says in refused.detail["detail"]
    assert refused.request_id == "mine"

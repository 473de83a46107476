"""Histories with forks and merges in a fleet: a run of the coordinator, the real services, and their journals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from coordinator.adapters.daprd import Reply
from coordinator.adapters.service_client import HttpServices
from coordinator.domain.catalog_file import read_catalog
from coordinator.domain.reconciliation.discrepancy import Discrepancy
from coordinator.domain.reconciliation.reconciliation import Reconciliation
from coordinator.domain.request import read_request
from coordinator.domain.run import Run
from coordinator.ports import ServiceAddress
from migration_sidecar.api.app import make_app
from migration_sidecar.contract.messages import Action, RecordedAuditEvent
from tests.integration.databases import CreateDatabase
from tests.integration.migration_sidecar.conftest import MakeEnvironment, SharedProcesses, StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out
from tests.unit.coordinator.fakes import Fate, World

SERVICES = ("orders", "stock")
CATALOG = '[fleet]\nname = "test"\naudit = "orders"\n[[services]]\nname = "orders"\ndatabase = "{}"\n' + (
    '[[services]]\nname = "stock"\ndatabase = "{}"\n'
)


class Apps:
    """Implements Caller as daprd does, by app id, without a network between."""

    def __init__(self, apps: Mapping[str, FastAPI]) -> None:
        self._clients = {
            name: httpx.AsyncClient(
                transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://localhost"
            )
            for name, app in apps.items()
        }

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        seconds: float = 0,
        most_bytes: int = 0,
    ) -> Reply:
        client = self._clients[(headers or {})["dapr-app-id"]]
        answer = await client.request(method, path, json=body, params=parameters, timeout=40)
        return Reply(answer.status_code, answer.content)

    async def open(self, path: str, query: str, *, headers: Mapping[str, str]) -> Any:
        raise NotImplementedError


class RealFleet(HttpServices):
    fate: Fate


class Branched:
    """`orders` has one line, `stock` a fork; the coordinator keeps its records in memory."""

    def __init__(self, world: World, environments: dict[str, Environment], fleet: RealFleet) -> None:
        self.world, self.environments, self.fleet = world, environments, fleet
        self._requests = 0

    async def request(self, **body: Any) -> Run:
        self._requests += 1
        name = f"r-{self._requests}"
        life = self.world.life()
        await life.acceptance.accept(read_request({"services": "all", **body}, default_request_id=name))
        await life.drive()
        run = await life.runs.read(name)
        assert run is not None
        return run

    async def gaps(self) -> list[Discrepancy]:
        """With an audit that has just what the journals tell it."""
        found, number = Reconciliation(frozenset(SERVICES)), 0
        for service in self.world.catalog.databases:
            page = await self.fleet.journal(ServiceAddress(service.name, service.database or ""), after=0, limit=1000)
            found.journal_matcher.begin(service.name)
            found.journal_matcher.add_entry(page)
            for entry in page.entries:
                if entry.event is not None:
                    number += 1
                    facts = entry.event.model_dump() | {"seq": number, "recorded_at": datetime.now(UTC)}
                    found.add_audit_event(RecordedAuditEvent.model_validate(facts))
        # Nothing relays here, so every row waits.
        return [gap for gap in found.gaps() if "was never handed over" not in gap.sentence]


@pytest.fixture
async def branched(
    request: pytest.FixtureRequest,
    create_database: CreateDatabase,
    make_environment: MakeEnvironment,
    shared_processes: SharedProcesses,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Branched]:
    monkeypatch.setattr("migration_sidecar.engine.engine.ForkserverClient", lambda *_: shared_processes)
    databases = {name: create_database() for name in SERVICES}
    environments = {name: make_environment(url=databases[name].url, name=name) for name in SERVICES}
    stock = environments["stock"].ini
    own_settings = getattr(request, "param", "")
    stock.write_text(stock.read_text().replace("service = orders", "service = stock") + own_settings)
    environments["orders"].revision("o0001")
    environments["stock"].revision("s0001")
    for side in ("s0002a", "s0002b"):
        environments["stock"].revision(side, below="s0001")
    catalog = read_catalog(CATALOG.format(*(databases[name].name for name in SERVICES)))
    world = World(catalog=catalog, planning_patience_seconds=60.0)
    async with AsyncExitStack() as running:
        apps = {}
        for name, environment in environments.items():
            apps[name] = make_app(environment.ini, settings=environment.settings(MIGRATE_ON_STARTUP="off"))
            await running.enter_async_context(apps[name].router.lifespan_context(apps[name]))
        fleet = RealFleet(Apps(apps))
        world.fleet = fleet  # type: ignore[assignment]
        yield Branched(world, environments, fleet)


def steps(run: Run) -> dict[str, tuple[str, list[str]]]:
    return {step.service: (step.state.value, step.to_revisions) for step in run.steps}


async def test_a_service_of_several_heads_goes_along_with_its_fleet(branched: Branched) -> None:
    refused = await branched.request()
    (obstacle,) = refused.obstacles
    assert (obstacle.service, obstacle.code) == ("stock", "CM-301")
    assert "heads" in obstacle.next_step

    done = await branched.request(target={"stock": "heads"})
    both = {"orders": ["o0001"], "stock": ["s0002a", "s0002b"]}
    assert steps(done) == {service: ("succeeded", at) for service, at in both.items()}
    for again in (await branched.request(), await branched.request(target="heads")):
        assert again.state.value == "succeeded"
        assert steps(again) == {service: ("unchanged", at) for service, at in both.items()}

    branched.environments["stock"].revision("s0003", below=("s0002a", "s0002b"))
    merged = await branched.request()
    assert steps(merged)["stock"] == ("succeeded", ["s0003"])
    assert await branched.gaps() == []


async def test_all_heads_can_be_asked_of_the_whole_fleet(branched: Branched) -> None:
    done = await branched.request(target="heads")
    assert steps(done) == {"orders": ("succeeded", ["o0001"]), "stock": ("succeeded", ["s0002a", "s0002b"])}
    assert await branched.gaps() == []


async def test_one_branch_of_a_service_is_a_target_in_a_request_and_in_the_catalog(branched: Branched) -> None:
    with (branched.environments["stock"].versions / "s0002a.py").open("a") as file:
        file.write('branch_labels = ("fast lane",)\n')
    lane = await branched.request(target={"stock": "fast lane@head"})
    assert steps(lane)["stock"] == ("succeeded", ["s0002a"])
    again = await branched.request(target={"stock": "fast lane@head"})
    assert steps(again)["stock"] == ("unchanged", ["s0002a"])
    orders, stock = branched.world.catalog.services
    services = [orders, stock.model_copy(update={"target": "s0002b@heads"})]
    branched.world.catalog = branched.world.catalog.model_copy(update={"services": services})
    other = await branched.request()
    assert [step.target for step in other.steps] == ["head", "s0002b@heads"]
    assert steps(other)["stock"] == ("succeeded", ["s0002a", "s0002b"])
    assert await branched.gaps() == []


@pytest.mark.parametrize("place", ["request", "catalog"])
async def test_other_peoples_tables_are_in_the_way_until_the_request_or_the_catalog_says_whose_they_are(
    branched: Branched, place: str
) -> None:
    stock = branched.environments["stock"]
    (stock.versions / "s0002b.py").unlink()
    stock.revision("s0001", "op.execute('CREATE TABLE IF NOT EXISTS items (id int)')", below=None)
    with psycopg.connect(stock.url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE TABLE items (id int)")
    refused = await branched.request()
    (obstacle,) = refused.obstacles
    assert (obstacle.service, obstacle.code) == ("stock", "CM-552")
    assert "beside_other_tables" in obstacle.next_step
    assert "--beside-other-tables" in obstacle.next_step
    body = {"beside_other_tables": ["stock"]} if place == "request" else {}
    if place == "catalog":
        orders, other = branched.world.catalog.services
        services = [orders, other.model_copy(update={"beside_other_tables": True})]
        branched.world.catalog = branched.world.catalog.model_copy(update={"services": services})
    done = await branched.request(**body)
    assert steps(done)["stock"] == ("succeeded", ["s0002a"])
    assert [step.beside_other_tables for step in done.steps] == [False, True]
    with psycopg.connect(stock.url.replace("+psycopg", "")) as connection:
        beside = "SELECT DISTINCT detail ->> 'beside' FROM migration_sidecar.journal WHERE kind = 'attempt'"
        assert connection.execute(beside).fetchall() == [("other_tables",)]
    assert await branched.gaps() == []


async def test_the_digest_of_a_plan_covers_what_was_asked_for(branched: Branched) -> None:
    await branched.request(target="heads")
    runs = [await branched.request(target=target) for target in ("head", "heads", {"stock": "s0001"})]
    assert all(run.state.value == "succeeded" for run in runs)
    assert len({run.plan_digest for run in runs}) == 3


async def test_an_operation_for_head_at_all_of_several_heads_changes_nothing(
    branched: Branched, start_engine: StartEngine
) -> None:
    engine = start_engine(branched.environments["stock"])
    await carry_out(engine, target="heads")
    again = await carry_out(engine, target="head")
    assert (again.state.value, again.applied) == ("succeeded", [])


async def test_a_journal_with_a_fork_a_merge_and_a_way_back_is_accounted_for(
    branched: Branched, start_engine: StartEngine
) -> None:
    stock = branched.environments["stock"]
    engine = start_engine(stock)
    await carry_out(engine, target="heads")
    stock.revision("s0003", below=("s0002a", "s0002b"))
    await carry_out(engine)
    for later in ("s0004", "s0005", "s0006"):
        stock.revision(later)
        await carry_out(engine)
    await carry_out(engine, action=Action.DOWNGRADE, target="s0004")
    assert await branched.gaps() == []
    with psycopg.connect(stock.url, autocommit=True) as connection:
        connection.execute("UPDATE migration_sidecar.journal SET detail = detail - 'heads_before'")
    assert await branched.gaps() == []  # as version 0.2 wrote them
    await carry_out(engine, action=Action.DOWNGRADE, target="s0001")
    await carry_out(engine, target="s0002b")
    await carry_out(engine)
    assert await branched.gaps() == []


@pytest.mark.parametrize("branched", ["target = s0002a@head\n"], indirect=True)
async def test_where_a_service_has_a_default_target_head_means_that_for_the_coordinator_too(branched: Branched) -> None:
    done = await branched.request()
    assert steps(done)["stock"] == ("succeeded", ["s0002a"])
    stock = branched.world.catalog.find("stock")
    status = await branched.fleet.status(ServiceAddress(stock.name, stock.database or ""))
    assert (status.state.value, status.head_revisions, status.pending) == ("at_head", ["s0002a"], [])
    assert steps(await branched.request())["stock"] == ("unchanged", ["s0002a"])
    assert steps(await branched.request(target="heads"))["stock"] == ("succeeded", ["s0002a", "s0002b"])
    assert steps(await branched.request())["stock"] == ("unchanged", ["s0002a", "s0002b"])
    assert await branched.gaps() == []

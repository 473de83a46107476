"""A fleet and the processes of its coordinator, one after the other; everything that can happen to them is a method."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any
from unittest.mock import patch

from coordinator.domain.catalog_file import read_catalog
from coordinator.domain.commands.command import read_command
from coordinator.domain.permissions import Permissions, Proof, Requester
from coordinator.domain.request import read_request
from coordinator.driver import activities
from coordinator.errors import CoordinatorError
from coordinator.ports import Phase, ServiceAddress
from coordinator.runs.steering import Steering
from coordinator.workflow import current as workflow
from tests.unit.coordinator.driver.run_model import tables
from tests.unit.coordinator.driver.run_model.services import ContractFleet, ContractService
from tests.unit.coordinator.driver.run_model.virtual_time import SlowFate, VirtualLoop, on_time_of
from tests.unit.coordinator.driver.run_model.witness import WatchedDocuments, Witness
from tests.unit.coordinator.fakes import Died, FakeService, Instance, Life, World

# A command may be refused, and a store or the audit may be away; any other error is a fault.
REFUSALS = {"CM-601", "CM-606", "CM-607", "CM-812"}


class FleetUnderTest:
    """`violations` has one sentence for each thing that must not be."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.world = World(catalog=read_catalog(tables.CATALOG))
        self.services = {
            name: ContractService(ServiceAddress(name, f"{name}_db"), ordered=self._ordered) for name in tables.SERVICES
        }
        self.world.fleet = ContractFleet(dict[str, FakeService](self.services))
        self.witness = Witness(self.services, lambda: self.world.clock.at)
        self.world.documents.documents = WatchedDocuments(self.witness.written)
        self.loop = VirtualLoop(self._passed)
        self._time = patch("time.monotonic", self.loop.time)
        self._time.start()
        self.begin_life()

    @property
    def violations(self) -> list[str]:
        return self.witness.violations

    def _ordered(self, service: ContractService, order: Any) -> None:
        self.witness.ordered(service, order)

    def _passed(self, seconds: float) -> None:
        self.world.seconds += seconds
        self.world.clock.at += timedelta(seconds=seconds)

    def begin_life(self) -> None:
        """A process, with nothing in its memory."""
        self.fate = SlowFate(random=self.random)
        self.life = self._replica(self.world.life(self.fate))
        self.steering = Steering(
            self.life.runs,
            self.life.acceptance,
            Permissions(self.world.catalog.operators),
            self.world.catalog,
            self.world.clock,
        )

    def _replica(self, life: Life) -> Life:
        driver = on_time_of(life.dependencies.driver, self.loop.time)
        life.dependencies = replace(life.dependencies, driver=driver)
        return life

    def close(self) -> None:
        self._time.stop()
        self.loop.run_until_complete(_end_all())
        self.loop.close()

    # --- what people and services do ---------------------------------------------------------------------------------

    def accept(self, request_id: str, asked_by: str, **fields: Any) -> None:
        request = read_request({**fields, "reason": "why"}, default_request_id=request_id)
        self.do(self.life.acceptance.accept(request, _known_as(asked_by)), REFUSALS)

    def command(self, request_id: str, verb: str, by: str, command_id: str, **fields: Any) -> CoordinatorError | None:
        body = read_command({"reason": "why", **fields}, verb)
        return self.do(self.steering.command(request_id, body, _known_as(by), command_id), REFUSALS)

    # --- what Dapr does ----------------------------------------------------------------------------------------------

    def instance(self, request_id: str) -> tuple[str, Instance | None]:
        run = self.witness.records[request_id]
        name = f"{request_id}.{run['generation']}"
        return name, self.world.workflows.instances.get(name)

    def drive(self, request_id: str, turns: int = 1, *, wait: bool = True) -> None:
        """Some turns of the workflow of a run, if it is one that moves."""
        for _ in range(turns):
            name, instance = self.instance(request_id)
            if instance is None or instance.phase is not Phase.ALIVE:
                return
            self.do(self._turn(self.life, name, instance, wait=wait))

    def drive_together(self, request_ids: list[str], replicas: int = 1) -> None:
        """One turn of each, all at the same time, and each by so many processes."""
        lives = [self.life, *(self._replica(Life(self.world)) for _ in range(replicas - 1))]
        turns = []
        for request_id in request_ids:
            name, instance = self.instance(request_id)
            if instance is not None and instance.phase is Phase.ALIVE:
                turns += [self._turn(life, name, instance, wait=False) for life in lives]
        self.do(_all(turns, lives))

    def drive_former(self, request_id: str) -> None:
        """An activity of an earlier generation is still under way: it must leave everything as it is."""
        run = self.witness.records[request_id]
        for generation in range(1, run["generation"]):
            before = self._facts(request_id)
            order = {"request_id": request_id, "generation": generation}
            self.do(self._activity(self.life, order))
            if self._facts(request_id) != before:
                self.violations.append(
                    f"{request_id}: generation {generation} was at work, the record's is {run['generation']}"
                )

    def recover(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            self._passed(25.0)
            self.do(self.life.recovery_loop.run_once(), REFUSALS)

    async def _turn(self, life: Life, name: str, instance: Instance, *, wait: bool) -> None:
        answer = await self._activity(life, workflow.command_of(name))
        if answer is None:
            return  # Dapr repeats it
        instance.turns += 1
        instance.over = instance.over or answer["over"]
        if wait and answer["wait_seconds"]:
            await asyncio.sleep(answer["wait_seconds"])

    async def _activity(self, life: Life, order: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return await activities.report_unexpected_errors(activities.drive, order, dependencies=life.dependencies)
        except CoordinatorError as error:
            if error.code not in REFUSALS:
                self.violations.append(f"{order}: {error.code} {error.detail}")
        except Exception as error:
            self.violations.append(f"{order}: {error!r}")
        return None

    def _facts(self, request_id: str) -> list[Any]:
        run = {**self.witness.records[request_id], "outbox": None, "version": None}
        return [run, [[*service.operations.items()] for service in self.services.values()]]

    # --- a process that may die --------------------------------------------------------------------------------------

    def do(self, action: Coroutine[Any, Any, Any], expected: set[str] = frozenset()) -> CoordinatorError | None:  # type: ignore[assignment]
        """In the present process; if it dies, the next one begins. Answers the error that was expected, if any."""
        refusal: CoordinatorError | None = None
        try:
            self.loop.run_until_complete(self._to_its_end(action))
        except Died:
            pass
        except CoordinatorError as error:
            refusal = error
            if error.code not in expected:
                self.violations.append(f"{error.code}: {error.detail}")
        if self.fate.dead:
            self.loop.run_until_complete(_end_all())
            self.begin_life()
        self.witness.check_databases()
        return refusal

    async def _to_its_end(self, action: Coroutine[Any, Any, Any]) -> None:
        try:
            await action
        finally:
            if not self.fate.dead:
                await asyncio.gather(*self.life.relay.background, return_exceptions=True)


async def _all(turns: list[Coroutine[Any, Any, Any]], lives: list[Life]) -> None:
    done = await asyncio.gather(*turns, return_exceptions=True)
    for life in lives:
        await asyncio.gather(*life.relay.background, return_exceptions=True)
    for each in done:
        if isinstance(each, BaseException):
            raise each


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _known_as(name: str) -> Requester:
    return Requester(Proof.SIGNED_CALL, name, "k")

"""What surrounds the coordinator, in memory: state, audit, topic, services, workflows; any moment can be its last."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any
from uuid import UUID

from coordinator.audit.availability import MonitoredAuditTrail
from coordinator.audit.dead_letters import DeadLetters
from coordinator.audit.drift import DriftRecorder
from coordinator.audit.event_spool import AuditSpool
from coordinator.audit.outbox_relay import OutboxRelay
from coordinator.audit.rejections import Rejections
from coordinator.domain.catalog import Catalog
from coordinator.domain.catalog_file import read_catalog
from coordinator.domain.permissions import Permissions
from coordinator.driver import activities
from coordinator.driver.activities import ActivityDependencies
from coordinator.driver.assembly import build_run_driver
from coordinator.ports import Driver, Phase, ProgressEvent, ServiceAddress, VersionedDocument
from coordinator.runs.acceptance import Acceptance
from coordinator.runs.change_notifier import ChangeNotifier
from coordinator.runs.intake import RequestIntake
from coordinator.runs.recovery_loop import RecoveryLoop
from coordinator.runs.repository import RunRepository
from coordinator.runs.run_recovery import RunRecovery
from coordinator.runs.workflow_progress import RunningActivities, WorkflowProgress
from coordinator.steps.silence_timer import SilenceTimer
from coordinator.steps.step_executor import Limits, StepExecutor
from coordinator.unavailable import (
    AuditNotReady,
    AuditUnavailable,
    BrokerUnavailable,
    ServiceRefused,
    ServiceUnreachable,
    StateUnavailable,
)
from coordinator.workflow import current as workflow
from migration_sidecar.contract.audit import AuditReceipt
from migration_sidecar.contract.audit_detail import validation_error
from migration_sidecar.contract.messages import (
    Action,
    AppliedRevision,
    AuditEvent,
    DatabaseState,
    MigrationPlan,
    Operation,
    OperationRequest,
    OperationState,
    PlannedRevision,
    Problem,
    ServiceStatus,
)
from migration_sidecar.contract.progress_events import ProgressEventType

CATALOG = """
[fleet]
name = "test"
audit = "audit"
[[services]]
name = "audit"
database = "audit_db"
[[services]]
name = "first"
database = "first_db"
[[services]]
name = "second"
database = "second_db"
[[services]]
name = "plain"
no_database = "it keeps nothing"
"""
START = datetime(2026, 1, 1, tzinfo=UTC)
HISTORY = ["r1", "r2"]


class Died(BaseException):
    """The process is gone: nothing catches this, and nothing works after it."""


@dataclass
class Fate:
    """Lets the process die before or after its nth effect; `effects` counts what a life without death does."""

    dies_at: int | None = None
    before: bool = True
    effects: int = 0
    dead: bool = False

    @asynccontextmanager
    async def effect(self) -> AsyncIterator[None]:
        # An effect takes time, and others go on meanwhile.
        await asyncio.sleep(0)
        self.effects += 1
        here = self.effects == self.dies_at
        self.dead = self.dead or (here and self.before)
        if self.dead:
            raise Died
        yield
        if here:
            self.dead = True
            raise Died


@dataclass
class Clock:
    at: datetime = START

    def __call__(self) -> datetime:
        self.at += timedelta(milliseconds=10)
        return self.at


@dataclass
class MemoryDocuments:
    """Behaves as Dapr state does with first-write; `down` as it does without its database."""

    fate: Fate = field(default_factory=Fate)
    documents: dict[str, tuple[str, int]] = field(default_factory=dict)
    down: bool = False

    async def read(self, key: str) -> VersionedDocument | None:
        async with self.fate.effect():
            self._require_up()
            return self._found(key)

    async def read_many(self, keys: Sequence[str]) -> dict[str, VersionedDocument]:
        async with self.fate.effect():
            self._require_up()
            found = {key: self._found(key) for key in keys}
            return {key: document for key, document in found.items() if document is not None}

    async def create(self, key: str, value: Mapping[str, Any]) -> bool:
        async with self.fate.effect():
            self._require_up()
            if key in self.documents:
                return False
            self.documents[key] = (json.dumps(value), 1)
            return True

    async def replace(self, key: str, value: Mapping[str, Any], etag: str) -> bool:
        async with self.fate.effect():
            self._require_up()
            if key not in self.documents or str(self.documents[key][1]) != etag:
                return False
            self.documents[key] = (json.dumps(value), int(etag) + 1)
            return True

    async def replace_with(
        self, key: str, value: Mapping[str, Any], etag: str, others: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        async with self.fate.effect():
            self._require_up()
            if key not in self.documents or str(self.documents[key][1]) != etag:
                return False
            for name, other in {**others, key: value}.items():
                self.documents[name] = (json.dumps(other), self.documents.get(name, ("", 0))[1] + 1)
            return True

    def _found(self, key: str) -> VersionedDocument | None:
        if key not in self.documents:
            return None
        text, version = self.documents[key]
        return VersionedDocument(json.loads(text), str(version))

    def _require_up(self) -> None:
        if self.down:
            raise StateUnavailable("it is down in this test")


@dataclass
class MemoryAudit:
    fate: Fate = field(default_factory=Fate)
    events: dict[UUID, AuditEvent] = field(default_factory=dict)
    conflicts: list[UUID] = field(default_factory=list)
    down: bool = False
    migrated: bool = True

    async def append(self, events: Sequence[AuditEvent]) -> AuditReceipt:
        assert [wrong for event in events if (wrong := validation_error(event))] == []
        async with self.fate.effect():
            if self.down:
                raise AuditUnavailable("audit", "it is down in this test")
            if not self.migrated:
                raise AuditNotReady("audit", "its tables are not there")
            new = [event for event in events if event.event_id not in self.events]
            other = [e.event_id for e in events if e.event_id in self.events and self.events[e.event_id] != e]
            self.events |= {event.event_id: event for event in new}
            self.conflicts += other
            repeated = len(events) - len(new) - len(other)
            return AuditReceipt(stored=len(new), repeated=repeated, conflicts=other)

    def told(self, request_id: str | None = None) -> list[tuple[str, str | None]]:
        found = [e for e in self.events.values() if request_id is None or e.request_id == request_id]
        return [(event.event_type, event.service) for event in found]


@dataclass
class MemoryTopic:
    fate: Fate = field(default_factory=Fate)
    published: list[tuple[str, str]] = field(default_factory=list)
    down: bool = False

    async def publish(
        self, announcement: ProgressEventType, event_id: str, at: datetime, data: Mapping[str, Any]
    ) -> None:
        async with self.fate.effect():
            if self.down:
                raise BrokerUnavailable("it is down in this test")
            self.published.append((announcement.value, event_id))

    async def publish_all(self, events: Sequence[ProgressEvent]) -> None:
        for event in events:
            await self.publish(*event)


UNMANAGED = Problem(code="CM-552", title="t", detail="Tables are there.", next_step="--beside-other-tables")


@dataclass
class FakeService:
    """A database that remembers every revision that was ever applied to it."""

    address: ServiceAddress
    current: list[str] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    operations: dict[str, Operation] = field(default_factory=dict)
    fails_with: Problem | None = None
    obstacles: list[Problem] = field(default_factory=list)
    down: bool = False
    unreadable: bool = False  # its revision files
    state: DatabaseState = DatabaseState.AT_HEAD
    polls_until_done: int = 1
    polled: int = 0
    answers: list[Operation | Exception] = field(default_factory=list)  # given before anything true
    history: list[str] = field(default_factory=lambda: list(HISTORY))
    has_other_tables: bool = False  # in the way, until somebody says that they are other people's
    fails_after: int = 0  # revisions that are applied before `fails_with`
    destructive: frozenset[str] = frozenset()  # revisions whose way back loses data
    file_version: str = ""  # of its revision files

    def plan(self, target: str, *, action: Action = Action.UPGRADE, beside_other_tables: bool = False) -> MigrationPlan:
        if action is Action.DOWNGRADE:
            return self._way_back(target)
        goal = self.history[-1] if target == "head" else target
        if goal not in self.history:
            unknown = Problem(code="CM-203", title="t", detail=f"{goal} is unknown.", next_step="n")
            raise ServiceRefused(self.address.service, 422, unknown)
        done = self.history.index(self.current[0]) + 1 if self.current else 0
        todo = self.history[done : self.history.index(goal) + 1]
        return MigrationPlan(
            service=self.address.service,
            database=self.address.database,
            action=Action.UPGRADE,
            target=target,
            from_revisions=self.current,
            to_revisions=[goal] if todo else self.current,
            digest=sha256(f"{self.address.service}:{self.current}->{goal}{self.file_version}".encode()).hexdigest(),
            revisions=[_revision(one) for one in todo],
            obstacles=[*self.obstacles, *([UNMANAGED] if self.has_other_tables and not beside_other_tables else [])],
        )

    def _way_back(self, target: str) -> MigrationPlan:
        done = self.history.index(self.current[0]) + 1 if self.current else 0
        goal = self.history.index(target) + 1 if target in self.history else done
        todo = self.history[goal:done][::-1]
        revisions = [_revision(one).model_copy(update={"destructive": one in self.destructive}) for one in todo]
        return MigrationPlan(
            service=self.address.service,
            database=self.address.database,
            action=Action.DOWNGRADE,
            target=target,
            from_revisions=self.current,
            to_revisions=[target],
            digest=sha256(f"{self.address.service}:{self.current}<-{target}".encode()).hexdigest(),
            revisions=revisions,
            obstacles=self.obstacles,
        )

    def cancel(self, operation_id: str) -> Operation:
        """Ends it where the database is."""
        operation = self.operations[operation_id]
        if not operation.state.ended:
            facts = {"state": OperationState.CANCELLED, "current_revisions": self.current}
            self.operations[operation_id] = operation.model_copy(update=facts)
        return self.operations[operation_id]

    def begin(self, order: OperationRequest) -> Operation:
        self.has_other_tables = self.has_other_tables and not order.beside_other_tables
        operation = Operation(
            operation_id=order.operation_id,
            service=self.address.service,
            database=self.address.database,
            action=order.action,
            target=order.target,
            state=OperationState.RUNNING,
            from_revisions=self.current,
            current_revisions=self.current,
            accepted_at=START,
        )
        return self.operations.setdefault(order.operation_id, operation)

    def poll(self, operation_id: str) -> Operation:
        self.polled += 1
        operation = self.operations[operation_id]
        if operation.state.ended or self.polled < self.polls_until_done:
            return operation
        self.operations[operation_id] = self._ended(operation)
        return self.operations[operation_id]

    def _ended(self, operation: Operation) -> Operation:
        todo = [each.id for each in self.plan(operation.target, action=operation.action).revisions]
        if self.fails_with:
            todo = todo[: self.fails_after]
        for revision in todo:
            self._apply(revision, operation.action)
        facts: dict[str, Any] = {
            "attempts": 1,
            "finished_at": START + timedelta(seconds=1),
            "state": OperationState.FAILED if self.fails_with else OperationState.SUCCEEDED,
            "error": self.fails_with,
            "current_revisions": self.current,
            "applied": [
                AppliedRevision(revision=one, action=operation.action, at=START, duration_ms=1) for one in todo
            ],
        }
        return operation.model_copy(update=facts)

    def _apply(self, revision: str, action: Action) -> None:
        if action is Action.UPGRADE:
            self.applied.append(revision)
            self.current = [revision]
        else:
            self.applied.remove(revision)
            before = self.history.index(revision)
            self.current = self.history[before - 1 : before]


def _revision(name: str) -> PlannedRevision:
    return PlannedRevision(id=name, message=name, sha256="0", transactional=True, reversible=True, destructive=False)


@dataclass
class FakeFleet:
    """Implements FleetMessenger over FakeServices."""

    services: dict[str, FakeService]
    fate: Fate = field(default_factory=Fate)

    async def status(self, address: ServiceAddress) -> ServiceStatus:
        service = self._up(address)
        state, heads = (DatabaseState.UNKNOWN, []) if service.unreadable else (service.state, HISTORY)
        return ServiceStatus(
            service=address.service,
            database=service.address.database,
            state=state,
            current_revisions=service.current,
            head_revisions=heads,
        )

    async def plan(
        self,
        address: ServiceAddress,
        *,
        action: Action,
        target: str,
        with_sql: bool = False,
        beside_other_tables: bool = False,
    ) -> MigrationPlan:
        async with self.fate.effect():
            return self._up(address).plan(target, action=action, beside_other_tables=beside_other_tables)

    async def start(self, address: ServiceAddress, order: OperationRequest, *, wait_seconds: int) -> Operation:
        async with self.fate.effect():
            service = self._up(address)
            return _canned(service) or service.begin(order)

    async def operation(self, address: ServiceAddress, operation_id: str, *, wait_seconds: int) -> Operation:
        async with self.fate.effect():
            service = self._up(address)
            return _canned(service) or service.poll(operation_id)

    async def cancel(self, address: ServiceAddress, operation_id: str) -> Operation:
        async with self.fate.effect():
            return self._up(address).cancel(operation_id)

    def _up(self, address: ServiceAddress) -> FakeService:
        service = self.services[address.service]
        if service.down:
            raise ServiceUnreachable(address.service, "it is down in this test")
        return service


def _canned(service: FakeService) -> Operation | None:
    if not service.answers:
        return None
    answer = service.answers.pop(0)
    if isinstance(answer, Exception):
        raise answer
    return answer


class Context:
    """Stands for DaprWorkflowContext: hands out descriptions of tasks instead of tasks."""

    def __init__(self, *, patched: bool = True) -> None:
        self.again: Any = None
        self.keeps_events = False
        self.patched = patched

    def is_patched(self, name: str) -> bool:
        return self.patched

    def call_activity(self, name: str, *, input: dict[str, Any], retry_policy: Any) -> tuple[str, dict[str, Any]]:
        return (name, input)

    def create_timer(self, duration: timedelta) -> tuple[str, timedelta]:
        return ("timer", duration)

    def wait_for_external_event(self, name: str, *, timeout: timedelta) -> tuple[str, timedelta]:
        return ("wait", timeout)

    def continue_as_new(self, command: dict[str, Any], *, save_events: bool = False) -> None:
        self.again, self.keeps_events = command, save_events


@dataclass
class Instance:
    history: list[Any] = field(default_factory=list)
    over: bool = False
    paused: bool = False
    stalled: bool = False
    turns: int = 0
    timers: int = 0

    @property
    def phase(self) -> Phase:
        if self.over:
            return Phase.OVER
        return Phase.STALLED if self.stalled else Phase.PAUSED if self.paused else Phase.ALIVE


@dataclass
class MemoryWorkflows:
    """Replays history as Dapr does: what an activity answered is kept, what died in the middle is done again."""

    fate: Fate = field(default_factory=Fate)
    instances: dict[str, Instance] = field(default_factory=dict)
    timers: int = 0
    connected: bool = True
    proofs: int = 0
    terminated: list[str] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)

    async def schedule(self, instance_id: str) -> None:
        async with self.fate.effect():
            known = self.instances.get(instance_id)
            if known is None or known.over:
                self.instances[instance_id] = Instance()

    async def prove(self) -> None:
        async with self.fate.effect():
            self.proofs += 1

    async def wake(self, instance_id: str) -> None:
        async with self.fate.effect():
            self.woken.append(instance_id)

    async def driver(self, instance_id: str) -> Driver:
        async with self.fate.effect():
            known = self.instances.get(instance_id)
            if known is None:
                return Driver(Phase.NONE)
            return Driver(known.phase, START + timedelta(seconds=known.turns))

    async def terminate(self, instance_id: str) -> None:
        async with self.fate.effect():
            self.terminated.append(instance_id)
            self.instances[instance_id].over = True

    async def drive(self, dependencies: ActivityDependencies, most_timers: int = 100) -> None:
        """Until every instance is over, or waits longer than a test wants to; while one waits, the others go on."""
        most = {instance_id: instance.timers + most_timers for instance_id, instance in self.instances.items()}
        while waiting := [each for each in most if self._goes_on(each, most[each])]:
            for instance_id in waiting:
                instance = self.instances[instance_id]
                next_wait = instance.timers + 1
                while self._goes_on(instance_id, next_wait):
                    await self._turn(instance_id, instance, dependencies, next_wait)

    def _goes_on(self, instance_id: str, most_timers: int) -> bool:
        instance = self.instances[instance_id]
        return not instance.over and instance.timers < most_timers

    async def _turn(
        self, instance_id: str, instance: Instance, dependencies: ActivityDependencies, most_timers: int
    ) -> None:
        context = Context()
        generator = workflow.migrate(context, workflow.command_of(instance_id))  # type: ignore[arg-type]
        past = list(instance.history)
        answer: Any = None
        while instance.timers < most_timers:
            try:
                ordered = generator.send(answer)
            except StopIteration:
                instance.over = context.again is None
                instance.history = []
                return
            if past:
                answer = past.pop(0)
                continue
            instance.timers += ordered[0] == "wait"
            answer = await self._done(ordered, dependencies)
            instance.history.append(answer)
            instance.turns += 1

    async def _done(self, ordered: Any, dependencies: ActivityDependencies) -> Any:
        name, order = ordered
        if name == "wait":
            self.timers += 1
            return None
        activity = partial(activities.report_unexpected_errors, activities.ACTIVITIES[name], dependencies=dependencies)
        # Through JSON and back, as over the wire.
        return json.loads(json.dumps(await activity(json.loads(json.dumps(order)))))


@dataclass
class World:
    """Everything that outlives the coordinator's process; `life()` is one process in it."""

    documents: MemoryDocuments = field(default_factory=MemoryDocuments)
    audit: MemoryAudit = field(default_factory=MemoryAudit)
    topic: MemoryTopic = field(default_factory=MemoryTopic)
    workflows: MemoryWorkflows = field(default_factory=MemoryWorkflows)
    clock: Clock = field(default_factory=Clock)
    seconds: float = 0.0  # what a stopwatch shows, which no clock that is set changes
    catalog: Catalog = field(default_factory=lambda: read_catalog(CATALOG))
    planning_patience_seconds: float = 0.0  # fakes answer at once; real services may still be loading
    fleet: FakeFleet = field(init=False)

    def __post_init__(self) -> None:
        databases = {s.name: FakeService(ServiceAddress(s.name, s.database or "")) for s in self.catalog.databases}
        self.fleet = FakeFleet(databases)

    def life(self, fate: Fate | None = None) -> Life:
        fate = fate or Fate()
        for part in (self.documents, self.audit, self.topic, self.workflows, self.fleet):
            part.fate = fate
        return Life(self)


class Life:
    """One process: it remembers nothing of the one before."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.change_notifier = ChangeNotifier()
        self.runs = RunRepository(world.documents, self.change_notifier)
        self.audit_trail = MonitoredAuditTrail(world.audit, world.clock)
        self.spool = AuditSpool(self.audit_trail, world.documents)
        self.rejections = Rejections(self.spool, world.topic, world.clock)
        self.letters = DeadLetters(world.documents)
        self.drift = DriftRecorder(self.spool, world.clock)
        self.acceptance = Acceptance(self.runs, world.workflows, world.catalog, world.clock)
        self.intake = RequestIntake(self.acceptance, self.rejections, world.clock, Permissions(world.catalog.operators))
        self.activities = RunningActivities()
        progress = WorkflowProgress(self.activities, lambda: world.seconds)
        recovery = RunRecovery(self.runs, world.workflows, progress)
        self.recovery_loop = RecoveryLoop(self.runs, recovery, self.rejections, self.audit_trail, lambda: world.seconds)
        self.relay = OutboxRelay(self.audit_trail, world.topic, self.runs.deliveries)
        executor = StepExecutor(
            world.fleet, Limits(activity_duration=timedelta(seconds=5)), SilenceTimer(lambda: world.seconds)
        )
        driver = build_run_driver(
            runs=self.runs,
            change_notifier=self.change_notifier,
            relay=self.relay,
            executor=executor,
            messenger=world.fleet,
            scheduler=world.workflows,
            catalog=world.catalog,
            drift_recorder=self.drift,
            clock=world.clock,
            planning_patience_seconds=world.planning_patience_seconds,
        )
        self.dependencies = ActivityDependencies(self.runs, driver, self.activities)

    async def drive(self, most_timers: int = 100) -> None:
        await self.world.workflows.drive(self.dependencies, most_timers)
        for task in list(self.relay.background):
            await task

"""What a run owes to the audit and the topic: sent in batches, marked by the next write of the record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4

from coordinator.domain.audit_events import BATCH
from coordinator.domain.outbox import OutboxEntry
from coordinator.domain.request import read_request
from coordinator.domain.run import Run
from migration_sidecar.contract.audit import AuditReceipt
from migration_sidecar.contract.audit_detail import EVENT_BYTES
from migration_sidecar.contract.messages import AuditEvent
from services.cas_service.api.events import BODY_BYTES
from tests.unit.coordinator.fakes import Life, World

REQUEST = read_request({"services": "all"}, default_request_id="r-1")


async def accepted(world: World) -> tuple[Life, Run]:
    life = world.life()
    return life, await life.acceptance.accept(REQUEST)


async def delivered(life: Life, run: Run) -> None:
    await life.relay.deliver_to_audit(run)
    assert await life.relay.publish_progress(run)


async def test_a_run_that_owes_more_than_the_audit_reads_at_once_delivers_it_all_the_same(world: World) -> None:
    assert BATCH * EVENT_BYTES < BODY_BYTES
    life, run = await accepted(world)
    event = run.outbox[0].event
    notices = [OutboxEntry(event=event.model_copy(update={"event_id": uuid4()})) for _ in range(BATCH + 1)]
    sizes, append = [], world.audit.append

    async def counted(events: Sequence[AuditEvent]) -> AuditReceipt:
        sizes.append(len(events))
        return await append(events)

    world.audit.append = counted  # type: ignore[method-assign]
    await life.relay.deliver_to_audit(run.model_copy(update={"outbox": notices}))
    assert sizes == [BATCH, 1]


async def test_whatever_changes_the_record_next_marks_what_was_delivered(world: World) -> None:
    life, run = await accepted(world)
    await delivered(life, run)
    assert (await life.runs.update("r-1", lambda run: run.with_waiting_reason("the fleet"))).outbox == []


async def test_what_was_delivered_is_marked_also_where_nothing_else_changes(world: World) -> None:
    life, run = await accepted(world)
    await delivered(life, run)
    assert (await life.runs.write_deliveries("r-1")).outbox == []
    before = world.documents.documents["run-r-1"]
    await life.runs.write_deliveries("r-1")
    assert world.documents.documents["run-r-1"] == before


async def test_an_event_that_only_the_audit_has_stays_until_the_topic_has_it(world: World) -> None:
    life, run = await accepted(world)
    await life.relay.deliver_to_audit(run)
    assert [notice.recorded for notice in (await life.runs.write_deliveries("r-1")).outbox] == [True]


async def test_nothing_is_remembered_of_a_run_that_is_settled(world: World) -> None:
    life, _ = await accepted(world)
    await life.drive()
    run = await life.runs.read("r-1")
    assert run is not None
    assert run.settled
    assert life.runs.deliveries.of("r-1").recorded == set()


async def test_readers_know_what_the_audit_has_before_it_is_written(world: World) -> None:
    life, run = await accepted(world)
    assert run.audit == "pending"
    told = asyncio.create_task(life.change_notifier.wait("r-1", 5))
    await asyncio.sleep(0)
    await life.relay.deliver_to_audit(run)
    assert await told is None
    read = await life.runs.read("r-1")
    assert read is not None
    assert read.audit == "recorded"
    assert '"recorded": false' in world.documents.documents["run-r-1"][0]


async def test_two_tasks_that_deliver_at_once_publish_each_event_once(world: World) -> None:
    life, run = await accepted(world)
    await asyncio.gather(*(delivered(life, run) for _ in range(3)))
    assert len(world.topic.published) == 1

"""What the coordinator finds in Dapr state and has not written is shown, and never carried out or told the audit."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.adapters.signed_documents import FIELD, SignedDocuments
from coordinator.documents.keys import OwnKey, key_of_run
from coordinator.domain.audit_events import SOURCE as COORDINATOR
from coordinator.domain.audit_events import rejection_event
from coordinator.domain.request import MigrationRequest
from coordinator.domain.spooled_events import SpooledEvents
from coordinator.errors import NotJson
from coordinator.ports import Provenance, VersionedDocument
from coordinator.unavailable import AuditUnavailable, UnprovenRun
from signed_calls.key_folder import NextKey, make_key, private_file, public_folder, retire_old_keys
from signed_calls.keys import PublicKeys
from signed_calls.signer import Signer
from tests.unit.coordinator.fakes import START, MemoryDocuments, World

Make = Callable[..., SignedDocuments]


@pytest.fixture
def store() -> MemoryDocuments:
    return MemoryDocuments()


@pytest.fixture
def signing(tmp_path: Path, store: MemoryDocuments) -> Make:
    def make(inner: MemoryDocuments = store, name: str = COORDINATOR, **options: Any) -> SignedDocuments:
        make_key(tmp_path, name)
        signer = Signer.from_file(name, private_file(tmp_path, name))
        return SignedDocuments(inner, signer, PublicKeys(public_folder(tmp_path)), COORDINATOR, **options)

    return make


async def read(documents: SignedDocuments, key: str = "run-a") -> VersionedDocument:
    document = await documents.read(key)
    assert document is not None
    assert (await documents.read_many([key]))[key] == document
    return document


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
VALUES = st.dictionaries(st.text(min_size=1).filter(lambda name: name != FIELD), JSON, min_size=1, max_size=4)
once = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


def as_go_writes(value: Any) -> Any:
    """What encoding/json of Go does on the way: other order of names, whole numbers without a fraction."""
    if isinstance(value, dict):
        return {name: as_go_writes(each) for name, each in sorted(value.items(), reverse=True)}
    if isinstance(value, list):
        return [as_go_writes(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@once
@given(VALUES)
async def test_what_was_written_is_known_again_after_the_way_through_dapr(signing: Make, value: dict[str, Any]) -> None:
    inner = MemoryDocuments()
    documents = signing(inner)
    assert await documents.create("run-a", value)
    stored, number = inner.documents["run-a"]
    inner.documents["run-a"] = json.dumps(as_go_writes(json.loads(stored))), number
    document = await read(documents)
    assert (document.value, document.provenance) == (as_go_writes(value), Provenance.SIGNED)


@once
@given(VALUES, JSON)
async def test_a_changed_document_is_forged(signing: Make, value: dict[str, Any], other: Any) -> None:
    inner = MemoryDocuments()
    documents = signing(inner)
    await documents.create("run-a", value)
    stored = json.loads(inner.documents["run-a"][0])
    name = min(value)
    changed = stored | {name: [other, "more"]} if stored[name] != [other, "more"] else stored | {name: "else"}
    inner.documents["run-a"] = json.dumps(changed), 1
    assert (await read(documents)).provenance is Provenance.FORGED


async def test_a_document_belongs_to_its_key_and_to_its_writer(signing: Make, store: MemoryDocuments) -> None:
    documents = signing()
    await documents.create("run-a", {"x": 1})
    store.documents["run-b"] = store.documents["run-a"]
    assert (await read(documents, "run-b")).provenance is Provenance.FORGED
    await signing(name="cds-task").create("run-c", {"x": 1})
    assert (await read(documents, "run-c")).provenance is Provenance.FORGED
    store.documents["run-d"] = json.dumps({"x": 1}), 1
    assert (await read(documents, "run-d")).provenance is Provenance.UNSIGNED


@pytest.mark.parametrize("given", [None, 7, [], {}, {"signature": 7}, {"signature": "x", "signature-input": "y"}])
async def test_any_other_signature_is_none(signing: Make, store: MemoryDocuments, given: Any) -> None:
    store.documents["run-a"] = json.dumps({"x": 1, FIELD: given}), 1
    assert (await read(signing())).provenance is Provenance.FORGED


async def test_what_a_retired_key_has_signed_cannot_be_told(signing: Make, tmp_path: Path) -> None:
    documents = signing()
    await documents.create("run-a", {"x": 1})
    NextKey(tmp_path, COORDINATOR).publish()
    NextKey(tmp_path, COORDINATOR).use()
    retire_old_keys(tmp_path, COORDINATOR)
    assert (await read(signing())).provenance is Provenance.UNKNOWN_KEY
    assert (await read(signing(unsigned_are_ours=True))).provenance is Provenance.UNCHECKED


async def change_key(folder: Path) -> None:
    following = NextKey(folder, COORDINATOR)
    following.publish()
    following.use()


async def test_while_a_key_is_changed_its_documents_are_ours(signing: Make, tmp_path: Path) -> None:
    await signing().create("run-a", {"x": 1})
    await change_key(tmp_path)
    document = await read(signing())
    assert (document.provenance, document.provenance.is_ours) == (Provenance.SIGNED_BEFORE, True)


# --- runs and events ---


@pytest.fixture
def world(signing: Make) -> World:
    world = World()
    world.documents = signing(world.documents)  # type: ignore[assignment]
    return world


def stored(world: World) -> dict[str, tuple[str, int]]:
    return world.documents._documents.documents  # type: ignore[attr-defined,no-any-return]


def put(world: World, key: str, value: Any) -> None:
    stored(world)[key] = json.dumps(value), 1


async def a_run(world: World, request_id: str = "r-1", *, ended: bool) -> dict[str, Any]:
    """A record as the coordinator has written it."""
    life = world.life()
    await life.intake.accept(MigrationRequest(request_id=request_id, services="all"))
    if ended:
        await life.drive()
    document: dict[str, Any] = json.loads(stored(world)[key_of_run(request_id)][0])
    return document


async def test_a_run_that_we_have_written_is_carried_out_and_shown_as_signed(world: World) -> None:
    await a_run(world, ended=True)
    run = await world.life().runs.read("r-1")
    assert run is not None
    assert (run.state, run.is_signed) == ("succeeded", True)
    assert run.public()["is_signed"] is True


@pytest.mark.parametrize("forged", ["changed", "unsigned", "moved"])
async def test_an_open_run_that_somebody_else_has_written_is_not_carried_out(world: World, forged: str) -> None:
    record = await a_run(world, ended=False)
    if forged == "changed":
        record["request"]["reason"] = "another"
        put(world, "run-r-1", record)
    elif forged == "unsigned":
        del record[FIELD]
        put(world, "run-r-1", record)
    else:
        put(world, "run-r-1", json.loads(json.dumps(record).replace("r-1", "r-2")) | {"request_id": "r-1"})
    life = world.life()
    with pytest.raises(UnprovenRun):
        await life.runs.read("r-1")
    with pytest.raises(UnprovenRun):
        await life.runs.update("r-1", lambda run: run)
    await life.recovery_loop.run_once()
    with pytest.raises(UnprovenRun):
        await life.drive()
    assert world.audit.events == {}
    assert all(service.applied == [] for service in world.fleet.services.values())


async def test_an_ended_run_without_a_signature_is_shown_as_unsigned(world: World) -> None:
    record = await a_run(world, ended=True)
    del record[FIELD]
    put(world, "run-r-1", record)
    run = await world.life().runs.read("r-1")
    assert run is not None
    assert run.public()["is_signed"] is False
    put(world, "run-r-1", {**record, "reason": "x", FIELD: {}})
    with pytest.raises(UnprovenRun):
        await world.life().runs.read("r-1")


async def test_after_an_update_open_runs_of_an_earlier_release_are_carried_out_where_it_is_said(
    world: World, signing: Make
) -> None:
    record = await a_run(world, ended=False)
    del record[FIELD]
    put(world, "run-r-1", record)
    world.documents = signing(world.documents._documents, unsigned_are_ours=True)  # type: ignore[assignment,attr-defined]
    life = world.life()
    await life.drive()
    run = await life.runs.read("r-1")
    assert run is not None
    assert (run.state, run.is_signed) == ("succeeded", True)


async def test_a_round_of_recovery_signs_again_so_that_the_earlier_key_can_be_retired(
    world: World, signing: Make, tmp_path: Path
) -> None:
    world.audit.down = True
    await a_run(world, ended=True)  # it has ended, and owes the audit its events
    await world.life().rejections.record(
        rejection_event(("k",), START, NotJson("it is not.").problem(), request_id=None)
    )
    await change_key(tmp_path)
    world.documents = signing(world.documents._documents)  # type: ignore[assignment,attr-defined]
    await world.life().recovery_loop.run_once()
    with suppress(AuditUnavailable):
        await world.life().rejections.flush()
    retire_old_keys(tmp_path, COORDINATOR)
    world.documents = signing(world.documents._documents)  # type: ignore[assignment,attr-defined]
    world.audit.down = False
    life = world.life()
    await life.rejections.flush()
    run = await life.runs.read("r-1")
    assert run is not None
    assert (run.settled, run.is_signed) == (False, True)
    assert [each.event_type for each in world.audit.events.values()].count("migration.rejected") == 1


async def test_an_event_that_comes_while_the_spool_is_signed_again_is_not_lost(
    world: World, signing: Make, tmp_path: Path
) -> None:
    first, second = (
        rejection_event((key,), START, NotJson("it is not.").problem(), request_id=None) for key in ("first", "second")
    )
    world.audit.down = True
    await world.life().spool.record_once(first)
    await change_key(tmp_path)
    inner = world.documents._documents  # type: ignore[attr-defined]
    world.documents = signing(inner)  # type: ignore[assignment]
    other, replace = world.life(), inner.replace

    async def replace_and_add(key: str, value: Any, etag: str) -> bool:
        inner.replace = replace
        done = await replace(key, value, etag)
        await other.spool._store(second)
        return bool(done)

    inner.replace = replace_and_add
    world.audit.down = False
    await world.life().spool.flush()
    await world.life().spool.flush()
    assert {first.event_id, second.event_id} == set(world.audit.events)


@pytest.mark.parametrize("is_signed", [False, True])
async def test_an_event_that_somebody_else_has_put_into_the_spool_is_not_told(world: World, is_signed: bool) -> None:
    event = rejection_event(("k",), START, NotJson("it is not.").problem(), request_id="dave")
    value = SpooledEvents(events=[event]).model_dump(mode="json")
    if is_signed:
        await world.documents.create(OwnKey.SPOOL, value)
    else:
        put(world, OwnKey.SPOOL, value)
    await world.life().rejections.flush()
    assert bool(world.audit.events) is is_signed

"""Resubmitting a dead letter: one run, in the name of whoever asks, and the audit says where it came from."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from coordinator.api.subscriptions import handle_event
from coordinator.domain.catalog_file import read_catalog
from coordinator.domain.dead_letters.letter import BecameRun
from coordinator.domain.dead_letters.refusals import LetterNotResubmittable, NoSuchLetter
from coordinator.domain.permissions import NotPermitted, Proof, Requester
from coordinator.errors import BadSelection, CoordinatorError, IdempotencyConflict, UnknownService
from coordinator.runs.resubmission import Resubmission
from coordinator.unavailable import StateContended
from migration_sidecar.contract.messages import AuditEvent
from tests.unit.coordinator.at_the_doors import event, event_requesters
from tests.unit.coordinator.fakes import CATALOG, Died, Fate, Life, World

OPERATORS = """
[[operators]]
name = "ada"
may = ["request"]
[[operators]]
name = "bob"
may = ["request"]
[[operators]]
name = "clerk"
may = ["read"]
[[operators]]
name = "pipeline"
may = ["request"]
services = ["first"]
"""
LATE = """
[[services]]
name = "late"
database = "late_db"
"""


def signed(name: str) -> Requester:
    return Requester(Proof.SIGNED_CALL, name, f"{name}/1")


@pytest.fixture
def world() -> World:
    return World(catalog=read_catalog(CATALOG + OPERATORS))


def life_with(world: World, catalog: str = CATALOG + OPERATORS) -> Life:
    world.catalog = read_catalog(catalog)
    return world.life()


def resubmission(life: Life) -> Resubmission:
    return Resubmission(life.letters, life.intake, life.spool)


async def refused(life: Life, name: str = "e-1", **data: Any) -> str:
    """The id of the letter that is kept of an event which is refused for a service that is not in the catalog yet."""
    body = event(name, {"services": ["late"], **data})
    assert await handle_event(body, life.intake, event_requesters(), life.letters) == "DROP"
    return str((await life.letters.page(1, None)).letters[0].id)


def told(world: World, event_type: str) -> list[AuditEvent]:
    return [each for each in world.audit.events.values() if each.event_type == event_type]


async def test_what_is_right_by_the_rules_of_today_becomes_a_run_of_whoever_asks(world: World) -> None:
    letter_id = await refused(world.life(), requested_by="the publisher")
    life = life_with(world, CATALOG + LATE + OPERATORS)
    run = await resubmission(life).resubmit(letter_id, signed("ada"))
    assert (run.request_id, run.request.services, run.caller) == ("e-1", ["late"], "ada")
    letter = await life.letters.find(letter_id)
    assert letter.run is not None
    assert (letter.run.request_id, letter.run.by) == ("e-1", "ada")
    (about,) = told(world, "migration.resubmitted")
    assert (about.request_id, about.actor, about.outcome) == ("e-1", "ada", None)
    assert about.detail["actor_basis"] == "signed call, key ada/1"
    assert (about.detail["dead_letter"], about.detail["code"]) == (letter_id, "CM-201")


async def test_the_same_letter_twice_is_one_run_and_told_once_whoever_asks_again(world: World) -> None:
    letter_id = await refused(world.life())
    life = life_with(world, CATALOG + LATE + OPERATORS)
    runs = [await resubmission(life).resubmit(letter_id, signed(name)) for name in ("ada", "bob", "ada")]
    restarted = world.life()
    restarted.spool._known.clear()
    world.documents.documents.pop("rejections-pending")  # what is remembered of events that were told has an end
    runs.append(await resubmission(restarted).resubmit(letter_id, signed("bob")))
    assert {(run.request_id, run.caller) for run in runs} == {("e-1", "ada")}
    assert len(told(world, "migration.resubmitted")) == 1
    assert world.audit.conflicts == []


async def test_what_is_still_wrong_is_said_and_leaves_the_letter_as_it_is(world: World) -> None:
    life = world.life()
    letter_id = await refused(life)
    before = await life.letters.find(letter_id)
    with pytest.raises(UnknownService):
        await resubmission(life).resubmit(letter_id, signed("ada"))
    with pytest.raises(BadSelection):
        await resubmission(life).resubmit(await refused(life, "e-2", services=7), signed("ada"))
    assert await life.letters.find(letter_id) == before
    assert told(world, "migration.resubmitted") == []
    with pytest.raises(NoSuchLetter):
        await resubmission(life).resubmit("e-3", signed("ada"))


@pytest.mark.parametrize("name", ["clerk", "pipeline", "nobody"])
async def test_who_may_not_request_it_may_not_resubmit_it(world: World, name: str) -> None:
    letter_id = await refused(world.life())
    life = life_with(world, CATALOG + LATE + OPERATORS)
    before = dict(world.documents.documents)
    with pytest.raises(NotPermitted):
        await resubmission(life).resubmit(letter_id, signed(name))
    assert world.documents.documents == before
    assert await life.runs.read("e-1") is None


async def test_who_may_request_nothing_does_not_learn_which_letters_there_are(world: World) -> None:
    with pytest.raises(NotPermitted):
        await resubmission(world.life()).resubmit("e-1", signed("clerk"))


async def test_a_conflict_is_resubmitted_under_another_id(world: World) -> None:
    life = world.life()
    await handle_event(event("e-1"), life.intake, event_requesters(), life.letters)
    other = event("e-1", {"services": ["first"]})
    assert await handle_event(other, life.intake, event_requesters(), life.letters) == "DROP"
    (letter,) = (await life.letters.page(5, None)).letters
    with pytest.raises(IdempotencyConflict):
        await resubmission(life).resubmit(str(letter.id), signed("ada"))
    run = await resubmission(life).resubmit(str(letter.id), signed("ada"), "e-1-again")
    assert (run.request_id, run.request.services) == ("e-1-again", ["first"])


async def test_a_letter_never_becomes_a_second_run(world: World) -> None:
    letter_id = await refused(world.life())
    life = life_with(world, CATALOG + LATE + OPERATORS)
    assert (await resubmission(life).resubmit(letter_id, signed("ada"), "r-2")).request_id == "r-2"
    assert (await resubmission(life).resubmit(letter_id, signed("ada"))).request_id == "r-2"
    with pytest.raises(LetterNotResubmittable, match="r-2"):
        await resubmission(life).resubmit(letter_id, signed("ada"), "r-3")
    assert await life.runs.read("r-3") is None
    assert await life.runs.read("e-1") is None


async def test_what_became_a_run_is_that_run_also_where_the_rules_of_today_would_refuse_it(world: World) -> None:
    letter_id = await refused(world.life())
    life = life_with(world, CATALOG + LATE + OPERATORS)
    first = await resubmission(life).resubmit(letter_id, signed("ada"))
    await life.letters.change(UUID(letter_id), lambda one: one.model_copy(update={"event": "{}"}))
    assert await resubmission(life).resubmit(letter_id, signed("ada"), "e-1") == first
    with pytest.raises(NotPermitted):
        await resubmission(life).resubmit(letter_id, signed("pipeline"))


async def test_after_a_crash_before_a_conflict_the_letter_is_free_again(world: World) -> None:
    life = world.life()
    await handle_event(event("e-1"), life.intake, event_requesters(), life.letters)
    other = event("e-1", {"services": ["first"]})
    await handle_event(other, life.intake, event_requesters(), life.letters)
    (letter,) = (await life.letters.page(5, None)).letters
    crashed = BecameRun(request_id="e-1", at=world.clock(), by="ada")
    await life.letters.change(letter.id, lambda one: one.becoming(crashed))
    with pytest.raises(IdempotencyConflict):
        await resubmission(life).resubmit(str(letter.id), signed("ada"))
    assert (await resubmission(life).resubmit(str(letter.id), signed("ada"), "r-2")).request_id == "r-2"


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("dies_at", range(1, 18))  # it has 16 effects
async def test_a_crash_at_any_moment_leaves_one_run_of_one_letter_told_once(
    world: World, dies_at: int, before: bool
) -> None:
    letter_id = await refused(world.life())
    world.catalog = read_catalog(CATALOG + LATE + OPERATORS)
    fate = Fate(dies_at, before)
    with suppress(Died):
        await resubmission(world.life(fate)).resubmit(letter_id, signed("ada"), "r-2")
    life = world.life()
    run = await resubmission(life).resubmit(letter_id, signed("ada"), "r-2")
    assert [each.event_type for each in world.audit.events.values()].count("migration.resubmitted") == 1
    assert (run.request_id, world.audit.conflicts) == ("r-2", [])
    assert (await life.runs.index()).recent == ["r-2"]


async def test_while_the_run_cannot_be_stored_the_letter_stays_with_that_id(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer may have been lost, and the run be there: another id would be a second one."""
    letter_id = await refused(world.life())
    life = life_with(world, CATALOG + LATE + OPERATORS)
    with monkeypatch.context() as patched:

        async def contended(*_: Any) -> None:
            raise StateContended("index-of-runs")

        patched.setattr(life.runs, "create", contended)
        with pytest.raises(StateContended):
            await resubmission(life).resubmit(letter_id, signed("ada"), "r-2")
    with pytest.raises(LetterNotResubmittable):
        await resubmission(life).resubmit(letter_id, signed("ada"), "r-3")
    assert (await resubmission(life).resubmit(letter_id, signed("ada"))).request_id == "r-2"


async def test_a_run_is_accepted_while_the_audit_is_away_and_told_later(world: World) -> None:
    letter_id = await refused(world.life())
    life = life_with(world, CATALOG + LATE + OPERATORS)
    world.audit.down = True
    assert (await resubmission(life).resubmit(letter_id, signed("ada"))).request_id == "e-1"
    assert told(world, "migration.resubmitted") == []
    world.audit.down = False
    await life.rejections.flush()
    assert len(told(world, "migration.resubmitted")) == 1


async def test_somebody_whom_nobody_checks_is_not_named(world: World) -> None:
    letter_id = await refused(world.life(), requested_by="the publisher")
    life = life_with(world, CATALOG + LATE + OPERATORS)
    await resubmission(life).resubmit(letter_id)
    (about,) = told(world, "migration.resubmitted")
    assert about.actor is None


async def test_every_refusal_is_an_error_with_a_code(world: World) -> None:
    with pytest.raises(CoordinatorError) as caught:
        await resubmission(world.life()).resubmit("e-1", signed("ada"))
    assert caught.value.problem().code == "CM-604"

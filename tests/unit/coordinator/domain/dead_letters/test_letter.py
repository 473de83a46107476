"""One dead letter: known again however it is delivered, read again by the rules of today, and at most one run."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from coordinator.domain import audit_events
from coordinator.domain.dead_letters.letter import BecameRun, DeadLetter, letter_id, letter_of
from coordinator.domain.dead_letters.refusals import LetterNotResubmittable
from coordinator.domain.permissions import Proof, Requester
from coordinator.domain.request_parsing.cloud_event import ReceivedEvent
from coordinator.errors import BadRequestId, CoordinatorError, IdempotencyConflict, NotJson, UnknownService
from tests.unit.coordinator.at_the_doors import event
from tests.unit.coordinator.fakes import START

UNKNOWN = UnknownService("late", ["first"])


def letter(body: bytes = event("e-1", {"services": ["late"]}), error: CoordinatorError = UNKNOWN) -> DeadLetter:
    return letter_of(ReceivedEvent.parse(body), error, START, Requester(Proof.SIGNED_EVENT, "ada", "ada/1"))


def test_it_says_whose_it_is_when_it_came_and_what_was_wrong() -> None:
    one = letter()
    assert (one.request_id, one.event_id, one.source, one.published_by) == ("e-1", "e-1", "release-bot", "ada")
    assert (one.first_at, one.last_at, one.times) == (START, START, 1)
    assert (one.reason.code, one.reason.detail) == ("CM-201", UNKNOWN.detail)


def test_it_has_the_id_of_the_event_about_it_in_the_audit() -> None:
    body = event("e-1", {"services": ["late"]})
    received = ReceivedEvent.parse(body)
    rejected = audit_events.rejection_event(received.identity.key, START, UNKNOWN.problem(), request_id="e-1")
    assert letter(body).id == rejected.event_id
    asked, error = received.request(), IdempotencyConflict("e-1")
    conflict = audit_events.conflict_event("e-1", asked.digest, START, error.problem(), audit_events.UNKNOWN_ACTOR)
    assert letter(body, error).id == conflict.event_id


def test_two_bodies_under_one_known_id_are_two_letters_and_each_is_one_when_it_comes_as_a_dead_letter() -> None:
    error = IdempotencyConflict("e-1")
    ids = [
        letter_id(ReceivedEvent.parse(event("e-1", {"services": [name]}, topic=topic)), error)
        for name in ("first", "second")
        for topic in ("migrate.requested", "migrate.requested.dead")
    ]
    assert len(set(ids)) == 2
    assert ids[0] == ids[1]


def test_what_nobody_can_store_or_print_is_not_in_it() -> None:
    hostile = "a\0\ud800\x1b[2J postgresql://u:canary@h"
    one = letter(event(hostile, {"services": "all"}, source=hostile), NotJson(hostile + "x" * 5000, service=hostile))
    text = one.model_dump_json()
    json.dumps(one.model_dump(mode="json"), ensure_ascii=False).encode()
    assert "canary" not in text
    assert not set(one.event_id or "") & {"\0", "\ud800", "\x1b"}
    assert len(one.reason.detail) <= 2000


def test_the_same_event_with_another_content_replaces_it_and_the_times_are_counted() -> None:
    later = letter(event("e-1", {"services": 7}), NotJson("it is not."))
    both = letter().again(later.model_copy(update={"last_at": START + timedelta(hours=1)}), times=3)
    assert (both.times, both.first_at, both.last_at) == (4, START, START + timedelta(hours=1))
    assert (both.reason.code, both.event) == ("CM-101", later.event)


def test_a_letter_that_became_a_run_keeps_its_content_whatever_comes_under_its_id() -> None:
    became = letter().becoming(BecameRun(request_id="e-1", at=START))
    both = became.again(letter(event("e-1", {"services": 7}), NotJson("it is not.")), times=1)
    assert (both.times, both.event, both.reason, both.run) == (2, became.event, became.reason, became.run)


def test_it_is_read_again_by_the_rules_of_today() -> None:
    assert letter().request() == ReceivedEvent.parse(event("e-1", {"services": ["late"]})).request()
    with pytest.raises(CoordinatorError, match="neither"):
        letter(event("e-1", {"services": 7})).request()


def test_it_can_be_asked_for_under_another_id_also_where_its_own_is_none() -> None:
    for own in ({}, {"request_id": "a b"}, {"request_id": 7}):
        body = event("e-1", {"services": ["late"], **own})
        assert letter(body, BadRequestId("is wrong")).request("r-2").request_id == "r-2"


def test_once_it_became_a_run_it_means_that_run() -> None:
    became = letter().becoming(BecameRun(request_id="r-2", at=START, by="ada"))
    assert became.request().request_id == "r-2"
    assert became.becoming(BecameRun(request_id="r-2", at=START, by="bob")) == became
    with pytest.raises(LetterNotResubmittable, match="r-2"):
        became.becoming(BecameRun(request_id="r-3", at=START))


def test_where_the_run_was_refused_after_all_it_is_free_again() -> None:
    became = letter().becoming(BecameRun(request_id="r-2", at=START))
    assert became.without_run("r-2") == letter()
    assert became.without_run("r-3") == became


def test_of_what_only_the_beginning_was_kept_nothing_is_asked_for() -> None:
    with pytest.raises(LetterNotResubmittable, match="beginning"):
        letter(event("e-1", {"services": ["x" * 200_000]})).request()


def test_what_somebody_else_has_written_is_not_asked_for_in_anybodys_name() -> None:
    with pytest.raises(LetterNotResubmittable, match="signature"):
        letter().model_copy(update={"is_signed": False}).request()

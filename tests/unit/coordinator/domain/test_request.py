"""What may be asked for, and when two requests are the same."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from coordinator.domain.request import RELATIVE_TARGETS, MigrationRequest, read_request, request_id_for_event
from coordinator.domain.request_parsing.cloud_event import ReceivedEvent
from coordinator.errors import CoordinatorError
from migration_sidecar.contract.messages import Action, OperationRequest
from migration_sidecar.contract.request_id import REQUEST_ID
from migration_sidecar.contract.target import RequestableTarget


def read(**body: Any) -> MigrationRequest:
    return read_request(body, default_request_id="given-by-the-door")


def asked(body: bytes) -> MigrationRequest:
    return ReceivedEvent.parse(body).request()


def code_of(**body: Any) -> str:
    with pytest.raises(CoordinatorError) as caught:
        read(**body)
    return caught.value.problem().code


def test_only_the_services_must_be_given() -> None:
    request = read(services="all")
    assert request.request_id == "given-by-the-door"
    assert (request.action, request.target, request.on_failure, request.max_parallel) == ("upgrade", "head", "stop", 1)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "CM-202"),
        ({"services": []}, "CM-202"),
        ({"services": "everything"}, "CM-202"),
        ({"services": 7}, "CM-202"),
        ({"services": [7]}, "CM-202"),
        ({"services": ["a", "a"]}, "CM-202"),
        ({"services": [f"s{n}" for n in range(201)]}, "CM-202"),
        ({"services": "all", "request_id": ""}, "CM-103"),
        ({"services": "all", "request_id": "x" * 65}, "CM-103"),
        ({"services": "all", "request_id": "a\nb"}, "CM-103"),
        ({"services": "all", "request_id": "é"}, "CM-103"),
        ({"services": "all", "request_id": 41}, "CM-103"),
        ({"services": "all", "target": "base"}, "CM-203"),
        ({"services": "all", "target": {}}, "CM-203"),
        ({"services": "all", "target": {"a": "base"}}, "CM-203"),
        ({"services": "all", "target": {"a": "-1"}}, "CM-203"),
        ({"services": "all", "target": "branch@head"}, "CM-203"),
        ({"services": "all", "target": {"a": "branch@base"}}, "CM-203"),
        ({"services": "all", "target": {"a": "branch@-1"}}, "CM-203"),
        ({"services": "all", "target": {"a": "branch@r1"}}, "CM-203"),
        ({"services": "all", "target": {"a": "branch@HEAD"}}, "CM-203"),
        ({"services": "all", "target": {"a": "@head"}}, "CM-203"),
        ({"services": "all", "target": {"a": "a@b@head"}}, "CM-203"),
        ({"services": "all", "target": {"a": "a\nb@head"}}, "CM-203"),
        ({"services": "all", "target": {"a": "b" * 256 + "@head"}}, "CM-203"),
        ({"services": "all", "target": {"a": "x'; drop table y"}}, "CM-203"),
        ({"services": "all", "target": {"a": "r" * 256}}, "CM-203"),
        ({"services": ["a"], "target": {"b": "r1"}}, "CM-203"),
        ({"services": ["a"], "target": {"b": "heads"}}, "CM-203"),
        ({"services": ["a"], "beside_other_tables": ["b"]}, "CM-603"),
        ({"services": "all", "beside_other_tables": True}, "CM-603"),
        ({"services": "all", "beside_other_tables": "all"}, "CM-603"),
        ({"services": "all", "target": "current"}, "CM-203"),
        ({"services": "all", "target": {"a": "HEADS"}}, "CM-203"),
        ({"services": "all", "target": 1}, "CM-203"),
        ({"services": "all", "approved_by": "me"}, "CM-603"),
        ({"services": "all", "max_parallel": 0}, "CM-603"),
        ({"services": "all", "max_parallel": "2"}, "CM-603"),
        ({"services": "all", "max_parallel": True}, "CM-603"),
        ({"services": "all", "dry_run": "yes"}, "CM-603"),
        ({"services": "all", "action": "stamp"}, "CM-603"),
        ({"services": "all", "requested_by": ""}, "CM-603"),
        ({"services": None}, "CM-202"),
        ({"services": "all", "approved_by": None}, "CM-603"),
        ({"services": "all", "target": {"a": None}}, "CM-203"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(body: dict[str, Any], code: str) -> None:
    assert code_of(**body) == code


@pytest.mark.parametrize(
    "target",
    ["head", "heads", "2024.03.01_add_fees", "r" * 255, "r.1", "main@head", "a label-2@heads", "b" * 255 + "@head"],
)
def test_an_end_of_the_history_or_any_id_that_a_service_takes_is_a_target(target: str) -> None:
    request = read(services="all", target={"stock": target})
    assert (request.target_of("stock"), request.target_of("another")) == (target, "head")
    OperationRequest(operation_id="op", target=target)


IDS = st.from_regex(r"[A-Za-z0-9_.]{1,260}", fullmatch=True)


@given(
    target=st.one_of(st.text(max_size=5), IDS, st.builds("{}@{}".format, st.text(max_size=5), st.just("head") | IDS))
)
def test_what_may_be_asked_for_is_what_a_service_takes_as_a_target(target: str) -> None:
    try:
        TypeAdapter(RequestableTarget).validate_python(target)
    except ValidationError:
        assert code_of(services="all", target={"a": target}) == "CM-203"
    else:
        assume(target.lower() not in RELATIVE_TARGETS)
        assert read(services="all", target={"a": target}).target_of("a") == target


def test_all_heads_can_be_asked_of_every_service() -> None:
    request = read(services="all", target="heads")
    assert request.target_of("stock") == "heads"
    assert request.digest != read(services="all").digest


@pytest.mark.parametrize("on_failure", ["stop", "compensate"])
def test_how_many_may_fail_is_asked_only_of_a_run_that_goes_on_after_a_failure(on_failure: str) -> None:
    assert code_of(services="all", on_failure=on_failure, max_failures=1) == "CM-603"
    assert code_of(services="all", max_failures=1) == "CM-603"


@pytest.mark.parametrize("allowed", [1, 200, "0%", "5%", "20%", "100%"])
def test_how_many_may_fail_is_a_number_or_a_share(allowed: Any) -> None:
    assert read(services="all", on_failure="continue", max_failures=allowed).max_failures == allowed


@pytest.mark.parametrize(
    "allowed", [0, -1, 201, 1.5, True, "", "5", "%", "101%", "05%", "-5%", "5 %", "5.5%", "\u0665%", []]
)
def test_a_number_of_failures_that_is_neither_is_refused(allowed: Any) -> None:
    assert code_of(services="all", on_failure="continue", max_failures=allowed) == "CM-603"


def test_a_canary_is_among_the_services_and_named_once() -> None:
    assert read(services="all", first=["a"]).first == ["a"]
    assert read(services=["a", "b"], first=["b"]).first == ["b"]
    assert code_of(services=["a", "b"], first=["c"]) == "CM-603"
    assert code_of(services="all", first=["a", "a"]) == "CM-603"
    assert code_of(services="all", first="a") == "CM-603"
    assert code_of(services="all", first=[""]) == "CM-603"


@pytest.mark.parametrize("pause", [1, 86_400, "resume"])
def test_between_two_waves_a_run_pauses_for_seconds_or_until_somebody_resumes_it(pause: Any) -> None:
    assert read(services="all", pause_between=pause).pause_between == pause


@pytest.mark.parametrize("pause", [0, -1, 86_401, 1.5, True, "10", "10s", "for ever", []])
def test_a_pause_that_is_neither_is_refused(pause: Any) -> None:
    assert code_of(services="all", pause_between=pause) == "CM-603"


def test_a_downgrade_names_its_services_and_for_each_the_revision_to_go_back_to() -> None:
    request = read(services=["a", "b"], action="downgrade", target={"a": "r1", "b": "r2"})
    assert (request.alembic_action, request.target_of("a"), request.target_of("b")) == (Action.DOWNGRADE, "r1", "r2")


@pytest.mark.parametrize(
    "body",
    [
        {"services": ["a"]},
        {"services": ["a"], "target": "head"},
        {"services": ["a"], "target": "heads"},
        {"services": "all", "target": {"a": "r1"}},
        {"services": ["a", "b"], "target": {"a": "r1"}},
        {"services": ["a"], "target": {"a": "head"}},
        {"services": ["a"], "target": {"a": "heads"}},
        {"services": ["a"], "target": {"a": "branch@head"}},
        {"services": ["a"], "target": {"a": "base"}},
        {"services": ["a"], "target": {"a": "-1"}},
    ],
    ids=str,
)
def test_a_downgrade_without_a_revision_for_every_service_is_refused(body: dict[str, Any]) -> None:
    assert code_of(**body, action="downgrade") == "CM-203"


def test_a_downgrade_is_not_compensated() -> None:
    assert code_of(services=["a"], action="downgrade", target={"a": "r1"}, on_failure="compensate") == "CM-603"


@pytest.mark.parametrize("field", ["not_before", "deadline"])
def test_a_time_of_a_request_has_an_offset_and_means_one_moment(field: str) -> None:
    """What else is no time: windows/test_request_times.py."""
    request = read(services="all", **{field: "2026-12-01T22:00:00+01:00"})
    assert getattr(request.times, field) == datetime(2026, 12, 1, 21, tzinfo=UTC)
    assert code_of(services="all", **{field: "2026-12-01T22:00:00"}) == "CM-603"
    assert code_of(services="all", **{field: "2026-12-01"}) == "CM-603"
    assert code_of(services="all", **{field: 1_800_000_000}) == "CM-603"


def test_a_run_is_to_start_before_its_deadline() -> None:
    times = {"not_before": "2026-12-01T22:00:00+01:00", "deadline": "2026-12-01T22:00:00Z"}
    assert read(services="all", **times).times.deadline == datetime(2026, 12, 1, 22, tzinfo=UTC)
    assert code_of(services="all", not_before=times["deadline"], deadline=times["not_before"]) == "CM-603"


POLICIES: dict[str, dict[str, Any]] = {
    "max_failures": {"on_failure": "continue", "max_failures": 2},
    "first": {"first": ["a"]},
    "pause_between": {"pause_between": "resume"},
    "approval": {"approval": "required"},
    "not_before": {"not_before": "2027-01-01T00:00:00Z"},
    "deadline": {"deadline": "2027-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("field", POLICIES)
def test_a_policy_is_part_of_the_digest(field: str) -> None:
    said = POLICIES[field]
    assert read(services="all", **said).digest != read(services="all", **{**said, field: None}).digest


@pytest.mark.parametrize("field", ["max_failures", "first", "pause_between"])
def test_a_policy_that_nobody_asked_for_is_left_out_so_that_earlier_digests_stay(field: str) -> None:
    assert field not in read(services="all").model_dump()
    assert field in read(services="all", **POLICIES[field]).model_dump()


def test_whose_tables_are_other_peoples_is_said_service_by_service_and_left_out_where_nobody_says_it() -> None:
    """A run that an earlier release accepted is found again by the same digest."""
    said, unsaid = read(services="all", beside_other_tables=["a"]), read(services="all", beside_other_tables=[])
    assert said.digest != unsaid.digest == read(services="all").digest
    assert said.model_dump()["beside_other_tables"] == ["a"]
    assert "beside_other_tables" not in unsaid.model_dump()


def test_the_id_is_no_part_of_the_digest_and_everything_else_is() -> None:
    one = read(services="all", request_id="one")
    assert one.digest == read(services="all", request_id="two").digest
    assert one.digest == read(services="all", target="head", dry_run=False).digest
    others = [{"services": ["a"]}, {"services": "all", "dry_run": True}, {"services": "all", "reason": "x"}]
    assert len({one.digest, *(read(**other).digest for other in others)}) == 4


OPTIONAL = sorted(MigrationRequest.model_fields.keys() - {"services"})
GIVEN = {
    "target": {"a": "r1"},
    "max_parallel": 3,
    "dry_run": True,
    "requested_by": "ada",
    "reason": "x",
    "request_id": "r",
}


@pytest.mark.parametrize("field", OPTIONAL)
def test_null_for_an_optional_field_is_a_field_that_is_not_there(field: str) -> None:
    assert read(services="all", **{field: None}) == read(services="all")
    assert asked(event(data={"services": "all", field: None})) == asked(event())


@given(st.sets(st.sampled_from(sorted(GIVEN))), st.sets(st.sampled_from(OPTIONAL)))
def test_a_body_with_nulls_is_a_repeat_of_the_body_without_them(given: set[str], nulls: set[str]) -> None:
    body = {"services": "all", **{field: GIVEN[field] for field in given}}
    assert read(**{**dict.fromkeys(nulls), **body}).digest == read(**body).digest


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        ({"services": "all"}, "1a86858d02d94132b88723fb1d4c103e965a821d3d8ee34b0bee95ab2775fec4"),
        (
            {"services": ["a", "b"], **GIVEN, "not_before": None, "deadline": None},
            "fcee281e70623e2c34a703defba5a9231c0a66578fab3b84d9c852affefc073c",
        ),
    ],
)
def test_digests_of_bodies_that_were_accepted_before_stay_as_they_are(body: dict[str, Any], digest: str) -> None:
    assert read(**body).digest == digest


@given(st.text(min_size=1, max_size=100), st.text(min_size=1, max_size=100))
def test_every_event_gets_one_usable_id_whatever_its_own_looks_like(event_id: str, source: str) -> None:
    found = request_id_for_event(event_id, source)
    assert REQUEST_ID.fullmatch(found)
    assert found == request_id_for_event(event_id, source)


def event(**changes: Any) -> bytes:
    body = {"specversion": "1.0", "id": "e-1", "source": "s", "type": "t", "data": {"services": "all"}} | changes
    return json.dumps({name: value for name, value in body.items() if value != "absent"}).encode()


def test_an_event_without_a_request_id_is_known_by_its_own() -> None:
    assert asked(event()).request_id == "e-1"
    assert asked(event(data={"services": "all", "request_id": "mine"})).request_id == "mine"
    derived = asked(event(id="not fit: for use")).request_id
    assert derived == asked(event(id="not fit: for use")).request_id != asked(event(id="e 1")).request_id


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"specversion": "0.3"}, "CM-102"),
        ({"specversion": "absent"}, "CM-102"),
        ({"id": "absent"}, "CM-102"),
        ({"source": "absent"}, "CM-102"),
        ({"type": "absent"}, "CM-102"),
        ({"source": 5}, "CM-102"),
        ({"data": "absent"}, "CM-102"),
        ({"data": '{"services": "all"}'}, "CM-102"),
        ({"data": [1]}, "CM-102"),
        ({"data_base64": "e30="}, "CM-102"),
        ({"id": ""}, "CM-103"),
        ({"id": 5}, "CM-103"),
        ({"id": "x" * 10_000}, "CM-103"),
        ({"data": {"services": "all", "status": "done"}}, "CM-603"),
    ],
)
def test_an_event_that_is_none_is_refused_by_what_is_wrong_with_it(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(CoordinatorError) as caught:
        asked(event(**changes))
    assert caught.value.problem().code == code


def test_a_strangers_text_stands_in_a_sentence_short_and_escaped() -> None:
    with pytest.raises(CoordinatorError) as caught:
        read(services="all", request_id="\x1b[31m" + "é" * 500)
    assert caught.value.detail.isascii()
    assert "\x1b" not in caught.value.detail
    assert len(caught.value.detail) < 600

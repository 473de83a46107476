"""Who may what: one table of operators, asked for every call, event and command."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.audit_events import Actor
from coordinator.domain.catalog_file import read_catalog
from coordinator.domain.permissions import (
    EVERYTHING,
    UNCHECKED,
    UNVERIFIED_EVENT,
    NotPermitted,
    Operator,
    OperatorKind,
    Permission,
    Permissions,
    Proof,
    Requester,
)
from coordinator.errors import BadCatalog
from tests.unit.coordinator.fakes import CATALOG

SERVICES = ["first", "second", "third"]
permissions = st.lists(st.sampled_from(sorted(Permission)), min_size=1, unique=True)
some_services = st.lists(st.sampled_from(SERVICES), unique=True)
selections = st.one_of(st.just("all"), st.lists(st.sampled_from([*SERVICES, "unknown"]), min_size=1, unique=True))


def may(who: Permissions, requester: Requester, permission: Permission, services: object = ()) -> bool:
    try:
        who.require(requester, permission, services)  # type: ignore[arg-type]
    except NotPermitted:
        return False
    return True


@given(permissions, st.one_of(st.just("all"), some_services), st.sampled_from(Permission), selections)
def test_an_operator_may_what_the_file_says_for_the_services_it_names(
    held: list[Permission], own: list[str] | str, wanted: Permission, asked: list[str] | str
) -> None:
    who = Permissions([Operator.model_validate({"name": "ada", "may": held, "services": own})])
    has_permission = wanted in held or Permission.ADMIN in held or wanted is Permission.READ
    is_within = own == "all" or (asked != "all" and set(asked) <= set(own))
    assert may(who, Requester(Proof.SIGNED_CALL, "ada"), wanted, asked) is (has_permission and is_within)


@given(st.sampled_from(Permission), st.sampled_from(Proof), selections)
def test_whoever_is_named_and_no_operator_may_nothing(wanted: Permission, proof: Proof, asked: list[str] | str) -> None:
    who = Permissions([Operator(name="ada", may=[Permission.ADMIN])])
    assert not may(who, Requester(proof, "bob"), wanted, asked)


def test_an_event_that_nobody_signed_may_only_request() -> None:
    who = Permissions()
    assert {each for each in Permission if may(who, UNVERIFIED_EVENT, each)} == {Permission.REQUEST}
    assert {each for each in Permission if may(who, UNCHECKED, each)} == set(EVERYTHING)


@given(st.sampled_from(OperatorKind), st.sampled_from([Permission.APPROVE, Permission.ADMIN]), permissions)
def test_an_agent_that_is_said_to_approve_stops_the_start(
    kind: OperatorKind, approving: Permission, others: list[Permission]
) -> None:
    """`admin` includes `approve`, so it would say more than is true."""
    may = json.dumps([*others, approving])
    if kind is not OperatorKind.AGENT:
        assert read_catalog(CATALOG + entry(kind=f'"{kind}"', may=may)).operators[0].kind is kind
        return
    with pytest.raises(BadCatalog, match="ada is of the kind agent, which may never approve") as refused:
        read_catalog(CATALOG + entry(kind='"agent"', may=may))
    assert refused.value.code == "CM-701"


@given(permissions, st.sampled_from(Proof), selections)
def test_an_agent_may_never_approve_however_it_became_an_operator(
    held: list[Permission], proof: Proof, asked: list[str] | str
) -> None:
    """The second fence: an entry that was not read from a file is not looked at."""
    agent = Operator(name="ada", kind=OperatorKind.AGENT, may=[Permission.READ]).model_copy(update={"may": held})
    person = agent.model_copy(update={"kind": OperatorKind.PERSON})
    for wanted in Permission:
        expected = wanted is not Permission.APPROVE and may(Permissions([person]), Requester(proof, "ada"), wanted)
        assert may(Permissions([agent]), Requester(proof, "ada"), wanted, asked) is expected


def test_a_requester_that_is_an_operator_has_its_kind() -> None:
    who = Permissions([Operator(name="ada", kind=OperatorKind.AGENT, may=[Permission.REQUEST])])
    assert who.with_kind(Requester(Proof.SIGNED_CALL, "ada", "ada/1")).actor("bob") == Actor(
        "bob", "ada", "signed call, key ada/1", "agent"
    )
    for nobody in (Requester(Proof.SIGNED_CALL, "bob"), UNVERIFIED_EVENT, UNCHECKED):
        assert who.with_kind(nobody) == nobody


def test_a_proof_without_a_name_that_is_not_foreseen_may_nothing() -> None:
    assert not any(may(Permissions(), Requester(Proof.SIGNED_CALL), each) for each in Permission)


def entry(**changes: str) -> str:
    lines = {"name": '"ada"', "may": '["request"]'} | changes
    return "[[operators]]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())


@pytest.mark.parametrize(
    "text",
    [
        entry() + entry(),
        entry(name='"first"'),
        entry(name='"migration-coordinator"'),
        entry(name='"../ada"'),
        entry(may="[]"),
        entry(may='["everything"]'),
        entry(kind='"robot"'),
        entry(public_keys='["short"]'),
        entry(surprise="1"),
    ],
)
def test_an_entry_that_could_be_misunderstood_stops_the_start(text: str) -> None:
    with pytest.raises(BadCatalog) as refused:
        read_catalog(CATALOG + text)
    assert "operators" in str(refused.value) or "operator" in str(refused.value)


def test_without_entries_only_the_operator_of_set_up_may_something() -> None:
    assert [(each.name, each.may) for each in read_catalog(CATALOG).operators] == [("operator", [Permission.ADMIN])]
    assert read_catalog(CATALOG).fleet.events == "signed"

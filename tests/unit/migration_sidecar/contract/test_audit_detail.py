"""The list of what an audit event may say, and how its own writers keep to it."""

from __future__ import annotations

import pytest

from migration_sidecar.contract.audit_detail import (
    EVENT_BYTES,
    FACTS,
    LIMITS,
    encoded_size,
    error_without_literals,
    truncate_detail,
)
from migration_sidecar.contract.strict_json import quote_for_message

# What surrounds the detail: ids, names of services and revisions, all of them ASCII in what we write ourselves.
ENVELOPE_BYTES = 2600


@pytest.mark.parametrize("event_type", FACTS)
def test_whatever_a_writer_has_to_say_fits_into_an_event(event_type: str) -> None:
    facts = truncate_detail(event_type, dict.fromkeys(LIMITS, "x" * 20000))
    assert encoded_size(facts) + ENVELOPE_BYTES < EVENT_BYTES


def test_every_limit_is_of_a_fact_that_some_event_has() -> None:
    assert set(LIMITS) == {"actor_basis", "actor_kind", "cut", "requested_by"}.union(*FACTS.values())


def test_what_is_cut_is_named_and_stays_what_it_was_in_kind() -> None:
    facts = truncate_detail(
        "migration.finished", {"obstacles": [{"code": f"CM-{n}"} for n in range(2000)], "plan_digest": "a"}
    )
    assert facts["cut"] == ["obstacles"]
    assert facts["obstacles"][:2] == [{"code": "CM-0"}, {"code": "CM-1"}]
    assert facts["plan_digest"] == "a"


@pytest.mark.parametrize(
    "sentence",
    [
        "It was asked to stop and stopped at a whole revision.",
        "The lock of this database is held by pid 7 (psql).",
        "User ada may not do this in database orders: permission denied.",
    ],
)
def test_our_own_sentences_are_kept_as_they_are(sentence: str) -> None:
    assert error_without_literals(sentence) == sentence


def test_of_a_foreign_error_its_kind_is_kept() -> None:
    said = "Revision a2 stopped with UniqueViolation: key (Ada); the database is at the revision before it."
    assert (
        error_without_literals(said)
        == "Revision a2 stopped with UniqueViolation; the database is at the revision before it."
    )


def test_the_password_of_an_address_enters_nowhere() -> None:
    address = "postgresql://ada:hunter2@db.internal/tasks"
    facts = truncate_detail(
        "migration.requested", {"reason": f"moved to {address}", "services": [address], "target": {address: address}}
    )
    assert "hunter2" not in str(facts)
    assert facts["reason"] == "moved to postgresql://ada:***@db.internal/tasks"
    assert "hunter2" not in quote_for_message(address)
    assert "hunter2" not in quote_for_message("postgresql://ada:hunter2" + "x" * 100 + "@db")


@pytest.mark.parametrize("text", ["http://127.0.0.1:3500/v1.0", "release 41: orders@head", "10:30 ada@host"])
def test_what_only_looks_like_an_address_stays(text: str) -> None:
    assert truncate_detail("migration.requested", {"reason": text}) == {"reason": text}

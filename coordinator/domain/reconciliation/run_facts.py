"""What an audit event of a run must tell, by the run's record, and in which facts an event differs from that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from coordinator.domain.outbox import ToldEvent, payload_digest
from coordinator.domain.run import Run
from coordinator.domain.step import Step, step_facts
from migration_sidecar.contract.audit_detail import FACTS, truncate_detail
from migration_sidecar.contract.messages import RecordedAuditEvent

Facts = dict[str, str | int | None]

# Sentences for people, which each release shortens and cleans in its own manner.
FREE_TEXT = frozenset({"cut", "error", "obstacles"})
# A request whose event leaves one of these out hides what was asked.
ASKED = ("action", "reason", "services")
PAYLOAD = "payload"  # compared by its digest
FIRST_RELEASE = "request"  # it wrote everything that was asked under this name, and not how the actor is known


class Told(NamedTuple):
    """`facts` are compared by name; of `detail` each fact that the event has, with the values it may have."""

    facts: Facts
    detail: Mapping[str, tuple[Any, ...]]
    actors: tuple[str | None, ...] | None  # None where the record keeps no name for it


def told_by(run: Run, event_type: str, facts: Facts, step: Step | None = None) -> Told:
    """What the event of this type must tell of the run, or of one step of it."""
    claims = dict.fromkeys(FACTS[event_type]) | run.actor.facts
    if event_type == "migration.requested":
        claims |= run.asked | {"request_digest": run.request_digest}
    if step is not None:
        claims |= step_facts(step)
    cut = truncate_detail(event_type, claims)
    detail: dict[str, tuple[Any, ...]] = {
        name: (cut.get(name), value) for name, value in claims.items() if name not in FREE_TEXT
    }
    detail["plan_digest"] = (step.plan_digest if step else run.plan_digest,)
    return Told(facts, detail, (run.actor.name, run.actor.caller or run.actor.claimed))


def told_before(request_id: str, told: ToldEvent) -> Told:
    """What the record remembers of an event: its id, its kind, and the digest of all that it told if it has one."""
    facts: Facts = {"event_type": told.event_type, "request_id": request_id, "service": told.service}
    return Told(facts if told.sha256 is None else {**facts, PAYLOAD: told.sha256}, {}, None)


def differing(event: RecordedAuditEvent, told: Told) -> list[str]:
    """The names of the facts that the event tells otherwise, or hides."""
    names = [name for name, value in told.facts.items() if _fact(event, name) != value]
    if told.actors is not None and event.actor not in told.actors:
        names.append("actor")
    detail = _claims(event)
    names += [f"detail.{name}" for name, value in detail.items() if value not in told.detail.get(name, (value,))]
    names += [f"detail.{name}" for name in _needed(event, told) if name not in detail]
    return list(dict.fromkeys(names))


def hides_how_the_actor_is_known(event: RecordedAuditEvent, told: Told) -> bool:
    """Whether the event is of the first release, which did not write it: there is nothing to compare."""
    return "actor_basis" not in event.detail and told.detail.get("actor_basis", (None,))[0] is not None


def _claims(event: RecordedAuditEvent) -> dict[str, Any]:
    asked = event.detail.get(FIRST_RELEASE)
    claims = {name: value for name, value in event.detail.items() if name != FIRST_RELEASE}
    return claims | asked if isinstance(asked, dict) else claims


def _needed(event: RecordedAuditEvent, told: Told) -> list[str]:
    if told.actors is None:
        return []
    # Records of earlier releases do not have the kind, so an event whose record has it was written with it.
    always = ("actor_kind",)
    names = (*always, *ASKED) if event.event_type == "migration.requested" else always
    return [name for name in names if told.detail[name][0] is not None]


def _fact(event: RecordedAuditEvent, name: str) -> object:
    if name == PAYLOAD:
        return payload_digest(event)
    where, _, inside = name.partition(".")
    return event.detail.get(inside) if where == "detail" else getattr(event, where)

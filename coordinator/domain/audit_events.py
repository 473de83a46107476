"""Audit events of the coordinator. Each id is derived from what is reported, so that a repeat gets the same id."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from coordinator.domain.step import Step, step_facts
from migration_sidecar.contract.audit_detail import problem_facts, revision_list, truncate_detail
from migration_sidecar.contract.messages import AuditEvent, Problem, RecordedAuditEvent, ServiceStatus
from migration_sidecar.contract.strict_json import mask_url_passwords

SOURCE = "migration-coordinator"
EVENT_ID_NAMESPACE = uuid.UUID("c3a6f1d4-7d0b-5f3e-8a44-6b1f0c9a2e57")
BATCH = 60  # events in one request: the audit reads 1 MiB, and an event has at most 16 KiB


class Actor(NamedTuple):
    """Who asked for a run.

    `caller` is a verified name, `claimed` an unchecked one from the request. `basis` says how the name is known, and
    `kind` whether that operator is a person, a pipeline or an agent.
    """

    claimed: str | None = None
    caller: str | None = None
    basis: str | None = None  # None in records of earlier releases
    kind: str | None = None  # None where no operator is known, and in records of earlier releases

    @property
    def name(self) -> str | None:
        """The name that the audit shows: the checked one where there is one. Passwords in it are masked."""
        return self.caller or (self.claimed and mask_url_passwords(self.claimed))

    @property
    def facts(self) -> dict[str, Any]:
        """How the name is known, for the event's detail; the claimed name is kept beside the checked one."""
        earlier = f"dapr caller {self.caller}" if self.caller else "claimed" if self.claimed else None
        return {"actor_basis": self.basis or earlier, "actor_kind": self.kind, "requested_by": self.claimed}


UNKNOWN_ACTOR = Actor()


def deterministic_event_id(*facts: str | int) -> uuid.UUID:
    """The id of an event; equal facts give the same id in every process."""
    return uuid.uuid5(EVENT_ID_NAMESPACE, json.dumps(facts))


def rejection_id(key: tuple[str, ...]) -> uuid.UUID:
    """The id of the event about a refused message, and of the dead letter that is kept of it."""
    return deterministic_event_id("migration.rejected", *key)


def conflict_id(request_id: str, digest: str) -> uuid.UUID:
    """The id of the event about another body under a known id, and of the dead letter that is kept of it."""
    return deterministic_event_id(request_id, "migration.conflict", digest)


def run_event(
    event_type: str,
    request_id: str,
    actor: Actor,
    now: datetime,
    *,
    outcome: str | None = None,
    again: Sequence[str | int] = (),
    **facts: Any,
) -> AuditEvent:
    """An event about a whole run. Facts that such an event may not hold are left out, and long ones are cut.

    `again` tells an event apart from one of the same type that the run has told before, in an earlier round.
    """
    return AuditEvent(
        event_id=run_event_id(event_type, request_id, *again),
        event_type=event_type,
        occurred_at=now,
        source=SOURCE,
        request_id=request_id,
        actor=actor.name,
        outcome=outcome,
        detail=truncate_detail(event_type, {**actor.facts, **facts}),
    )


def run_event_id(event_type: str, request_id: str, *again: str | int) -> uuid.UUID:
    """The id of an event about a whole run."""
    return deterministic_event_id(request_id, event_type, *again)


def step_event_id(event_type: str, request_id: str, step: Step) -> uuid.UUID:
    """The id of an event about one step, of the operation and the round that it has."""
    again = [step.round] if step.round > 1 else []
    return deterministic_event_id(request_id, event_type, step.service, step.operation_id or "", *again)


def step_event(event_type: str, request_id: str, actor: Actor, now: datetime, step: Step) -> AuditEvent:
    """An event about one step; outcome and duration are there once the step has ended."""
    return AuditEvent(
        event_id=step_event_id(event_type, request_id, step),
        event_type=event_type,
        occurred_at=now,
        source=SOURCE,
        request_id=request_id,
        service=step.service,
        database=step.database,
        actor=actor.name,
        from_revision=revision_list(step.from_revisions),
        to_revision=revision_list(step.to_revisions),
        outcome=step.state.value if step.state.ended else None,
        duration_ms=step.duration_ms,
        detail=truncate_detail(event_type, {**actor.facts, **step_facts(step)}),
    )


def rejection_event(
    key: tuple[str, ...],
    now: datetime,
    problem: Problem,
    *,
    request_id: str | None,
    actor: Actor = UNKNOWN_ACTOR,
    **facts: Any,
) -> AuditEvent:
    """A refused message. `key` identifies the message: when it is delivered again, the event id is the same."""
    return AuditEvent(
        event_id=rejection_id(key),
        event_type="migration.rejected",
        occurred_at=now,
        source=SOURCE,
        request_id=request_id,
        service=problem.service and mask_url_passwords(problem.service),
        actor=actor.name,
        outcome="rejected",
        detail=truncate_detail("migration.rejected", {**actor.facts, **problem_facts(problem), **facts}),
    )


def rejections_dropped_event(since: datetime, now: datetime, codes: dict[str, int]) -> AuditEvent:
    """One event for many refusals that the rate limit keeps from being recorded one by one."""
    return AuditEvent(
        event_id=deterministic_event_id("migration.rejections_counted", since.isoformat(), now.isoformat()),
        event_type="migration.rejections_counted",
        occurred_at=now,
        source=SOURCE,
        outcome="rejected",
        detail=truncate_detail(
            "migration.rejections_counted", {"count": sum(codes.values()), "codes": codes, "since": since.isoformat()}
        ),
    )


def conflict_event(request_id: str, digest: str, now: datetime, problem: Problem, actor: Actor) -> AuditEvent:
    """A request whose id was used before with another body; one event per body, however often it is sent."""
    return AuditEvent(
        event_id=conflict_id(request_id, digest),
        event_type="migration.conflict",
        occurred_at=now,
        source=SOURCE,
        request_id=request_id,
        actor=actor.name,
        outcome="rejected",
        detail=truncate_detail(
            "migration.conflict", {**actor.facts, **problem_facts(problem), "request_digest": digest}
        ),
    )


def resubmission_event(
    letter_id: uuid.UUID, reason: Problem, request_id: str, actor: Actor, now: datetime
) -> AuditEvent:
    """A dead letter that somebody made a run of; `reason` is why it was none before."""
    return AuditEvent(
        event_id=deterministic_event_id("migration.resubmitted", str(letter_id), request_id),
        event_type="migration.resubmitted",
        occurred_at=now,
        source=SOURCE,
        request_id=request_id,
        actor=actor.name,
        detail=truncate_detail(
            "migration.resubmitted", {**actor.facts, "dead_letter": str(letter_id), "code": reason.code}
        ),
    )


def drift_event(status: ServiceStatus, now: datetime) -> AuditEvent:
    """A database that is not where its history and its journal say; one event per finding."""
    finding = [status.state.value, *status.current_revisions, "|", *status.head_revisions]
    return AuditEvent(
        event_id=deterministic_event_id("drift.found", status.service, status.database, *finding),
        event_type="drift.found",
        occurred_at=now,
        source=SOURCE,
        service=status.service,
        database=status.database,
        to_revision=revision_list(status.current_revisions),
        outcome=status.state.value,
        detail=truncate_detail(
            "drift.found",
            {
                "state": status.state.value,
                "current_revisions": status.current_revisions,
                "head_revisions": status.head_revisions,
                **({"code": status.error.code} if status.error else {}),
            },
        ),
    )


def acknowledgement_event(gap: str, about: RecordedAuditEvent, now: datetime, actor: Actor, reason: str) -> AuditEvent:
    """That somebody has looked at a gap which `audit reconcile` finds by the event `about`, and answers for it."""
    return AuditEvent(
        event_id=deterministic_event_id("gap.acknowledged", about.seq, now.isoformat()),
        event_type="gap.acknowledged",
        occurred_at=now,
        source=SOURCE,
        request_id=about.request_id,
        service=about.service,
        actor=actor.name,
        outcome="acknowledged",
        detail=truncate_detail(
            "gap.acknowledged", {**actor.facts, "gap": gap, "about_seq": about.seq, "reason": reason}
        ),
    )

"""Prints the tables of services, audit events and runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from coordinator.cli.table_layout import Column, show_table
from coordinator.client.audit_views import AuditEventView, AuditStandingView
from coordinator.client.views import RunView, ServiceView, now
from coordinator.presentation.formatting import duration, moment, style_of, summary, way
from coordinator.presentation.terminal_text import safe

RUNS = (
    Column("request"),
    Column("state"),
    Column("accepted", leaves=3, folds=True),
    Column("took", leaves=2),
    Column("steps", folds=True),
    Column("requested by", leaves=1),
)
FLEET = (
    Column("service"),
    Column("database", leaves=1),
    Column("state"),
    Column("at"),
    Column("head", leaves=2),
    Column("behind by", leaves=3),
    Column("note", folds=True),
)
AUDIT = (
    Column("seq", leaves=3),
    Column("occurred", leaves=5, folds=True),
    Column("event"),
    Column("service"),
    Column("revisions", folds=True),
    Column("outcome"),
    Column("took", leaves=2),
    Column("by", leaves=1),
)
REQUEST_OF_AN_EVENT = Column("request", leaves=4)


def state_cell(state: str) -> Text:
    """A state in its colour."""
    return safe(state, style_of(state))


def show_runs(console: Console, runs: Iterable[RunView]) -> None:
    """One row for each run."""
    rows = [
        (
            safe(run.request_id),
            state_cell(run.state),
            moment(run.accepted_at),
            duration(run.elapsed_seconds(now())) if run.finished_at else "",
            safe(summary(run)),
            safe(run.request.get("requested_by") or ""),
        )
        for run in runs
    ]
    if rows:
        show_table(console, RUNS, rows)
    else:
        console.print("No runs.")


def show_fleet(console: Console, services: Iterable[ServiceView]) -> None:
    """One row for each service."""
    rows = [
        (
            safe(service.service),
            safe(service.database),
            state_cell(service.state),
            safe(", ".join(service.current_revisions)),
            safe(", ".join(service.head_revisions)),
            str(len(service.pending) or ""),
            safe(_note(service), "yellow"),
        )
        for service in services
    ]
    show_table(console, FLEET, rows)


def show_audit_availability(console: Console, audit: AuditStandingView) -> None:
    """Prints a warning while the audit is away; otherwise nothing."""
    if audit.state == "away":
        console.print(
            safe(
                f"The audit has been away since {moment(audit.since)}, and nothing new starts until it is back:"
                f" {audit.reason} {audit.events_waiting} events of the coordinator wait.",
                "red",
            ),
            soft_wrap=True,
        )


def _note(service: ServiceView) -> str:
    holder = service.lock_holder
    notes = [service.reason] if service.reason else []
    notes += [f"lock held by {holder.application} (pid {holder.pid})"] if holder else []
    backlog = service.audit_backlog
    notes += [f"{backlog.events} events wait for the audit since {moment(backlog.since)}"] if backlog else []
    notes += [f"{service.error.code} {service.error.detail or service.error.title}"] if service.error else []
    return "; ".join(notes)


def show_audit(console: Console, events: Sequence[AuditEventView]) -> None:
    """One row for each event; with its request only if the events are of several runs."""
    if not events:
        console.print("No audit events.")
        return
    # On a narrow terminal there is no room for a column with the same value in every row.
    several_runs = len({event.request_id for event in events}) > 1
    rows = [[*_audit_row(event), *([safe(event.request_id)] if several_runs else [])] for event in events]
    show_table(console, (*AUDIT, REQUEST_OF_AN_EVENT) if several_runs else AUDIT, rows)


def _audit_row(event: AuditEventView) -> tuple[Text | str, ...]:
    return (
        str(event.seq),
        moment(event.occurred_at),
        safe(event.event_type),
        safe(event.service),
        safe(way(event)),
        safe(event.outcome, style_of(event.outcome)),
        duration(None if event.duration_ms is None else event.duration_ms / 1000),
        safe(event.actor or event.source),
    )

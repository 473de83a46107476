"""The tables of services, audit events and runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coordinator.cli.records import AuditEventView, RunView, ServiceView, now
from coordinator.cli.safe_text import safe
from coordinator.cli.wording import duration, moment, style_of, summary


def table_of(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def state_cell(state: str) -> Text:
    return safe(state, style_of(state))


def show_runs(console: Console, runs: Iterable[RunView]) -> None:
    table = table_of("request", "state", "accepted", "took", "steps", "requested by")
    for run in runs:
        took = duration(run.elapsed_seconds(now())) if run.finished_at else ""
        by = run.request.get("requested_by") or ""
        table.add_row(
            safe(run.request_id), state_cell(run.state), moment(run.accepted_at), took, safe(summary(run)), safe(by)
        )
    console.print(table if table.row_count else "No runs.")


def show_fleet(console: Console, services: Iterable[ServiceView]) -> None:
    table = table_of("service", "database", "state", "at", "head", "behind by", "note")
    for service in services:
        holder = service.lock_holder
        notes = [service.reason] if service.reason else []
        notes += [f"lock held by {holder.application} (pid {holder.pid})"] if holder else []
        notes += [f"{service.error.code} {service.error.detail or service.error.title}"] if service.error else []
        table.add_row(
            safe(service.service),
            safe(service.database),
            state_cell(service.state),
            safe(", ".join(service.current_revisions)),
            safe(", ".join(service.head_revisions)),
            str(len(service.pending) or ""),
            safe("; ".join(notes), "yellow"),
        )
    console.print(table)


def show_audit(console: Console, events: Sequence[AuditEventView]) -> None:
    # A column that says the same in every line is left out for the sake of a narrow terminal.
    several = len({event.request_id for event in events}) > 1
    table = table_of("seq", "occurred", "event", "service", "revisions", "outcome", "took", "by")
    table.columns[2].no_wrap = True
    if several:
        table.add_column("request", overflow="fold")
    for event in events:
        row: list[Text | str] = [
            str(event.seq),
            moment(event.occurred_at),
            safe(event.event_type),
            safe(event.service),
            safe(_way(event)),
            safe(event.outcome, style_of(event.outcome)),
            duration(None if event.duration_ms is None else event.duration_ms / 1000),
            safe(event.actor or event.source),
        ]
        table.add_row(*row, *([safe(event.request_id)] if several else []))
    console.print(table if table.row_count else "No audit events.")


def _way(event: AuditEventView) -> str:
    return " → ".join(revision for revision in (event.from_revision, event.to_revision) if revision)

"""Tables and problem lists for the commands that answer at once."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coordinator.cli.output import problem_text
from coordinator.cli.records import AuditEventView, PlanView, ProblemView, RunView, ServiceView, StepView, now
from coordinator.cli.safe_text import safe
from coordinator.cli.wording import change, count, duration, moment, revisions, style_of, summary


def table_of(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def state_cell(state: str) -> Text:
    return safe(state, style_of(state))


def show_run(console: Console, run: RunView) -> None:
    headline = Text("run ").append_text(safe(run.request_id, "bold")).append("  ").append_text(state_cell(run.state))
    console.print(headline)
    console.print(safe(_circumstances(run), "dim"))
    if run.steps:
        console.print(_steps(run.steps))
    show_problems(console, run)


def _circumstances(run: RunView) -> str:
    who, why = run.request.get("requested_by"), run.request.get("reason")
    facts = [
        f"accepted {moment(run.accepted_at)}" if run.accepted_at else "",
        f"by {who}" if who else "",
        f"for: {why}" if why else "",
        f"took {duration(run.elapsed_seconds(now()))}" if run.finished_at else "",
        f"audit {run.audit}" if run.audit else "",
        run.waiting_for,
    ]
    return " · ".join(fact for fact in facts if fact)


def _steps(steps: Iterable[StepView]) -> Table:
    table = table_of("service", "database", "state", "revisions", "applied", "took")
    for step in steps:
        table.add_row(
            safe(step.service),
            safe(step.database),
            state_cell(step.state),
            safe(change(step)),
            str(len(step.applied) or ""),
            duration(step.seconds),
        )
    return table


def show_problems(console: Console, run: RunView) -> None:
    """The run's own problem and each step's, every one with what to do about it."""
    problems = [(step.service, step.error) for step in run.steps if step.error]
    if run.error and run.error not in [error for _, error in problems]:
        problems.insert(0, ("", run.error))
    for service, problem in problems:
        _show_problem(console, problem, service)


def _show_problem(console: Console, problem: ProblemView, service: str = "") -> None:
    facts = [service or problem.service, problem.revision and f"revision {problem.revision}"]
    facts.append(problem.sqlstate and f"SQLSTATE {problem.sqlstate}")
    where = ", ".join(fact for fact in facts if fact)
    console.print(safe(where, "bold")) if where else None
    console.print(problem_text(problem.model_dump(), indent="  " if where else ""), soft_wrap=True)


def show_runs(console: Console, runs: Iterable[RunView]) -> None:
    table = table_of("request", "state", "accepted", "took", "steps", "requested by")
    for run in runs:
        took = duration(run.elapsed_seconds(now())) if run.finished_at else ""
        by = run.request.get("requested_by") or ""
        table.add_row(
            safe(run.request_id), state_cell(run.state), moment(run.accepted_at), took, safe(summary(run)), safe(by)
        )
    console.print(table if table.row_count else "No runs.")


def show_plan(console: Console, plans: Iterable[PlanView], *, with_sql: bool) -> None:
    for plan in plans:
        table = table_of("revision", "message", "kind")
        for revision in plan.revisions:
            kinds = [
                "in one transaction" if revision.transactional else "not transactional",
                "" if revision.reversible else "irreversible",
                "destroys data" if revision.destructive else "",
            ]
            kind = ", ".join(word for word in kinds if word)
            style = "red" if revision.destructive else "yellow" if not revision.transactional else ""
            table.add_row(safe(revision.id), safe(revision.message), Text(kind, style))
        console.print(_plan_headline(plan))
        console.print(table) if plan.revisions else None
        for problem in [*plan.obstacles, *([plan.error] if plan.error else [])]:
            console.print(problem_text(problem.model_dump(), indent="  "), soft_wrap=True)
        if with_sql:
            _show_sql(console, plan)


def _plan_headline(plan: PlanView) -> Text:
    line = safe(plan.service, "bold").append_text(safe(f" ({plan.database})  ", "dim"))
    if not plan.revisions and not plan.obstacles and not plan.error:
        return line.append_text(safe(f"nothing to do, at {revisions(plan.from_revisions)}", "green"))
    steps = count(len(plan.revisions), "revision")
    return line.append_text(safe(f"{revisions(plan.from_revisions)} → {revisions(plan.to_revisions)}, {steps}"))


def _show_sql(console: Console, plan: PlanView) -> None:
    for revision in plan.revisions:
        if revision.sql:
            console.print(safe(f"-- {plan.service} {revision.id} {revision.message}", "dim"), soft_wrap=True)
            for line in revision.sql.splitlines():
                console.print(safe(line.replace("\t", "    ")), soft_wrap=True)


def show_fleet(console: Console, services: Iterable[ServiceView]) -> None:
    table = table_of("service", "database", "state", "at", "head", "behind by", "note")
    for service in services:
        holder = service.lock_holder
        notes = [f"lock held by {holder.application} (pid {holder.pid})"] if holder else []
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


def show_audit(console: Console, events: Iterable[AuditEventView]) -> None:
    table = table_of("seq", "occurred", "event", "request", "service", "from", "to", "outcome", "took", "actor")
    for event in events:
        table.add_row(
            str(event.seq),
            moment(event.occurred_at),
            safe(event.event_type),
            safe(event.request_id),
            safe(event.service),
            safe(event.from_revision),
            safe(event.to_revision),
            safe(event.outcome, style_of(event.outcome)),
            duration(None if event.duration_ms is None else event.duration_ms / 1000),
            safe(event.actor or event.source),
        )
    console.print(table if table.row_count else "No audit events.")

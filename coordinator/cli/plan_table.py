"""Prints the plan of each service, and the obstacles."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from coordinator.cli.run_table import show_problem
from coordinator.cli.table_layout import Column, show_table
from coordinator.client.views import FleetPlanView, PlannedRevisionView, PlanView
from coordinator.presentation.formatting import count, is_beyond, revisions
from coordinator.presentation.terminal_text import safe

REVISIONS = (Column("revision"), Column("message", folds=True), Column("kind", folds=True))


def show_fleet_plan(console: Console, fleet_plan: FleetPlanView, *, with_sql: bool) -> None:
    """Prints the plans of all services with their warnings, then the obstacles."""
    for plan in fleet_plan.plans:
        _show_plan(console, plan)
        for warning in plan.warnings:
            show_problem(console, warning)
        if with_sql:
            _show_sql(console, plan)
    for obstacle in fleet_plan.obstacles:
        show_problem(console, obstacle)


def _show_plan(console: Console, plan: PlanView) -> None:
    console.print(_headline(plan))
    if not plan.revisions:
        return
    rows = [(safe(revision.id), safe(revision.message), _kind(revision)) for revision in plan.revisions]
    show_table(console, REVISIONS, rows)


def _kind(revision: PlannedRevisionView) -> Text:
    words = [
        "in one transaction" if revision.transactional else "not transactional",
        "" if revision.reversible else "irreversible",
        "destroys data" if revision.destructive else "",
    ]
    style = "red" if revision.destructive else "" if revision.transactional else "yellow"
    return Text(", ".join(word for word in words if word), style)


def _headline(plan: PlanView) -> Text:
    line = safe(plan.service, "bold").append_text(safe(f" ({plan.database})  ", "dim"))
    if not plan.revisions:
        current = f"nothing to do, at {revisions(plan.from_revisions)}"
        if sorted(plan.from_revisions) == sorted(plan.to_revisions) and is_beyond(plan.target, plan.from_revisions):
            return line.append_text(safe(f"{current}, already beyond the target {plan.target}", "yellow"))
        return line.append_text(safe(current, "green"))
    steps = count(len(plan.revisions), "revision")
    return line.append_text(safe(f"{revisions(plan.from_revisions)} → {revisions(plan.to_revisions)}, {steps}"))


def _show_sql(console: Console, plan: PlanView) -> None:
    for revision in plan.revisions:
        if revision.sql:
            console.print(safe(f"-- {plan.service} {revision.id} {revision.message}", "dim"), soft_wrap=True)
            for line in revision.sql.splitlines():
                console.print(safe(line.replace("\t", "    ")), soft_wrap=True)

"""Prints one whole run: who requested it, each step, and each problem with its next step."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from coordinator.cli.console import problem_text
from coordinator.cli.table_layout import Column, show_table
from coordinator.cli.tables import state_cell
from coordinator.client.views import ProblemView, RunView, StepView, now
from coordinator.presentation.formatting import change, count, duration, moment
from coordinator.presentation.terminal_text import safe

STEPS = (
    Column("service"),
    Column("database", leaves=1),
    Column("state"),
    Column("revisions", folds=True),
    Column("applied", leaves=3),
    Column("took", leaves=2),
)


def show_run(console: Console, run: RunView) -> None:
    """Prints the run, its steps, and its problems."""
    headline = Text("run ").append_text(safe(run.request_id, "bold")).append("  ").append_text(state_cell(run.state))
    console.print(headline)
    console.print(safe(_circumstances(run), "dim"))
    if run.steps:
        show_table(console, STEPS, [_row(step) for step in run.steps])
    show_waiting(console, run)
    for step in run.steps:
        if step.remark:
            console.print(safe(f"{step.service}: {step.remark}", "dim"))
    show_problems(console, run)


def _circumstances(run: RunView) -> str:
    who, why = run.request.get("requested_by"), run.request.get("reason")
    facts = [
        f"accepted {moment(run.accepted_at)}" if run.accepted_at else "",
        f"by {who}" if who else "",
        f"for: {why}" if why else "",
        f"took {duration(run.elapsed_seconds(now()))}" if run.finished_at else "",
        f"audit {run.audit}" if run.audit else "",
        "" if run.waiting else run.waiting_for,
    ]
    return " · ".join(fact for fact in facts if fact)


def show_waiting(console: Console, run: RunView) -> None:
    """Prints what a held run waits for, since when, what happens next, and which verbs are possible."""
    if run.ended or run.waiting is None:
        return
    since = f" (since {moment(run.waiting.since)})" if run.waiting.since else ""
    console.print(safe(f"waits: {run.waiting_for}{since}", "yellow"), soft_wrap=True)
    console.print(safe(f"next: {run.waiting.next}"), soft_wrap=True)
    if run.approval is not None and run.approval.state in ("awaited", "void"):
        approve = f"coordinator approve {run.request_id} --plan {run.plan_digest} --reason WHY"
        console.print(safe(f"to approve, as somebody else: {approve}"), soft_wrap=True)
    if run.possible:
        console.print(safe(f"possible: {', '.join(run.possible)}", "dim"))


def _row(step: StepView) -> tuple[Text | str, ...]:
    return (
        safe(step.service),
        safe(step.database),
        state_cell(step.state),
        safe(change(step)),
        str(len(step.applied) or ""),
        duration(step.seconds),
    )


def show_problems(console: Console, run: RunView) -> None:
    """Prints the problems of the run and of its steps, each once."""
    problems = [(step.service, step.error) for step in run.steps if step.error]
    problems += [(step.service, step.undo.error) for step in run.steps if step.undo and step.undo.error]
    # An obstacle of a service is also the error of its step.
    problems += [(each.service, each) for each in run.obstacles if (each.service, each) not in problems]
    if run.error and run.error not in [error for _, error in problems]:
        problems.insert(0, ("", _shortened(run.error, run.obstacles)))
    for service, problem in problems:
        show_problem(console, problem, service)


def _shortened(error: ProblemView, obstacles: list[ProblemView]) -> ProblemView:
    """The run's error without the details of its obstacles, because each obstacle is printed after it."""
    if not obstacles:
        return error
    detail = f"{count(len(obstacles), 'obstacle')} found before any database was touched; each is named below."
    return error.model_copy(update={"detail": detail})


def show_problem(console: Console, problem: ProblemView, service: str = "") -> None:
    """Prints one problem, with its service, revision and SQLSTATE if they are known."""
    facts = [service or problem.service, problem.revision and f"revision {problem.revision}"]
    facts.append(problem.sqlstate and f"SQLSTATE {problem.sqlstate}")
    where = ", ".join(fact for fact in facts if fact)
    if where:
        console.print(safe(where, "bold"))
    console.print(problem_text(problem.model_dump(), indent="  " if where else ""), soft_wrap=True)

"""Runs the commands that change nothing: status, plan, history."""

from __future__ import annotations

import typer
from rich.table import Table

from migration_sidecar.alembic_environment.history import History
from migration_sidecar.cli.options import Options
from migration_sidecar.cli.output import (
    escape,
    exit_code,
    first_line,
    out,
    plain,
    print_json,
    print_json_list,
    print_problem_details,
)
from migration_sidecar.cli.target_argument import full_target
from migration_sidecar.contract.messages import (
    Action,
    DatabaseState,
    MigrationPlan,
    OperationState,
    Problem,
    ServiceStatus,
)
from migration_sidecar.engine.engine import Engine

UNCOUNTED = {DatabaseState.UNREACHABLE, DatabaseState.UNKNOWN, DatabaseState.AHEAD, DatabaseState.FOREIGN}


def status(options: Options) -> None:
    """Prints the status and ends the program with its exit code."""

    async def ask(engine: Engine) -> ServiceStatus:
        return await engine.reader.status()

    answer = options.ask(ask)
    if options.as_json:
        print_json(answer)
    else:
        read = answer.state is not DatabaseState.UNREACHABLE
        at = (", ".join(answer.current_revisions) or "base") if read else "?"
        head = ", ".join(answer.head_revisions) or "?"
        behind = len(answer.pending) if answer.head_revisions and answer.state not in UNCOUNTED else "?"
        out.print(f"{escape(answer.service)}: [bold]{answer.state}[/], at {at}, head {head}, {behind} behind")
        print_problem_details(answer.error)
        print_problem_details(_interrupted(answer))
    raise typer.Exit(_exit_code(answer))


def _exit_code(answer: ServiceStatus) -> int:
    """0 if the whole status could be read and nothing but an upgrade is needed."""
    code = exit_code(answer.error) if answer.error is not None else 0
    return code or (4 if _interrupted(answer) else 0)


def _interrupted(answer: ServiceStatus) -> Problem | None:
    """The problem that a person must solve before the next upgrade."""
    last = answer.last_outcome
    if last is None or last.state is not OperationState.NEEDS_ATTENTION or answer.state is DatabaseState.AT_HEAD:
        return None
    return last.error


def plan(options: Options, target: str, *, sql: bool) -> None:
    """Prints what an upgrade would do. Exit code 1 if there are obstacles."""

    async def ask(engine: Engine) -> MigrationPlan:
        answer = await engine.reader.plan(Action.UPGRADE, await full_target(engine, Action.UPGRADE, target))
        return await engine.revision_files.with_sql(answer) if sql else answer

    answer = options.ask(ask)
    if options.as_json:
        print_json(answer)
    else:
        _print(answer)
    raise typer.Exit(1 if answer.obstacles else 0)  # as the upgrade would


def _print(answer: MigrationPlan) -> None:
    table = Table("revision", "message", "in a transaction", "reversible", "destructive")
    for each in answer.revisions:
        flags = ("yes" if flag else "no" for flag in (each.transactional, each.reversible, each.destructive))
        table.add_row(each.id, first_line(each.message), *flags)
    out.print(table if answer.revisions else "Nothing to do.")
    for each in answer.revisions:
        if each.no_sql is not None:
            typer.echo(f"\n-- {each.id}: no SQL can be shown, because {plain(each.no_sql)}.")
        elif each.sql is not None:  # typer.echo never folds a line, so that it stays SQL
            typer.echo(f"\n-- {each.id}\n{plain(each.sql)}" if each.sql else f"\n-- {each.id}: nothing to run")
    for problem in (*answer.obstacles, *answer.warnings):
        print_problem_details(problem)


def history(options: Options) -> None:
    """Prints every revision, newest first."""

    async def ask(engine: Engine) -> tuple[History, ServiceStatus]:
        return await engine.revision_files.history(), await engine.reader.status()

    known, at = options.ask(ask)
    if options.as_json:
        print_json_list([known.revisions[name].planned(Action.UPGRADE) for name in reversed(known.order)])
        return
    here = [] if at.state is DatabaseState.UNKNOWN else at.current_revisions
    for name in reversed(known.order):
        mark = "→" if name in here else " "
        out.print(f"{mark} {name}  {first_line(known.revisions[name].message)}", soft_wrap=True)

"""`migration-sidecar`: the same engine from a shell, in any folder with an alembic.ini."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import uuid4

import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table

from migration_sidecar.engine import Engine
from migration_sidecar.errors import ProblemError, UnknownTarget
from migration_sidecar.history import History
from migration_sidecar.messages import (
    Action,
    DatabaseState,
    MigrationPlan,
    Operation,
    OperationRequest,
    OperationState,
    Problem,
    ServiceStatus,
)
from migration_sidecar.settings import read_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich", help=__doc__)
out, remarks = Console(highlight=False), Console(stderr=True, highlight=False)

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The environment's alembic.ini.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
TargetArgument = Annotated[str, typer.Argument(help="head, heads, a full revision id, or relative: -1, +1.")]
DEFAULT_CONFIG = Path("alembic.ini")
EXIT = {OperationState.SUCCEEDED: 0, OperationState.NEEDS_ATTENTION: 4}
Answer = TypeVar("Answer")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@app.command()
def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Where the database stands; read by SQL, so a broken revision file does not break it."""

    async def ask(engine: Engine) -> ServiceStatus:
        return await engine.reader.status()

    answer = _run(config, ask)
    if as_json:
        _print_json(answer)
    else:
        known = answer.state is not DatabaseState.UNREACHABLE
        at = (", ".join(answer.current_revisions) or "base") if known else "?"
        head, behind = ", ".join(answer.head_revisions) or "?", len(answer.pending) if known else "?"
        out.print(f"{escape(answer.service)}: [bold]{answer.state}[/], at {at}, head {head}, {behind} behind")
        _show(answer.error)
    raise typer.Exit(3 if answer.state == "unreachable" else 0)


@app.command()
def plan(
    target: TargetArgument = "head",
    config: ConfigOption = DEFAULT_CONFIG,
    sql: Annotated[bool, typer.Option("--sql", help="Show each revision's SQL where it can be rendered.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What an upgrade would do; nothing is touched."""

    async def ask(engine: Engine) -> MigrationPlan:
        found = await engine.reader.plan(Action.UPGRADE, await _full_target(engine, Action.UPGRADE, target))
        return await engine.scripts.with_sql(found) if sql else found

    answer = _run(config, ask)
    if as_json:
        _print_json(answer)
        return
    table = Table("revision", "message", "in a transaction", "reversible", "destructive")
    for each in answer.revisions:
        flags = ("yes" if flag else "no" for flag in (each.transactional, each.reversible, each.destructive))
        table.add_row(each.id, escape(each.message), *flags)
    out.print(table if answer.revisions else "Nothing to do.")
    for each in answer.revisions:
        if each.sql:
            out.print(f"\n-- {each.id}\n{_plain(each.sql)}", markup=False)
    for problem in (*answer.obstacles, *answer.warnings):
        _show(problem)


@app.command()
def upgrade(
    target: TargetArgument = "head", config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """Apply revisions up to the target, under the lock and with a journal."""
    _migrate(Action.UPGRADE, target, config, as_json)


@app.command(context_settings={"ignore_unknown_options": True})
def downgrade(target: TargetArgument, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Revert revisions down to the target: a full revision id, or -1 for the newest one."""
    _migrate(Action.DOWNGRADE, target, config, as_json)


@app.command()
def history(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Every revision, newest first."""

    async def ask(engine: Engine) -> tuple[History, ServiceStatus]:
        return await engine.scripts.history(), await engine.reader.status()

    known, at = _run(config, ask)
    if as_json:
        typer.echo(_json([known.revisions[name].planned(Action.UPGRADE) for name in reversed(known.order)]))
        return
    for name in reversed(known.order):
        mark = "→" if name in at.current_revisions else " "
        out.print(f"{mark} {name}  {escape(known.revisions[name].message)}", soft_wrap=True)


@app.command()
def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    port: Annotated[int, typer.Option(help="Port on loopback.")] = 8080,
) -> None:
    """Give the endpoint to a service that is not a FastAPI application."""
    import uvicorn

    from migration_sidecar.service import make_app

    uvicorn.run(make_app(config), host="127.0.0.1", port=port, access_log=False)


def _migrate(action: Action, target: str, config: Path, as_json: bool) -> None:
    async def ask(engine: Engine) -> Operation:
        request = _request(action, await _full_target(engine, action, target))
        operation = await engine.operations.accept(request, way_in="by hand")
        told = None
        try:
            while not operation.state.ended:
                operation = await engine.operations.find(request.operation_id, wait_seconds=0.5)
                if operation.waiting_for and operation.waiting_for != told:
                    told = operation.waiting_for
                    remarks.print(escape(told))
        finally:
            if not operation.state.ended:
                await engine.operations.cancel(request.operation_id)
        return operation

    answer = _run(config, ask)
    if as_json:
        _print_json(answer)
    else:
        for each in answer.applied:
            word = "applied" if each.action is Action.UPGRADE else "reverted"
            out.print(f"  {word} {each.revision} in {each.duration_ms} ms")
        colour = "green" if answer.state is OperationState.SUCCEEDED else "red"
        at = ", ".join(answer.current_revisions) or "base"
        what = "unchanged" if answer.state is OperationState.SUCCEEDED and not answer.applied else answer.state
        out.print(f"[{colour}]{escape(answer.service)}: {what}[/], at {at}")
        _show(answer.error)
    raise typer.Exit(EXIT.get(answer.state, 1))


def _request(action: Action, target: str) -> OperationRequest:
    who = f"{getpass.getuser()}@{os.uname().nodename}"
    try:
        return OperationRequest(operation_id=f"by-hand-{uuid4()}", action=action, target=target, requested_by=who)
    except ValidationError:
        raise UnknownTarget(target) from None


async def _full_target(engine: Engine, action: Action, target: str) -> str:
    """Alembic's relative targets as full ids; the endpoint takes full ids only."""
    sign, steps = target[:1], target[1:]
    if sign not in ("+", "-") or not steps.isdigit() or not int(steps):
        return target
    if (sign == "+") != (action is Action.UPGRADE):
        raise UnknownTarget(target)
    known, at = await engine.scripts.history(), await engine.reader.status()
    way = known.between(action, at.current_revisions, "head" if sign == "+" else "base")[: int(steps)]
    if len(way) < int(steps):
        raise UnknownTarget(target)
    if sign == "+":
        return way[-1].id
    below = known.heads_after(action, at.current_revisions, way)
    return below[0] if below else "base"


def _run(config: Path, ask: Callable[[Engine], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        engine = Engine(read_settings(config))
        try:
            return await ask(engine)
        finally:
            await engine.close()

    try:
        return asyncio.run(run())
    except ProblemError as error:
        _show(error.problem)
        raise typer.Exit(3 if error.problem.code.startswith("CM-5") else 2) from None


def _plain(text: str) -> str:
    """Text of a revision file must not draw on the terminal."""
    return CONTROL.sub("�", text)


def escape(text: str) -> str:
    return escape_markup(_plain(text))


def _show(problem: Problem | None) -> None:
    if problem is not None:
        remarks.print(f"[bold red]{problem.code}[/] [bold]{escape(problem.title)}[/]")
        remarks.print(f"  why   {escape(problem.detail)}\n  next  {escape(problem.next_step)}")


def _print_json(answer: BaseModel) -> None:
    typer.echo(answer.model_dump_json(by_alias=True, exclude_none=True, indent=2))


def _json(answers: list[Any]) -> str:
    return "[" + ",\n".join(each.model_dump_json(by_alias=True, exclude_none=True) for each in answers) + "]"


def main() -> None:
    app()

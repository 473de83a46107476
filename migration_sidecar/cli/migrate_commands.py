"""Runs the commands upgrade and downgrade, and prints how they ended."""

from __future__ import annotations

import getpass
import os
from asyncio import CancelledError
from uuid import uuid4

import typer
from pydantic import ValidationError

from migration_sidecar.cli.options import INTERRUPTED, Options
from migration_sidecar.cli.output import escape, out, print_json, print_problem_details, remarks
from migration_sidecar.cli.target_argument import full_target
from migration_sidecar.contract.errors import UnknownOperation, UnknownTarget
from migration_sidecar.contract.messages import Action, Operation, OperationRequest, OperationState
from migration_sidecar.engine.engine import Engine
from migration_sidecar.protocol.origin import Origin

EXIT = {OperationState.SUCCEEDED: 0, OperationState.NEEDS_ATTENTION: 4}


def upgrade(options: Options, target: str) -> None:
    """Ends the program: 0 succeeded, 4 needs attention, 130 interrupted, 1 otherwise."""
    _migrate(options, Action.UPGRADE, target)


def downgrade(options: Options, target: str) -> None:
    """As `upgrade`, downwards."""
    _migrate(options, Action.DOWNGRADE, target)


def _migrate(options: Options, action: Action, target: str) -> None:
    async def ask(engine: Engine) -> tuple[Operation, bool]:
        absolute = await full_target(engine, action, target)
        return await _execute(engine, _request(action, absolute, beside_other_tables=options.beside_other_tables))

    answer, interrupted = options.ask(ask)
    if options.as_json:
        print_json(answer)
    else:
        _print(answer)
    raise typer.Exit(EXIT.get(answer.state, INTERRUPTED if interrupted else 1))


async def _execute(engine: Engine, request: OperationRequest) -> tuple[Operation, bool]:
    """The ended operation, and whether Ctrl-C cancelled it."""
    try:
        return await _follow(engine, request), False
    except CancelledError:
        try:  # a stored operation would be continued by the next replica that starts
            return await engine.operations.cancel(request.operation_id), True
        except UnknownOperation:
            remarks.print("Nothing was changed.")
            raise CancelledError from None


async def _follow(engine: Engine, request: OperationRequest) -> Operation:
    """Waits for the end of the operation, and prints on stderr what it waits for."""
    operation = await engine.operations.accept(request, origin=Origin.BY_HAND)
    shown = None
    while not operation.state.ended:
        operation = await engine.operations.find(request.operation_id, wait_seconds=0.5)
        if operation.waiting_for and operation.waiting_for != shown:
            shown = operation.waiting_for
            remarks.print(escape(shown), soft_wrap=True)
    return operation


def _print(answer: Operation) -> None:
    for each in answer.applied:
        word = "applied" if each.action is Action.UPGRADE else "reverted"
        out.print(f"  {word} {each.revision} in {each.duration_ms} ms")
    colour = "green" if answer.state is OperationState.SUCCEEDED else "red"
    at = ", ".join(answer.current_revisions) or "base"
    what = "unchanged" if answer.state is OperationState.SUCCEEDED and not answer.applied else answer.state
    out.print(f"[{colour}]{escape(answer.service)}: {what}[/], at {at}")
    print_problem_details(answer.error)


def _request(action: Action, target: str, *, beside_other_tables: bool) -> OperationRequest:
    who = f"{getpass.getuser()}@{os.uname().nodename}"
    try:
        return OperationRequest(
            operation_id=f"by-hand-{uuid4()}",
            action=action,
            target=target,
            beside_other_tables=beside_other_tables,
            requested_by=who,
        )
    except ValidationError:
        raise UnknownTarget(target) from None

"""The options that several commands share, and the checks made before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from coordinator.client.errors import BadInput
from migration_sidecar.contract.request_id import REQUEST_ID

ENDS = ("head", "heads")

Services = Annotated[list[str] | None, typer.Argument(metavar="SERVICE", help="Names as in fleet.toml.")]
All = Annotated[bool, typer.Option("--all", help="Every service of the fleet that has a database.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON and nothing else on stdout.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="COORDINATOR_URL",
        help="Talk to the coordinator at this address instead of through the sidecar at DAPR_HTTP_PORT (3500).",
        show_default=False,
    ),
]
RequestIdArgument = Annotated[str, typer.Argument(metavar="ID", help="The request id.")]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="[SERVICE=]TARGET",
        help="SERVICE=REVISION: a full revision id instead of head, or heads for all of several; repeatable. "
        "Without a service, head or heads for all that are named.",
    ),
]


def examples(*commands: str) -> str:
    """One line each under the help of a command."""
    return "\n\n".join(["Examples:", *(f"    {command}" for command in commands)])


def request_id(value: str) -> str:
    if not REQUEST_ID.fullmatch(value):
        raise BadInput(
            "That is no request id",
            "a request id has 1 to 64 letters, digits, - or _",
            "coordinator runs lists the ids there are",
            code="CM-103",
        )
    return value


def selection(services: list[str] | None, everything: bool, targets: list[str] | None = None) -> dict[str, Any]:
    """The `services` and `target` of a request; a service with a target of its own need not be named twice."""
    target = _targets(targets or [])
    names = list(services or []) or (list(target) if isinstance(target, dict) else [])
    if everything and services:
        raise BadInput("Both --all and services were named", "only one can be meant", "leave out one of them", "CM-202")
    if not everything and not names:
        raise BadInput(
            "No service was named", "nothing is migrated by default", "name services, or say --all", "CM-202"
        )
    chosen: dict[str, Any] = {"services": "all" if everything else names}
    return chosen | {"target": target} if target else chosen


def _targets(texts: list[str]) -> str | dict[str, str]:
    """One for all, or one for each of some."""
    ends = [text for text in texts if text in ENDS]
    if ends and len(texts) > 1:
        raise BadInput(
            "These targets cannot go together",
            f"{ends[0]!r} is for all services, and there is another target beside it",
            f"give each service its own: --target cds-client={ends[0]}",
            "CM-203",
        )
    return ends[0] if ends else dict(_target(text) for text in texts)


def _target(text: str) -> tuple[str, str]:
    service, equals, revision = text.partition("=")
    if not (service and equals and revision):
        raise BadInput(
            "That is no target",
            f"{text!r} is not of the form SERVICE=REVISION, and neither head nor heads",
            "write --target cds-client=0a1b2c3d",
            "CM-203",
        )
    return service, revision


def given(parameters: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Without what was left out, so that the coordinator's own defaults hold."""
    return {name: value for name, value in parameters if value is not None}

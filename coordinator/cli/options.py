"""Options that several commands share, and checks of arguments before anything is sent."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from typing import Annotated, Any
from uuid import uuid4

import typer

from coordinator.client.errors import BadInput
from migration_sidecar.contract.request_id import REQUEST_ID
from migration_sidecar.contract.target import ENDS

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
NewRequestId = Annotated[
    str | None,
    typer.Option(
        "--request-id",
        help="If the id is used again, it means the same run, never a second run. Default: a new UUID.",
        show_default=False,
    ),
]
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for the audit.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Plan and check everything, change nothing.")]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="[SERVICE=]TARGET",
        help="SERVICE=TARGET: a full revision id, head, heads if there are several heads, or BRANCH@head for one of "
        "them; repeatable. Without a service, head or heads for all named services.",
    ),
]
Beside = Annotated[
    list[str] | None,
    typer.Option(
        "--beside-other-tables",
        metavar="SERVICE",
        help="The tables in this service's database, without a version row, are other people's (CM-552); repeatable.",
    ),
]


def examples(*commands: str) -> str:
    """The text with examples under the help of a command, one command in each line."""
    return "\n\n".join(["Examples:", *(f"    {command}" for command in commands)])


def request_id(value: str) -> str:
    """The value, if it is a request id. Raises BadInput otherwise."""
    if not REQUEST_ID.fullmatch(value):
        raise BadInput(
            "This is not a request id",
            "a request id has 1 to 64 letters, digits, - or _",
            "coordinator runs lists the known ids",
            code="CM-103",
        )
    return value


def selection(
    services: list[str] | None, everything: bool, targets: list[str] | None = None, beside: list[str] | None = None
) -> dict[str, Any]:
    """`services`, `target` and `beside_other_tables` of a request. What a target names need not be named again.

    Raises BadInput if nothing is selected, or if the arguments contradict each other.
    """
    target = _targets(targets or [])
    names = list(services or []) or (list(target) if isinstance(target, dict) else [])
    if everything and services:
        raise BadInput("Both --all and services were named", "only one is possible", "leave out one of them", "CM-202")
    if not everything and not names:
        raise BadInput(
            "No service was named", "nothing is migrated by default", "name services, or use --all", "CM-202"
        )
    chosen: dict[str, Any] = {"services": "all" if everything else names}
    return chosen | without_empty({"target": target, "beside_other_tables": beside})


def request_body(
    request_id_given: str | None, chosen: dict[str, Any], *, reason: str | None, dry_run: bool
) -> dict[str, Any]:
    """The body of a request. The id is made here, so that a repeat after a lost answer is the same request."""
    identity = request_id(request_id_given if request_id_given is not None else str(uuid4()))
    details = {"requested_by": user_name(), "reason": reason, "dry_run": dry_run or None}
    return {"request_id": identity, **chosen, **without_unset(details.items())}


def user_name() -> str | None:
    """The name of who runs the command, as the machine knows it; it is a claim, and the key is the proof."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, the user may have no name
        return None


def _targets(texts: list[str]) -> str | dict[str, str]:
    """One target for all services, or a target for each named service."""
    ends = [text for text in texts if text in ENDS]
    if ends and len(texts) > 1:
        raise BadInput(
            "These targets cannot be used together",
            f"{ends[0]!r} is for all services, and there is another target",
            f"give each service its own target: --target cds-client={ends[0]}",
            "CM-203",
        )
    return ends[0] if ends else dict(_target(text) for text in texts)


def _target(text: str) -> tuple[str, str]:
    service, equals, revision = text.partition("=")
    if not (service and equals and revision):
        raise BadInput(
            "This is not a target",
            f"{text!r} is neither SERVICE=TARGET nor head nor heads",
            "write --target cds-client=0a1b2c3d",
            "CM-203",
        )
    return service, revision


def without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that say something, so that a coordinator of an earlier release takes the others."""
    return {name: value for name, value in fields.items() if value}


def without_unset(parameters: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The parameters without those that are None, so that the coordinator uses its own defaults."""
    return {name: value for name, value in parameters if value is not None}

"""The command `publish`: asks for a migration by a signed event."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli import options
from coordinator.cli.command_context import failures
from coordinator.cli.console import print_json, stderr
from coordinator.client.errors import BadInput
from coordinator.client.event_publisher import event_of
from coordinator.client.event_publisher import publish as send
from coordinator.client.operator_key import KEY_FILE, operator_signer
from coordinator.client.operator_token import TOKEN_FILE, TOKEN_TEXT, is_token_named

EXAMPLES = options.examples(
    "coordinator publish --all --reason 'release 41'", "coordinator publish cds-client --request-id release-41-client"
)


def publish(
    services: options.Services = None,
    everything: options.All = False,
    request_id: options.NewRequestId = None,
    reason: options.Reason = None,
    dry_run: options.DryRun = False,
    target: options.Targets = None,
    beside_other_tables: options.Beside = None,
    pubsub: Annotated[str, typer.Option(help="Dapr's component.")] = "pubsub",
    as_json: options.Json = False,
) -> None:
    """Publishes a signed migrate.requested through the sidecar at DAPR_HTTP_PORT (3500). It needs a key, not a token.

    It returns as soon as the broker has the event; `coordinator status ID` shows what came of it.
    """
    with failures(as_json=as_json):
        if is_token_named():
            raise BadInput(
                "The event cannot be signed",
                f"publish needs a key, and {TOKEN_TEXT} or {TOKEN_FILE} names a token, which signs nothing",
                f"unset it and name a key in {KEY_FILE}, or use coordinator request, which takes a token",
            )
        signer = operator_signer()
        if signer is None:
            raise BadInput(
                "The event cannot be signed",
                "there is no key",
                f"run ./scripts/infra up, or name a key in {KEY_FILE}",
                "CM-108",
            )
        chosen = options.selection(services, everything, target, beside_other_tables)
        body = options.request_body(request_id, chosen, reason=reason, dry_run=dry_run)
        event = event_of(body, signer)
        send(event, pubsub)
        if as_json:
            print_json(event)
        else:
            stderr().print(f"Published as {body['request_id']}. To follow it: coordinator watch {body['request_id']}")

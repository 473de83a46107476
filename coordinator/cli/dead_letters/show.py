"""`coordinator dead-letters show`: one event as it came, why it is no run, and what can be done."""

from __future__ import annotations

import json

from rich.console import Console
from rich.text import Text

from coordinator.cli import options
from coordinator.cli.command_context import session
from coordinator.cli.console import print_json, problem_text, stderr, stdout
from coordinator.cli.dead_letters.arguments import Letter, letter_name
from coordinator.client.dead_letter_views import BecameRunView, DeadLetterView
from coordinator.client.views import read
from coordinator.presentation.formatting import moment
from coordinator.presentation.terminal_text import safe

EXAMPLES = options.examples(
    "coordinator dead-letters show 5f8a2c1e-0d6b-5c3e-9a44-6b1f0c9a2e57",
    "coordinator dead-letters show nightly-7 --json",
)
LABEL_WIDTH = 11


def show(letter: Letter, url: options.Url = None, as_json: options.Json = False) -> None:
    """Shows what came, when and from whom, why it was refused, and the run that somebody made of it.

    Passwords in addresses, what is named like a secret, and signatures are not kept. The id is also that of the refusal
    in the audit: `coordinator audit show --event ID`.
    """
    with session(url, as_json=as_json) as client:
        document = client.dead_letter(letter_name(letter))
        if as_json:
            print_json(document)
            return
        shown = read(DeadLetterView, document)
        _show_letter(stdout(), shown)
        if shown.may_be_resubmitted:
            stderr().print(
                safe(f"To ask for it in your own name: coordinator dead-letters resubmit {shown.id}"), soft_wrap=True
            )


def _show_letter(console: Console, letter: DeadLetterView) -> None:
    console.print(problem_text(letter.reason.model_dump()), soft_wrap=True)
    for label, text in _circumstances(letter):
        console.print(Text(f"{label:{LABEL_WIDTH}}", "bold").append_text(safe(text)), soft_wrap=True)
    for line in _pretty(letter.event).splitlines():
        console.print(safe(line), soft_wrap=True)


def _circumstances(letter: DeadLetterView) -> list[tuple[str, str]]:
    last = moment(letter.last_at)
    came = f"{letter.times} times, from {moment(letter.first_at)} to {last}" if letter.times > 1 else f"once, at {last}"
    whose = f"signed by {letter.published_by}" if letter.published_by else "signed by nobody who is known"
    size = f"{letter.body_bytes} bytes"
    size += "" if letter.is_whole else ", of which only its beginning is kept, so it cannot be resubmitted"
    size += "" if letter.is_signed else "; this record does not bear the coordinator's signature"
    facts = [
        ("id", letter.id),
        ("came", came),
        ("from", f"{letter.source or 'no source that can be read'}, {whose}"),
        ("event id", letter.event_id or "no id that can be read"),
        ("known as", letter.request_id),
        ("became", _became(letter.run) if letter.run else ""),
        ("event", size),
    ]
    return [(label, text) for label, text in facts if text]


def _became(run: BecameRunView) -> str:
    by = f"resubmitted by {run.by} " if run.by else ""
    return f"{run.request_id}, {by}at {moment(run.at)} (coordinator status {run.request_id})"


def _pretty(event: str) -> str:
    try:
        return json.dumps(json.loads(event), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return event

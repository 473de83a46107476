"""What of an event may be kept: its JSON without proofs and secrets, or else its text, and not too much of either.

What is not kept is never what a request consists of. A secret within a sentence cannot be told from the sentence.
"""

from __future__ import annotations

import json
import re
from typing import Any

from coordinator.domain.request_parsing.cloud_event import ReceivedEvent
from migration_sidecar.contract.strict_json import FORBIDDEN
from signed_calls.events import ATTRIBUTES

MOST_BYTES = 32 * 1024
# What is looked at of a longer text. Its end is thrown away after that: a secret there may have been cut in two.
MOST_READ, LONGEST_SECRET = 2 * MOST_BYTES, 4 * 1024
MASK = "***"
REPLACEMENT = "\ufffd"
TELLING_NAMES = r"pass(?:word|wd|phrase)|secret|token|credential|authorization|api[_-]?key|private[_-]?key"
# A proof, because whoever reads it could publish it again; encoded data, because nobody sees what is in it.
NEVER_KEPT = (*ATTRIBUTES, "data_base64")
_SECRET = re.compile(f"{TELLING_NAMES}|^(?:{'|'.join(NEVER_KEPT)})$", re.IGNORECASE)
# In JSON a slash may be written with a backslash before it, in JSON within JSON with three.
_PASSWORD = re.compile(r"(:\\*/\\*/[^\s/:@\\]*):[^\s/@]+@")
# Every repetition has an end, so that no text that somebody publishes makes the search long.
_SECRET_IN_TEXT = re.compile(
    rf'("[^"\\]{{0,40}}?(?:{TELLING_NAMES}|{"|".join(NEVER_KEPT)})[^"\\]{{0,40}}\\{{0,7}}"\s{{0,9}}:\s{{0,9}})\S.*',
    re.IGNORECASE | re.DOTALL,
)


def kept_text(event: ReceivedEvent) -> tuple[str, bool]:
    """The text to keep, and whether all of the event is in it, but for what may not be kept."""
    if event.unreadable is None:
        return _beginning(json.dumps(_masked(event.attributes), separators=(",", ":")))
    text = FORBIDDEN.sub(REPLACEMENT, event.body[: 4 * MOST_READ].decode("utf-8", "replace"))
    if len(event.body) <= MOST_BYTES:
        return _beginning(_masked_text(text))
    return _beginning(_masked_text(text[:MOST_READ])[:-LONGEST_SECRET])[0], False


def kept_words(value: Any, limit: int = 200) -> str | None:
    """An attribute of the event, such as its source, or what was said of it; None where it is no text."""
    return _masked_text(FORBIDDEN.sub(REPLACEMENT, value))[:limit] if isinstance(value, str) else None


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {_masked_text(name): MASK if _SECRET.search(name) else _masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each) for each in value]
    return _masked_text(value) if isinstance(value, str) else value


def _masked_text(text: str) -> str:
    """Of a text that is no JSON to us, nothing is kept from the first secret on: nobody knows where that one ends."""
    return _SECRET_IN_TEXT.sub(rf"\1{MASK}", _PASSWORD.sub(rf"\1:{MASK}@", text))


def _beginning(text: str) -> tuple[str, bool]:
    encoded = text.encode()
    return encoded[:MOST_BYTES].decode(errors="ignore"), len(encoded) <= MOST_BYTES

"""The signature of an event: the same as that of a call, in two extension attributes of the CloudEvent.

A broker may deliver an event late, and more than once, and daprd adds attributes and writes the data anew. So covered
are the topic, `id`, `source`, `type` and the data in canonical JSON, and nothing is refused because it came before:
whoever takes events knows an event again by its id.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from signed_calls import signature
from signed_calls.refusal import CallRefused, Refusal
from signed_calls.verification import WINDOW_SECONDS, Caller, Keys, prove

INPUT_ATTRIBUTE, SIGNATURE_ATTRIBUTE = "callsignatureinput", "callsignature"
ATTRIBUTES = (INPUT_ATTRIBUTE, SIGNATURE_ATTRIBUTE)
IDENTITY = ("id", "source", "type")  # the attributes that are covered
METHOD = "PUBLISH"
# A broker that stood still over a long weekend still delivers what was signed before.
LONGEST_SECONDS = 7 * 24 * 3600
# What follows a number that is whole, 1.0 or 1e+22, in JSON without spaces. Met in a text, it does no harm.
_AFTER_WHOLE_FLOATS = ("e+", ".0,", ".0}", ".0]")


def call_of(event: Mapping[str, Any], topic: str, audience: str) -> signature.Call:
    """What is signed of the event. Raises ValueError for data that JSON cannot hold."""
    covered = urlencode({name: str(event.get(name, "")) for name in IDENTITY})
    return signature.Call(METHOD, f"/{topic}?{covered}", audience, canonical(event.get("data")))


def canonical(data: Any) -> bytes:
    """The data in the one form that is signed: ASCII, sorted keys, no spaces, and 1 for 1.0.

    Raises ValueError for what JSON cannot hold.
    """
    text = _dumps(data)
    # Walking through the data takes longer than all the rest, and hardly any has such a number.
    if isinstance(data, float) or any(sign in text for sign in _AFTER_WHOLE_FLOATS):
        text = _dumps(_as_go_writes(data))
    return text.encode("ascii")


def _dumps(data: Any) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _as_go_writes(data: Any) -> Any:
    """daprd writes a number without a fraction as a whole one."""
    if isinstance(data, dict):
        return {name: _as_go_writes(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_as_go_writes(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data


def signed_event(
    event: Mapping[str, Any], topic: str, audience: str, sign: Callable[[signature.Call], Mapping[str, str]]
) -> dict[str, Any]:
    """The event with its signature, ready to be published on the topic for the application `audience`."""
    headers = sign(call_of(event, topic, audience))
    return {
        **event,
        INPUT_ATTRIBUTE: headers[signature.INPUT_HEADER],
        SIGNATURE_ATTRIBUTE: headers[signature.SIGNATURE_HEADER],
    }


def is_signed(event: Mapping[str, Any]) -> bool:
    """Whether somebody meant to sign it, however badly."""
    return any(name in event for name in ATTRIBUTES)


class EventVerifier:
    """Verifies the events on one topic, which are meant for the application `audience`."""

    def __init__(self, keys: Keys, audience: str, topic: str, clock: Callable[[], float] = time.time) -> None:
        self._keys, self._audience, self._topic, self._clock = keys, audience, topic, clock

    def verify(self, event: Mapping[str, Any]) -> Caller:
        """Who has signed the event. Raises CallRefused."""
        if not is_signed(event):
            raise CallRefused(Refusal.UNSIGNED)
        try:
            call = call_of(event, self._topic, self._audience)
        except ValueError:
            raise CallRefused(Refusal.MALFORMED) from None
        received = signature.read(_headers_of(event, call))
        age = self._clock() - received.created
        if not -WINDOW_SECONDS <= age <= LONGEST_SECONDS:
            raise CallRefused(Refusal.TOO_OLD)
        return prove(received, call.method, call.target, self._keys)


def _headers_of(event: Mapping[str, Any], call: signature.Call) -> list[tuple[str, str]]:
    """The headers that a call of this content would have; what is covered is taken from the event itself."""
    given = [
        (header, event.get(name))
        for name, header in zip(ATTRIBUTES, (signature.INPUT_HEADER, signature.SIGNATURE_HEADER), strict=True)
    ]
    texts = [(header, value) for header, value in given if isinstance(value, str)]
    return [
        (signature.DIGEST_HEADER, signature.digest_of(call.body)),
        (signature.AUDIENCE_HEADER, call.audience),
        *texts,
    ]

"""The wrong ways to send a request. Each gives its headers and its body; every answer must be a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from scripts.assessment.doors import Door
from signed_calls.key_folder import make_key, private_file
from signed_calls.keys import SigningKey, read_private_file, read_signing_key
from signed_calls.signature import Call

JSON = {"content-type": "application/json"}
PAGE = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
OTHER = "cds-task"  # an application that may do none of this at another one


@dataclass(frozen=True)
class Sending:
    """What one attack sends."""

    headers: Mapping[str, str]
    content: bytes
    times: int = 1  # how often; the last answer counts


class Forger:
    """Makes what must be refused: from the fleet's own keys, and from one that nobody knows."""

    def __init__(self, keys: Path, operator: str) -> None:
        self._operator, self._other = _read(keys, operator), _read(keys, OTHER)
        with TemporaryDirectory() as folder:
            self._stranger = make_key(Path(folder), operator)

    def signed(self, door: Door, key: SigningKey, **changes: object) -> dict[str, str]:
        """The headers of a call through this door."""
        call = Call(door.route.method, door.route.path, door.route.application, door.route.content)
        return {**JSON, **key.sign(replace(call, **changes))}  # type: ignore[arg-type]

    def no_key(self, door: Door) -> Sending:
        """With headers that name a caller, which anybody can write."""
        named = {"dapr-caller-app-id": "migration-coordinator", "authorization": "Bearer x"}
        return Sending({**JSON, **named}, door.route.content)

    def wrong_key(self, door: Door) -> Sending:
        """Signed by a key that nobody knows, under a name that is known."""
        return Sending(self.signed(door, self._stranger), door.route.content)

    def others_key(self, door: Door) -> Sending:
        """Signed by an application of the fleet that may not do this."""
        return Sending(self.signed(door, self._other), door.route.content)

    def for_another(self, door: Door) -> Sending:
        """Signed by the operator, for another application."""
        return Sending(self.signed(door, self._operator, audience="nobody"), door.route.content)

    def replayed(self, door: Door) -> Sending:
        """Signed by the operator, and sent a second time."""
        return Sending(self.signed(door, self._operator), door.route.content, times=2)

    def body_changed(self, door: Door) -> Sending:
        """Signed by the operator for another body."""
        return Sending(self.signed(door, self._operator, body=b'{"other": 1}'), door.route.content)

    def other_host(self, door: Door) -> Sending:
        """Signed by the operator, under a name that leads here (DNS rebinding)."""
        port = urlsplit(door.base).port
        return Sending({**self.signed(door, self._operator), "host": f"evil.example:{port}"}, door.route.content)

    def other_origin(self, door: Door) -> Sending:
        """Signed by the operator, from a web page."""
        return Sending({**self.signed(door, self._operator), **PAGE}, door.route.content)

    def no_content_type(self, door: Door) -> Sending:
        """Signed by the operator, as a form of a web page could send it."""
        headers = self.signed(door, self._operator)
        del headers["content-type"]
        return Sending(headers, door.route.content)


Attack = Callable[[Forger, Door], Sending]
ATTACKS: dict[str, Attack] = {
    "no key": Forger.no_key,
    "wrong key": Forger.wrong_key,
    "other's key": Forger.others_key,
    "for another": Forger.for_another,
    "replayed": Forger.replayed,
    "body changed": Forger.body_changed,
    "other host": Forger.other_host,
    "other origin": Forger.other_origin,
    "no content type": Forger.no_content_type,
}


def is_possible(name: str, door: Door) -> bool:
    """Whether the attack means anything at this door.

    daprd sets the Host anew. A GET has no body. An application may tell the audit its own events, and read.
    """
    route = door.route
    if name == "other host":
        return door.way == "app port"
    if name in ("body changed", "no content type"):
        return bool(route.content)
    if name == "other's key":
        readable = route.method == "GET" and route.application != "migration-coordinator"
        return route.application != OTHER and not readable
    return True


def _read(keys: Path, name: str) -> SigningKey:
    file = private_file(keys, name)
    return read_signing_key(name, read_private_file(file), str(file))

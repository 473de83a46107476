"""Decides who has sent a call, in two parts: the headers first, so that nobody unknown can make us read a body."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signed_calls import signature
from signed_calls.names import split_key_id
from signed_calls.refusal import CallRefused, Refusal
from signed_calls.replays import ReplayMemory

WINDOW_SECONDS = 60


class Keys(Protocol):
    """Where the public keys come from."""

    def find(self, name: str, fingerprint: str) -> Ed25519PublicKey | None:
        """The key; None if there is none of this name and fingerprint."""
        ...


@dataclass(frozen=True)
class Caller:
    """Who has sent a call, proven by its signature."""

    name: str
    fingerprint: str  # of the key

    @property
    def key_id(self) -> str:
        """The id of the key, as `split_key_id` reads it."""
        return f"{self.name}/{self.fingerprint}"


@dataclass(frozen=True)
class ProvenHeaders:
    """The headers were signed by this caller. The body is not looked at yet."""

    caller: Caller
    received: signature.ReceivedSignature


def prove(received: signature.ReceivedSignature, method: str, target: str, keys: Keys) -> Caller:
    """Who has signed this method and target. Raises CallRefused. Time and repetition are looked at elsewhere."""
    if (named := split_key_id(received.key_id)) is None or (key := keys.find(*named)) is None:
        raise CallRefused(Refusal.UNKNOWN_KEY)
    values = signature.values_of(method, target, received.digest, received.audience)
    try:
        key.verify(received.signature, signature.signature_base(received.components, values, received.signed))
    except (InvalidSignature, ValueError):
        raise CallRefused(Refusal.WRONG_SIGNATURE) from None
    return Caller(*named)


class Verifier:
    """Verifies the calls to one application, `audience`."""

    def __init__(
        self, keys: Keys, audience: str, memory: ReplayMemory | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys, self._audience, self._clock = keys, audience, clock
        self._memory = memory or ReplayMemory(clock=clock)

    def verify(self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> Caller:
        """Who has sent this call. Raises CallRefused."""
        return self.verify_body(self.verify_headers(method, target, headers), body)

    def verify_headers(self, method: str, target: str, headers: Iterable[tuple[str, str]]) -> ProvenHeaders:
        """The first part. Raises CallRefused."""
        received = signature.read(headers)
        if received.audience != self._audience:
            raise CallRefused(Refusal.OTHER_AUDIENCE)
        if abs(self._clock() - received.created) > WINDOW_SECONDS:
            raise CallRefused(Refusal.TOO_OLD)
        return ProvenHeaders(prove(received, method, target, self._keys), received)

    def speaks_for(self, caller: Caller, name: str) -> bool:
        """Whether it is the caller's own name, or one under which the caller's key is filed, too."""
        return caller.name == name or self._keys.find(name, caller.fingerprint) is not None

    def verify_body(self, proven: ProvenHeaders, body: bytes) -> Caller:
        """The second part. Raises CallRefused.

        Only here the call is remembered: with another body, nobody uses up the turn of the true one.
        """
        received = proven.received
        if not hmac.compare_digest(signature.digest_of(body), received.digest):
            raise CallRefused(Refusal.BODY_CHANGED)
        self._memory.admit(received.key_id, received.nonce, received.created + WINDOW_SECONDS)
        return proven.caller

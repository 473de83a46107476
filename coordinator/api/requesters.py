"""Who sends a request: found out at the doors, before the request is believed in anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fastapi import Request

from coordinator.domain.permissions import UNCHECKED, UNVERIFIED_EVENT, Permission, Permissions, Proof, Requester
from coordinator.errors import CoordinatorError
from migration_sidecar.http_server.proven_caller import CallPolicy
from signed_calls.events import EventVerifier, is_signed
from signed_calls.refusal import PASSING, CallRefused, Refusal
from signed_calls.settings import CallSettings
from signed_calls.verification import Caller, Keys, Verifier

EVENT_NEXT_STEP = (
    "Publish it with coordinator publish, which signs it with your key; or, if everybody who can reach the broker may"
    ' ask for migrations, set events = "trusted-broker" in [fleet] of fleet.toml.'
)


class NotProven(CoordinatorError):
    """It is not known who sends this. A call that is signed anew may be taken; an event stays as it is."""

    code = "CM-108"

    def __init__(self, refused: CallRefused, *, is_event: bool = False) -> None:
        super().__init__(refused.detail)
        self.kind = refused.kind
        self.next_step = EVENT_NEXT_STEP if is_event else None
        self.status = 503 if refused.kind is Refusal.MEMORY_FULL else None
        self._may_pass_later = refused.kind in PASSING and not is_event

    @property
    def retryable(self) -> bool:
        """Whether the same call, signed anew, may be taken."""
        return self._may_pass_later

    @property
    def is_refusal(self) -> bool:
        """It always is, also where it may pass later."""
        return True


@dataclass(frozen=True)
class CallRequesters:
    """Who makes a call, by its signature."""

    policy: CallPolicy
    permissions: Permissions

    @classmethod
    def of(cls, calls: CallSettings, app_id: str, keys: Keys, permissions: Permissions) -> Self:
        """For an application that calls are signed for as `app_id`."""
        return cls(CallPolicy(calls, app_id, Verifier(keys, app_id)), permissions)

    async def identify(self, request: Request, *, confidential: bool = False) -> Requester:
        """Raises NotProven, or a ProblemError for a body that is too large or where no keys are known.

        A GET has to be signed where the settings say so, or where what it reads is `confidential`.
        """
        try:
            caller = await self.policy.prove(request, confidential=confidential)
        except CallRefused as refused:
            raise NotProven(refused) from None
        return UNCHECKED if caller is None else _named(Proof.SIGNED_CALL, caller)

    async def require_reader(self, request: Request, *, confidential: bool = False) -> None:
        """Raises what `identify` raises, and NotPermitted for somebody who may not read."""
        requester = await self.identify(request, confidential=confidential)
        self.permissions.require(requester, Permission.READ)


@dataclass(frozen=True)
class EventRequesters:
    """Who has published an event, by its signature."""

    verifier: EventVerifier
    checked: bool  # whether signatures are looked at at all
    unsigned_are_taken: bool

    @classmethod
    def of(cls, calls: CallSettings, app_id: str, keys: Keys, topic: str, *, unsigned_are_taken: bool) -> Self:
        """For events on this topic, which are signed for `app_id`."""
        return cls(EventVerifier(keys, app_id, topic), calls.required, unsigned_are_taken)

    def identify(self, event: Mapping[str, Any]) -> Requester:
        """Raises NotProven. A wrong signature is refused also where none is needed."""
        if not self.checked:
            return UNVERIFIED_EVENT
        if not is_signed(event) and self.unsigned_are_taken:
            return UNVERIFIED_EVENT
        try:
            return _named(Proof.SIGNED_EVENT, self.verifier.verify(event))
        except CallRefused as refused:
            raise NotProven(refused, is_event=True) from None

    def identified(self, event: Mapping[str, Any]) -> Requester | None:
        """The same, for the record of a refusal; None where it is not known."""
        try:
            return self.identify(event)
        except NotProven:
            return None


def _named(proof: Proof, caller: Caller) -> Requester:
    return Requester(proof, caller.name, caller.key_id)

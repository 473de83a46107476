"""Who sends a request: found out at the doors, before the request is believed in anything."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from fastapi import Request

from coordinator.api.bearer_tokens import comes_with_a_token, read_token
from coordinator.domain.permissions import UNCHECKED, UNVERIFIED_EVENT, Permission, Permissions, Proof, Requester
from coordinator.domain.tokens import refusal as token_refusal
from coordinator.domain.tokens.refusal import TokenRefusal, TokenRefused
from coordinator.errors import CoordinatorError
from coordinator.ports import TokenVerifier
from migration_sidecar.http_server.proven_caller import CallPolicy
from migration_sidecar.http_server.rate_limited_warnings import RateLimitedWarnings
from signed_calls.events import EventVerifier, is_signed
from signed_calls.refusal import PASSING, CallRefused, Refusal
from signed_calls.settings import CallSettings
from signed_calls.verification import Caller, Keys, Verifier

EVENT_NEXT_STEP = (
    "Publish it with coordinator publish, which signs it with your key; or, if everybody who can reach the broker may"
    ' ask for migrations, set events = "trusted-broker" in [fleet] of fleet.toml.'
)
BEARER_NEXT_STEP = (
    "Get a new token of the issuer and for the audience that [oidc] in fleet.toml names, and send it as"
    " Authorization: Bearer; or sign the call."
)

log = logging.getLogger(__name__)


class NotProven(CoordinatorError):
    """It is not known who sends this. A call that is signed anew may be taken; an event stays as it is."""

    code = "CM-108"

    def __init__(self, refused: CallRefused | TokenRefused, *, is_event: bool = False) -> None:
        super().__init__(refused.detail)
        self.kind = refused.kind
        self.next_step = EVENT_NEXT_STEP if is_event else BEARER_NEXT_STEP if self.is_of_a_token else None
        self.status = 503 if refused.kind in (Refusal.MEMORY_FULL, TokenRefusal.KEYS_UNAVAILABLE) else None
        self._may_pass_later = refused.kind in PASSING | token_refusal.PASSING and not is_event

    @property
    def is_of_a_token(self) -> bool:
        """Whether a token was to prove it, and not a signature."""
        return isinstance(self.kind, TokenRefusal)

    @property
    def retryable(self) -> bool:
        """Whether the same call may be taken later; an event stays as it is."""
        return self._may_pass_later

    @property
    def is_refusal(self) -> bool:
        """Always: also a call that may be taken later is put on record."""
        return True


@dataclass(frozen=True)
class CallRequesters:
    """Who makes a call, by its signature or, if `tokens` can be verified, by its token."""

    policy: CallPolicy
    permissions: Permissions
    tokens: TokenVerifier | None = None
    _warnings: RateLimitedWarnings = field(default_factory=lambda: RateLimitedWarnings(log), repr=False)

    @classmethod
    def of(
        cls,
        calls: CallSettings,
        app_id: str,
        keys: Keys,
        permissions: Permissions,
        tokens: TokenVerifier | None = None,
    ) -> Self:
        """For an application that calls are signed for as `app_id`."""
        return cls(CallPolicy(calls, app_id, Verifier(keys, app_id)), permissions, tokens)

    async def identify(self, request: Request, *, confidential: bool = False) -> Requester:
        """Raises NotProven, or a ProblemError for a body that is too large or where no keys are known.

        A token is looked at only where there is no signature, and never helps a signature that is wrong.

        A GET has to be signed where the settings say so, or where what it reads is `confidential`.
        """
        is_checked = self.policy.checks(request, confidential=confidential)
        if is_checked and self.tokens is not None and comes_with_a_token(request):
            return await self._prove_by_token(self.tokens, request)
        try:
            caller = await self.policy.prove(request, confidential=confidential)
        except CallRefused as refused:
            raise NotProven(refused) from None
        return UNCHECKED if caller is None else _named(Proof.SIGNED_CALL, caller)

    async def _prove_by_token(self, tokens: TokenVerifier, request: Request) -> Requester:
        """Also somebody who is no operator; such a requester has no name, and may nothing."""
        try:
            issuer, subject = await tokens.verify(read_token(request))
        except TokenRefused as refused:
            self._warnings.warn("token_refused", kind=refused.kind.value)
            raise NotProven(refused) from None
        name = self.permissions.name_of_subject(subject)
        return Requester(Proof.TOKEN, name, issuer=issuer, subject=subject)

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

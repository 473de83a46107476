"""Who sends a request: proven by its signature before the route runs. A dependency of routers, not of the application.

So it never decides by itself which address a route has, and leaves a service's own routes alone.
"""

from __future__ import annotations

import logging
from typing import Any

from fastapi import Depends, Request

from migration_sidecar.contract.errors import BodyTooLarge, CallerNotPermitted, CallsCannotBeVerified
from migration_sidecar.http_server.openapi import problems
from migration_sidecar.http_server.rate_limited_warnings import RateLimitedWarnings
from migration_sidecar.http_server.request_body import keep_body, read_body
from signed_calls.refusal import CallRefused, Refusal
from signed_calls.settings import KEYS, OFF, SIGNATURES, CallSettings
from signed_calls.verification import Caller, Verifier

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST_BODY = 1024 * 1024  # no route takes more; what it takes itself is decided by the route
NOT_PROVEN = problems(401, 413)  # the `responses` of every router with this dependency
REMARK = f"Who calls is not checked ({SIGNATURES}={OFF})."

log = logging.getLogger(__name__)


class CallPolicy:
    """How one application checks who calls it; `audience` is its own app id. It is `app.state.call_policy`."""

    def __init__(self, calls: CallSettings, audience: str, verifier: Verifier | None = None) -> None:
        self._calls = calls
        self._verifier = (verifier or calls.verifier(audience)) if calls.required else None
        self._warnings = RateLimitedWarnings(log)

    @property
    def remark(self) -> str:
        """For /readyz: a sentence if anybody may call."""
        return "" if self._calls.required else REMARK

    def log_at_start(self) -> None:
        """Warns if anybody may call, or if nobody can."""
        if not self._calls.required:
            log.warning("callers_are_not_checked", extra={"setting": SIGNATURES, "value": OFF})
        elif self._calls.keys is None or not self._calls.keys.is_dir():
            log.warning("no_keys_of_callers", extra={"setting": KEYS})

    def checks(self, request: Request, *, confidential: bool = False) -> bool:
        """Whether the caller of this has to be proven."""
        is_open = request.method in SAFE_METHODS and not confidential
        return self._calls.reads_required if is_open else self._calls.required

    async def prove(self, request: Request, *, confidential: bool = False) -> Caller | None:
        """The caller; None if it is not to be checked. Raises CallRefused, CallsCannotBeVerified or BodyTooLarge.

        What is `confidential` is read by those who are known, whatever CALL_READS says.
        """
        if not self.checks(request, confidential=confidential):
            return None
        if self._verifier is None:
            raise CallsCannotBeVerified(KEYS)
        try:
            proven = self._verifier.verify_headers(request.method, target_of(request), _headers_of(request))
            body = keep_body(request, await read_body(request, LARGEST_BODY, BodyTooLarge))
            return self._verifier.verify_body(proven, body)
        except CallRefused as refused:
            self._warnings.warn("call_refused", kind=refused.kind.value)
            raise

    def speaks_for(self, caller: Caller, name: str) -> bool:
        """Whether it is the caller's own name, or one under which the caller's key is filed, too."""
        return self._verifier is not None and self._verifier.speaks_for(caller, name)


def target_of(request: Request) -> str:
    """Path and query as they were sent, percent-encoded: what decodes alike need not be the same address."""
    query: bytes = request.scope["query_string"]
    raw: bytes | None = request.scope.get("raw_path")
    if raw is None:  # a server need not tell it; ours does
        raise CallRefused(Refusal.MALFORMED)
    path = raw.decode("latin-1")
    return f"{path}?{query.decode('latin-1')}" if query else path


def _headers_of(request: Request) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"]]


def _policy_of(request: Request) -> CallPolicy:
    """Without a policy nobody is believed: a router that is used in another way must not be open by mistake."""
    return getattr(request.app.state, "call_policy", None) or CallPolicy(CallSettings(required=True), "")


async def _prove_caller(request: Request) -> Caller | None:
    return await _policy_of(request).prove(request, confidential=True)


async def _prove_unless_open(request: Request) -> Caller | None:
    return await _policy_of(request).prove(request)


# A dependency for routers and routes. Its value is the caller, or None where callers are not checked. What these
# routes read is confidential: the audit and the journals.
PROVEN_CALLER: Any = Depends(_prove_caller)
_UNLESS_OPEN: Any = Depends(_prove_unless_open)  # reading is for everybody, unless CALL_READS says otherwise


def permitted_caller(setting: str) -> Any:
    """The same, and the caller is one of `app.state.permitted_callers`, whom `setting` names.

    Reading is for every caller that is proven, where it has to be proven at all.
    """

    async def require_permitted(request: Request, caller: Caller | None = _UNLESS_OPEN) -> Caller | None:
        if caller is None or request.method in SAFE_METHODS:
            return caller
        if caller.name not in request.app.state.permitted_callers:
            raise CallerNotPermitted(
                f"The caller {caller.name} is not one of those who may ask for this here.", setting
            )
        return caller

    return Depends(require_permitted)

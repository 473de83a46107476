"""Which callers may give a service operations, and take them back."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from migration_sidecar.contract.errors import Misconfigured
from migration_sidecar.http_server.proven_caller import permitted_caller
from signed_calls.keys import BadKey
from signed_calls.names import NAME, InvalidName
from signed_calls.settings import KEY_FILE, KEY_TEXT, BadCallSettings, CallSettings, read_call_settings
from signed_calls.signer import Signer

log = logging.getLogger(__name__)

SETTING = "MIGRATION_CALLERS"
# The only one from which a downgrade is taken: it has each of them approved by somebody else than the requester.
COORDINATOR = frozenset({"migration-coordinator"})


def migration_callers(environment: Mapping[str, str]) -> frozenset[str]:
    """The names that the setting lists. Raises Misconfigured."""
    names = frozenset(filter(None, re.split(r"[,\s]+", environment.get(SETTING, ""))))
    if not all(NAME.fullmatch(name) for name in names):
        raise Misconfigured(SETTING, "it must list names of callers, separated by commas")
    return names or COORDINATOR


def call_settings(environment: Mapping[str, str]) -> CallSettings:
    """What the environment says about signed calls. Raises Misconfigured."""
    try:
        return read_call_settings(environment)
    except BadCallSettings as error:
        raise Misconfigured(error.key, error.reason) from None


def own_signer(calls: CallSettings, service: str) -> Signer | None:
    """Signs what the service tells the audit; None if it has no key. Raises Misconfigured."""
    try:
        signer = calls.signer(service)
        if signer is not None:
            log.info("calls_are_signed", extra={"service": service, "key_id": signer.key_id})
        elif calls.required:
            log.warning("calls_are_not_signed", extra={"service": service, "setting": KEY_FILE})
    except (BadKey, InvalidName) as error:
        raise Misconfigured(KEY_FILE if calls.key_file else KEY_TEXT, str(error).rstrip(".")) from None
    return signer


# A dependency: the proven caller, who may give operations; None where callers are not checked.
MIGRATION_CALLER: Any = permitted_caller(SETTING)

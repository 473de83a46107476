"""Which callers may give a service operations, and take them back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from migration_sidecar.contract.errors import Misconfigured
from migration_sidecar.http_server.proven_caller import permitted_caller
from signed_calls.names import NAME
from signed_calls.settings import BadCallSettings, CallSettings, read_call_settings

SETTING = "MIGRATION_CALLERS"
DEFAULT = frozenset({"migration-coordinator"})


def migration_callers(environment: Mapping[str, str]) -> frozenset[str]:
    """The names that the setting lists. Raises Misconfigured."""
    names = frozenset(filter(None, re.split(r"[,\s]+", environment.get(SETTING, ""))))
    if not all(NAME.fullmatch(name) for name in names):
        raise Misconfigured(SETTING, "it must list names of callers, separated by commas")
    return names or DEFAULT


def call_settings(environment: Mapping[str, str]) -> CallSettings:
    """What the environment says about signed calls. Raises Misconfigured."""
    try:
        return read_call_settings(environment)
    except BadCallSettings as error:
        raise Misconfigured(error.key, error.reason) from None


# A dependency: the proven caller, who may give operations; None where callers are not checked.
MIGRATION_CALLER: Any = permitted_caller(SETTING)

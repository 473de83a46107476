"""What the audit has signed, and where its anchors are stored."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress

from scripts.infrastructure import loopback
from scripts.infrastructure.call_keys import sign_as_operator
from scripts.infrastructure.fleet import COORDINATOR, Fleet
from scripts.infrastructure.render import AUDIT, read_fleet
from services.cas_service.anchors.settings import read_anchoring_settings
from signed_calls.signature import Call

SECONDS_TO_SIGN = 10.0


def wait_until_signed(fleet: Fleet) -> None:
    """Waits at most SECONDS_TO_SIGN: services relay their journals shortly after a run.

    `audit verify` shows any rest.
    """
    through = f"/v1.0/invoke/{COORDINATOR}/method"
    head, deadline = 1, time.monotonic() + SECONDS_TO_SIGN
    while time.monotonic() < deadline:
        path = f"/audit/verify?limit=1&after={head - 1}"
        request = fleet.request(through + path)
        for name, value in sign_as_operator(fleet.settings.keys_folder, Call("GET", path, COORDINATOR)).items():
            request.add_header(name, value)
        with suppress(OSError, ValueError), loopback.call(request, timeout_seconds=5) as answer:
            verification = json.load(answer)
            if verification["anchored_seq"] == verification["head_seq"]:
                return
            head = verification["head_seq"]
        time.sleep(0.5)


def anchors(fleet: Fleet, environment: Mapping[str, str]) -> str:
    """Where cas-audit delivers its anchors, according to its own settings."""
    application = read_fleet(fleet.file)[AUDIT]
    settings = read_anchoring_settings({**environment, **application["env"]})
    home = fleet.file.parent / application["appDirPath"]
    return " and ".join(str((home / place).resolve()) for place in (settings.folder, settings.git) if place)

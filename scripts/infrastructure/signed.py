"""What the audit has signed, and where its anchors are kept."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress

from scripts.infrastructure import loopback
from scripts.infrastructure.fleet import COORDINATOR, Fleet
from scripts.infrastructure.render import AUDIT, read_fleet
from services.cas_service.anchoring_settings import read_anchoring_settings

SECONDS_TO_SIGN = 10.0


def wait_until_signed(fleet: Fleet) -> None:
    """The services relay their journals a moment after a run; whatever is not signed by then, verifying says so."""
    url = f"{fleet.sidecar}/v1.0/invoke/{COORDINATOR}/method/audit/verify?limit=1&after="
    head, give_up = 1, time.monotonic() + SECONDS_TO_SIGN
    while time.monotonic() < give_up:
        with suppress(OSError, ValueError), loopback.call(f"{url}{head - 1}", timeout_seconds=5) as answer:
            found = json.load(answer)
            if found["anchored_seq"] == found["head_seq"]:
                return
            head = found["head_seq"]
        time.sleep(0.5)


def anchors(fleet: Fleet, environment: Mapping[str, str]) -> str:
    """Where cas-audit delivers them, as it reads its own settings."""
    application = read_fleet(fleet.file)[AUDIT]
    settings = read_anchoring_settings({**environment, **application["env"]})
    home = fleet.file.parent / application["appDirPath"]
    return " and ".join(str((home / place).resolve()) for place in (settings.folder, settings.git) if place)

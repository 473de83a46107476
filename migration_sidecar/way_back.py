"""Whether the endpoint takes a downgrade: whoever reaches it could drop tables, so only where the service says so."""

from __future__ import annotations

from migration_sidecar.errors import DowngradesAreOff, NeverTakenBack, NoWayBackHere
from migration_sidecar.messages import Action
from migration_sidecar.settings import Settings


def objection(settings: Settings, action: Action, target: str) -> NoWayBackHere | None:
    """None for what the endpoint takes. A person at the database is not asked: no setting keeps one from it."""
    if action is not Action.DOWNGRADE:
        return None
    if settings.never_taken_back:
        return NeverTakenBack(settings.service)
    return None if settings.endpoint_downgrades else DowngradesAreOff(settings.service, target)

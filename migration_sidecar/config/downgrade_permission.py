"""Whether the endpoint takes a downgrade: whoever reaches it could drop tables, so only where the service says so."""

from __future__ import annotations

from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Action


class NoWayBackHere(ProblemError):
    """A downgrade that the endpoint does not take; a person at the database still may."""

    def __init__(self, detail: str, next_step: str) -> None:
        super().__init__("CM-206", "There is no way back", detail, next_step, status=403)


class NeverTakenBack(NoWayBackHere):
    """The service says of its database that a downgrade would lose what it is there to keep."""

    def __init__(self, service: str) -> None:
        super().__init__(
            f"The endpoint of {service} never takes its database back: what it keeps would be lost.",
            "Leave it at its revision; a person may try migration-sidecar downgrade where its alembic.ini is.",
        )


class DowngradesAreOff(NoWayBackHere):
    """Whoever reaches the endpoint could otherwise drop what revisions made."""

    def __init__(self, service: str, target: str) -> None:
        super().__init__(
            f"The endpoint of {service} takes no downgrades, because endpoint_downgrades is not set.",
            f"Run migration-sidecar downgrade {target} where its alembic.ini is, or set endpoint_downgrades = true in"
            " its section [migration_sidecar] and start the service again.",
        )


def objection(settings: Settings, action: Action, target: str) -> NoWayBackHere | None:
    """None for what the endpoint takes. A person at the database is not asked: no setting keeps one from it."""
    if action is not Action.DOWNGRADE:
        return None
    if settings.never_taken_back:
        return NeverTakenBack(settings.service)
    return None if settings.endpoint_downgrades else DowngradesAreOff(settings.service, target)

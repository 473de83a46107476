"""Decides whether the endpoint accepts a downgrade. It can drop tables, so a setting must allow it."""

from __future__ import annotations

from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Action


class DowngradeNotOffered(ProblemError):
    """The endpoint does not accept a downgrade (CM-206). From the command line it is still possible."""

    def __init__(self, detail: str, next_step: str) -> None:
        super().__init__("CM-206", detail, next_step=next_step)


class DowngradeForbidden(DowngradeNotOffered):
    """The setting never_taken_back: a downgrade would lose data that the service must keep."""

    def __init__(self, service: str) -> None:
        super().__init__(
            f"The endpoint of {service} never takes its database back: what it keeps would be lost.",
            "Leave it at its revision; a person may try migration-sidecar downgrade where its alembic.ini is.",
        )


class DowngradesDisabled(DowngradeNotOffered):
    """The setting endpoint_downgrades is not set."""

    def __init__(self, service: str, target: str) -> None:
        super().__init__(
            f"The endpoint of {service} takes no downgrades, because endpoint_downgrades is not set.",
            f"Run migration-sidecar downgrade {target} where its alembic.ini is, or set endpoint_downgrades = true in"
            " its section [migration_sidecar] and start the service again.",
        )


class DowngradeNotApproved(DowngradeNotOffered):
    """A downgrade that comes from somebody else than the coordinator, which has each of them approved."""

    def __init__(self, service: str, caller: str) -> None:
        super().__init__(
            f"The endpoint of {service} takes downgrades from the coordinator only, and this one comes from {caller}.",
            "Ask the coordinator: coordinator request --downgrade; somebody else has to approve it.",
        )


def downgrade_refusal(settings: Settings, action: Action, target: str) -> DowngradeNotOffered | None:
    """The error to raise for an action through the endpoint, or None. Not called for the command line."""
    if action is not Action.DOWNGRADE:
        return None
    if settings.never_taken_back:
        return DowngradeForbidden(settings.service)
    return None if settings.endpoint_downgrades else DowngradesDisabled(settings.service, target)

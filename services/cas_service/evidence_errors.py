"""Why the audit cannot sign, prove or give away just now."""

from migration_sidecar.contract.errors import ProblemError


class AnchoringStandsStill(ProblemError):
    """Events go on being recorded; they are chained and not yet signed."""

    def __init__(self, reason: str, next_step: str) -> None:
        super().__init__(
            "CM-524",
            "The audit is not being signed",
            f"Anchoring stands still: {reason}.",
            f"{next_step}; what was recorded meanwhile is signed then.",
            status=503,
            retryable=True,
        )


class NotSignedYet(ProblemError):
    """An event after the last anchor; the next anchor makes it provable."""

    def __init__(self, seq: int) -> None:
        super().__init__(
            "CM-525",
            "The event is not signed yet",
            f"No anchor covers event {seq} yet.",
            "Ask again after the next anchor, at the latest AUDIT_ANCHOR_SECONDS after the event.",
            status=409,
            retryable=True,
        )


class TooManyExports(ProblemError):
    def __init__(self, most: int) -> None:
        super().__init__(
            "CM-526",
            "The audit is busy exporting",
            f"{most} exports are under way.",
            "Try again when one of them has ended.",
            status=503,
            retryable=True,
        )

"""Why the audit cannot sign, prove or give away just now."""

from migration_sidecar.contract.errors import ProblemError


class AnchoringStandsStill(ProblemError):
    """Events go on being recorded; they are chained and not yet signed."""

    def __init__(self, reason: str, next_step: str) -> None:
        super().__init__(
            "CM-524",
            f"Anchoring stands still: {reason}.",
            next_step=f"{next_step}; what was recorded meanwhile is signed then.",
        )


class NotSignedYet(ProblemError):
    """An event after the last anchor; the next anchor makes it provable."""

    def __init__(self, seq: int) -> None:
        super().__init__("CM-525", f"No anchor covers event {seq} yet.")


class TooManyExports(ProblemError):
    def __init__(self, most: int) -> None:
        super().__init__("CM-526", f"{most} exports are under way.")

"""Why the audit cannot sign, prove or export at present."""

from migration_sidecar.contract.errors import ProblemError


class AnchoringHasStalled(ProblemError):
    """Nothing is signed. Events are still recorded and chained."""

    def __init__(self, reason: str, next_step: str) -> None:
        super().__init__(
            "CM-524",
            f"Anchoring stands still: {reason}.",
            next_step=f"{next_step}; what was recorded meanwhile is signed then.",
        )


class NotSignedYet(ProblemError):
    """The event is after the last anchor. The next anchor makes it provable."""

    def __init__(self, seq: int) -> None:
        super().__init__("CM-525", f"No anchor covers event {seq} yet.")


class TooManyExports(ProblemError):
    """The limit of exports at the same time is reached."""

    def __init__(self, most: int) -> None:
        super().__init__("CM-526", f"{most} exports are under way.")

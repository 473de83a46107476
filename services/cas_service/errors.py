"""Why the audit refused to record or show events."""

from migration_sidecar.contract.errors import ProblemError


class AuditNotReady(ProblemError):
    """The tables or functions of the audit do not exist yet. Senders keep their events and send them again."""

    def __init__(self) -> None:
        super().__init__("CM-522", "Its own migration has not run, so there is nothing yet to record events in.")


class AuditTooSlow(ProblemError):
    """PostgreSQL ended the statement at our time limit; it recorded nothing."""

    def __init__(self, seconds: int) -> None:
        super().__init__("CM-523", f"The statement was ended after {seconds} s.")


class RoleNotGranted(ProblemError):
    """The service's login may not act in one of the audit's roles."""

    def __init__(self, role: str, login: str) -> None:
        next_step = f"GRANT cas_ingest, cas_reader, cas_witness TO {login}."
        super().__init__("CM-504", f"User {login} may not act as {role}.", next_step=next_step)


class NoSuchRequest(ProblemError):
    """No event with this request id is recorded (yet)."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            "CM-604",
            f"No event with the request id {request_id!r} is recorded.",
            next_step="Check the id with coordinator runs; what happened a moment ago may still be under way to the"
            " audit.",
        )


class NoSuchEvent(ProblemError):
    """No event with this number or id is recorded."""

    def __init__(self, event: str) -> None:
        super().__init__("CM-604", f"No event {event} is recorded.", next_step="Find it with coordinator audit list.")


class NotStorable(ProblemError):
    """PostgreSQL cannot store a value, such as a NUL in a text. Repeating the request cannot help."""

    def __init__(self) -> None:
        super().__init__(
            "CM-104",
            "A text holds a character PostgreSQL refuses (such as NUL), or a number is out of range.",
            next_step="Remove it and send the events again.",
        )


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

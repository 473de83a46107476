"""Why the audit did not take or show events."""

from migration_sidecar.errors import ProblemError


class AuditNotReady(ProblemError):
    """The audit's tables or functions are not there; senders keep their events and send them again."""

    def __init__(self) -> None:
        super().__init__(
            "CM-522",
            "The audit is not ready",
            "Its own migration has not run, so there is nothing yet to record events in.",
            "Migrate cas-audit; events wait at their senders until then.",
            status=503,
            retryable=True,
        )


class AuditTooSlow(ProblemError):
    """PostgreSQL ended the statement at our time limit; nothing was recorded by it."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            "CM-523",
            "The audit took too long",
            f"The statement was ended after {seconds} s.",
            "Try again; when reading, narrow the question by request_id, service or type.",
            status=503,
            retryable=True,
        )


class NotStorable(ProblemError):
    """PostgreSQL has no place for what was sent, such as a NUL in a text; repeating it cannot help."""

    def __init__(self) -> None:
        super().__init__(
            "CM-104",
            "The events cannot be stored",
            "A text holds a character PostgreSQL refuses (such as NUL), or a number is out of range.",
            "Remove it and send the events again.",
            status=400,
        )

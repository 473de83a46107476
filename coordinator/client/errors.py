"""The errors of a command. Each has an exit code and a problem document: code, title, detail, next step."""

from __future__ import annotations

from typing import Any

from coordinator.client.exit_codes import ExitCode
from migration_sidecar.contract.problem_catalogue.catalogue import PROBLEM_KINDS


class ClientError(Exception):
    """Base class. `problem` has the keys `code, title, detail, next_step, retryable`; `command_context` prints it."""

    def __init__(self, problem: dict[str, Any], exit_code: ExitCode) -> None:
        super().__init__(str(problem.get("title", "the command failed")))
        self.problem, self.exit_code = problem, exit_code


class OwnFailure(ClientError):
    """Said by the command itself; what belongs to the code is in the catalogue."""

    def __init__(self, code: str, detail: str, next_step: str, *, retryable: bool = True) -> None:
        kind = PROBLEM_KINDS[code]
        facts = {"detail": detail, "next_step": next_step, "retryable": retryable and kind.retryable}
        super().__init__({"code": code, "title": kind.title, **facts}, ExitCode(kind.exit_code))


class BadInput(OwnFailure):
    """Refused here, before anything was sent."""

    def __init__(self, what: str, detail: str, next_step: str, code: str = "CM-603") -> None:
        super().__init__(code, f"{what}: {detail}", next_step)


class CannotReach(OwnFailure):
    """The coordinator did not answer, or something else answered in its place."""

    def __init__(self, detail: str, next_step: str, *, retryable: bool = True) -> None:
        super().__init__("CM-841", detail, next_step, retryable=retryable)


class NoReply(CannotReach):
    """The request was sent, but no answer came. It may have had an effect."""


class AppNotReady(CannotReach):
    """daprd answers but the coordinator does not listen: it is still starting, or its process has ended."""

    def __init__(self) -> None:
        super().__init__("its sidecar runs but the coordinator does not listen yet", "try again in a few seconds")


class AppNotRunning(CannotReach):
    """The coordinator has not listened for longer than a start takes. `dapr run` does not restart an application."""

    def __init__(self) -> None:
        super().__init__(
            "its sidecar runs but the coordinator behind it does not listen, so its process is probably gone",
            "end the fleet and start it again (./scripts/stop, then ./scripts/quickstart or dapr run -f dapr.yaml); "
            "runs under way go on by themselves",
        )


class Refused(ClientError):
    """The coordinator answered with a problem document."""

    def __init__(self, problem: dict[str, Any], http_status: int) -> None:
        # A 5xx, a time-out (408) and "slow down" (429) say nothing about the input: the same call may work later.
        unavailable = http_status >= 500 or http_status in (408, 429)
        super().__init__(problem, ExitCode.CANNOT_REACH if unavailable else ExitCode.BAD_INPUT)
        self.http_status = http_status

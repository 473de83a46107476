"""Errors of the infrastructure on this machine. Each one contains its own message."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class InfrastructureError(Exception):
    """An error that the user must see. Its text says what happened, why, and what to do."""


class NotHealthy(InfrastructureError):
    """A program that was started did not become usable."""

    def __init__(self, name: str, waiting_for: str, why: str, log: Path) -> None:
        super().__init__(
            f"{name} did not come up: {why} while waiting for {waiting_for}. Its log, {log}, ends:\n{_last_lines(log)}"
        )
        self.name, self.log = name, log


class ApplicationEnded(InfrastructureError):
    """An application of a running fleet has ended, and `dapr run` does not start it again."""

    def __init__(self, name: str, port: int, log: Path) -> None:
        super().__init__(
            f"{name} has ended: dapr run and its sidecar are still there, but nothing listens on port {port}, and "
            "dapr run starts no application a second time. Stop the fleet with ./scripts/stop, then start it again "
            f"with ./scripts/quickstart. Why it ended may be in {log}"
        )


class SidecarsEnded(InfrastructureError):
    """Sidecars (daprd) of a running fleet have ended, and `dapr run` does not start them again."""

    def __init__(self, names: Sequence[str], log: Path, line: str) -> None:
        who = "The sidecar (daprd) of {} has" if len(names) == 1 else "The sidecars (daprd) of {} have"
        says = f"The last line in {log}: {line}" if line else f"Nothing in {log} says why."
        self.names, self.why = names, f"{who.format(', '.join(names))} ended. {says}"
        super().__init__(
            f"{self.why}\ndapr run starts none a second time. Stop the fleet with ./scripts/stop, then start it again "
            "with ./scripts/quickstart."
        )


class RunsByHand(InfrastructureError):
    """This fleet runs already, under a `dapr run` that a user started by hand."""

    def __init__(self, launcher: str) -> None:
        super().__init__(
            f"This fleet runs already, started by hand: {launcher}. End it with Ctrl-C in its own shell, or with "
            "./scripts/stop, and start again."
        )


class RunsOtherwise(InfrastructureError):
    """A program runs already with other settings than the requested ones."""

    def __init__(self, name: str, runs_with: set[str], asked_for: set[str]) -> None:
        runs, asked = (" ".join(sorted(words)) or "nothing more" for words in (runs_with, asked_for))
        super().__init__(
            f"{name} already runs with other settings ({runs}) than asked for ({asked}). Stop it first with "
            "./scripts/stop, or go back to the settings it was started with."
        )


class StillUsed(InfrastructureError):
    """The servers cannot be stopped, because sidecars are connected to them."""

    def __init__(self, users: Sequence[str], anyway: str) -> None:
        more = f" and {len(users) - 1} more" if len(users) > 1 else ""
        super().__init__(
            f"A fleet runs on these servers: {users[0]}{more}. End it first: ./scripts/stop, or Ctrl-C where "
            f"you started dapr run yourself. {anyway}"
        )


class WouldNotStop(InfrastructureError):
    """A process still runs after SIGKILL."""

    def __init__(self, name: str, pid: int) -> None:
        super().__init__(f"{name} (pid {pid}) is still there after SIGKILL; see why with: ps -o stat,wchan -p {pid}")


class PortTaken(InfrastructureError):
    """Another program listens on a port that we need."""

    def __init__(self, port: int, owner: str, advice: str) -> None:
        super().__init__(f"Port {port} is taken by {owner}. {advice}")
        self.port = port


class PortHeldForTheMoment(InfrastructureError):
    """No program listens on the port, but the kernel still reserves it for a connection that will end by itself."""

    def __init__(self, port: int, holder: str, another: str) -> None:
        super().__init__(
            f"Port {port} is held for the moment by {holder}; nobody listens there. Wait a minute and start again, "
            f"or choose another: {another}."
        )
        self.port = port


class CannotConnect(InfrastructureError):
    """A server that should run does not accept our connection."""

    def __init__(self, what: str, why: str, advice: str) -> None:
        super().__init__(f"{what} cannot be used: {why}. {advice}")


class BadFleetFile(InfrastructureError):
    """fleet.toml lacks something that set-up needs."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(f"The catalog {file} cannot be used: {why}. Correct the file and try again.")


class NotOurs(InfrastructureError):
    """Another server than ours answers: its data directory is not the one we know. It is not touched."""

    def __init__(self, what: str, where: str, expected: Path) -> None:
        super().__init__(
            f"The {what} at {where} does not keep its data in {expected}, so it is somebody else's and is left alone. "
            "Stop it, or choose another port."
        )


class WrongPassword(InfrastructureError):
    """Our own PostgreSQL was created with another user or password."""

    def __init__(self, user: str, data: Path) -> None:
        super().__init__(
            f"Our PostgreSQL in {data} does not know POSTGRES_USER={user} with the given POSTGRES_PASSWORD: both were "
            "fixed when it was created. Set them as they were then, or start over with: ./scripts/infra reset"
        )


class InUse(InfrastructureError):
    """Objects cannot change their owner, because somebody works with them."""

    def __init__(self, database: str) -> None:
        super().__init__(
            f"Database {database} was not given to the role of its service, because another session has locked objects "
            "in it for more than 5 seconds. Nothing was changed in it. Try again, or stop the fleet before: "
            "./scripts/stop"
        )


class NoServerUser(InfrastructureError):
    """We are root, and a server cannot run under the user id that is its own."""

    def __init__(self, server: str, number: int, why: str) -> None:
        super().__init__(
            f"{server} is never run as root, and cannot be run as user {number} here: {why}. Start this as an ordinary "
            "user, or use a server that runs already: export POSTGRES_HOST=... REDIS_HOST=..."
        )


class ToolMissing(InfrastructureError):
    """A program that scripts/setup installs is missing."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} was not found ({where}). Run ./scripts/setup.")


def _last_lines(log: Path, count: int = 12) -> str:
    if not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-count:]
    return "\n".join(f"    {line[:300]}" for line in lines)

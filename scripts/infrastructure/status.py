"""The state of every server, one row each."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from scripts.infrastructure.control_plane import EMPTIED, healthy
from scripts.infrastructure.fleet import Fleet
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.postgres import Address
from scripts.infrastructure.redis import answers
from scripts.infrastructure.supervise import Program


@dataclass(frozen=True)
class Status:
    """`state` is healthy, unhealthy (it runs but does not answer), stopped, or yours (a server you named answers).

    `why` is the known reason for unhealthy.
    """

    name: str
    state: str
    address: str
    pid: int | None
    log: str
    why: str = ""


def status(infrastructure: Infrastructure) -> list[Status]:
    """All rows, in the order in which the servers start."""
    settings, plane = infrastructure.settings, infrastructure.control_plane
    numbers = settings.control_plane
    postgres, broker = settings.postgres, f"{settings.redis_host}:{settings.redis_port}"
    return [
        _row(
            infrastructure.postgres.program,
            f"{postgres.host}:{postgres.port}",
            _postgres_answers(postgres),
            infrastructure.postgres_is_ours,
        ),
        _row(
            infrastructure.redis.program,
            broker,
            _redis_answers(infrastructure),
            infrastructure.redis_is_ours,
        ),
        _row(plane.placement, f"127.0.0.1:{numbers.placement}", healthy(numbers.placement_healthz)),
        _row(
            plane.scheduler,
            f"127.0.0.1:{numbers.scheduler}",
            healthy(numbers.scheduler_healthz),
            why=EMPTIED if plane.is_emptied() else "",
        ),
        *(row for fleet in Fleet.known(settings) if (row := _row_of(fleet)) is not None),
    ]


def _row_of(fleet: Fleet) -> Status | None:
    """None while no process of the fleet runs."""
    processes = fleet.processes.find()
    if not processes.everything:
        return None
    address = fleet.sidecar.removeprefix("http://")
    pid, log = (processes.launchers[0].pid if processes.launchers else None), str(fleet.log)
    if lost := fleet.lost_sidecars():
        return Status("fleet", "unhealthy", address, pid, log, lost.why)
    if not processes.launchers:
        return Status(
            "fleet", "unhealthy", address, None, log, "Its dapr run is gone. ./scripts/stop ends what is left."
        )
    return Status("fleet", "healthy", address, pid, log)


def _row(program: Program, address: str, answers: bool, ours: bool = True, why: str = "") -> Status:
    process = program.process()
    if not ours:
        return Status(program.name, "yours" if answers else "unhealthy", address, None, "")
    state = "stopped" if process is None else "healthy" if answers and not why else "unhealthy"
    return Status(program.name, state, address, process.pid if process else None, str(program.log), why)


def _redis_answers(infrastructure: Infrastructure) -> bool:
    if infrastructure.redis_is_ours:
        return infrastructure.redis.answers()
    settings = infrastructure.settings
    return answers(settings.redis_host, settings.redis_port, settings.redis_user, settings.redis_password)


def _postgres_answers(address: Address) -> bool:
    try:
        address.connect().close()
    except psycopg.OperationalError:
        return False
    return True

"""A service's two replicas, the sidecar between, and cas-audit: processes that may be killed at any moment."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

from tests.integration.services.fleet import BY_FOLDER

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["uvicorn", "httpx", "migration_sidecar.service", "services.cas_service.api.events"])


@dataclass
class Stage:
    """Whoever is killed is started again at once, as dapr run or a platform does."""

    parts: dict[str, tuple[Callable[..., None], tuple[Any, ...]]]
    running: dict[str, BaseProcess] = field(default_factory=dict)
    kills: int = 0

    def __enter__(self) -> Stage:
        for name in self.parts:
            self._start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            process.kill()
            process.join()

    def kill_one(self, chance: random.Random) -> None:
        name = chance.choice(sorted(self.parts))
        self.running[name].kill()
        self.running[name].join()
        self.kills += 1
        self._start(name)

    def _start(self, name: str) -> None:
        target, arguments = self.parts[name]
        self.running[name] = _processes.Process(target=target, args=arguments, daemon=True)
        self.running[name].start()


def stage(journal_url: str, audit_url: str, sidecar_port: int, audit_port: int) -> Stage:
    return Stage(
        {
            "audit": (serve_audit, (audit_url, audit_port)),
            "sidecar": (pass_on, (sidecar_port, audit_port)),
            "replica 1": (relay, (journal_url, sidecar_port)),
            "replica 2": (relay, (journal_url, sidecar_port)),
        }
    )


def serve_audit(url: str, port: int) -> None:
    import uvicorn
    from fastapi import FastAPI

    from migration_sidecar.api.problems import PROBLEMS
    from migration_sidecar.config.settings import read_settings
    from migration_sidecar.engine.engine import Engine
    from migration_sidecar.http_server.problem_response import install_problem_handlers
    from migration_sidecar.http_server.proven_caller import CallPolicy
    from services.cas_service.api.events import router
    from signed_calls.settings import CallSettings

    app = FastAPI()
    install_problem_handlers(app, PROBLEMS)
    app.include_router(router, prefix="/v1.0/invoke/cas-audit/method")
    app.state.call_policy = CallPolicy(CallSettings(required=False), "cas-audit")
    app.state.database = Engine(
        read_settings(BY_FOLDER["cas_service"].path / "alembic.ini", {"DATABASE_URL": url})
    ).database
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


def relay(url: str, sidecar_port: int) -> None:
    import migration_sidecar.engine.journal_relay
    from migration_sidecar.config.settings import read_settings
    from migration_sidecar.engine.engine import Engine

    migration_sidecar.engine.journal_relay.IDLE_SECONDS = 0.02
    migration_sidecar.engine.journal_relay.LONGEST_PAUSE_SECONDS = 0.1
    migration_sidecar.engine.journal_relay.BATCH = 20
    environment = {"DATABASE_URL": url, "DAPR_HTTP_PORT": str(sidecar_port)}
    engine = Engine(read_settings(BY_FOLDER["task_service"].path / "alembic.ini", environment))
    asyncio.run(engine.relay.run())


def pass_on(port: int, to_port: int) -> None:
    """Bytes in both directions; what it holds when it is killed is lost, answers too."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", to_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, other_writer), pump(other_reader, writer))

    async def forever() -> None:
        server = await asyncio.start_server(meet, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(forever())

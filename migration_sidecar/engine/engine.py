"""Wires one service's migration sidecar; the endpoint, start-up and the command line all get their parts here."""

from __future__ import annotations

from migration_sidecar.alembic_environment.loader import EnvironmentLoader
from migration_sidecar.alembic_environment.revision_files import RevisionFiles
from migration_sidecar.alembic_environment.target_database import TargetDatabase
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.messages import Action, MigrationPlan, ServiceStatus
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.journal_relay import JournalRelay
from migration_sidecar.engine.operations.executor import OperationExecutor
from migration_sidecar.engine.operations.prewarmed_worker import PrewarmedWorker
from migration_sidecar.engine.operations.queue import OperationQueue
from migration_sidecar.engine.operations.read_back import ReadBackReader
from migration_sidecar.engine.operations.worker_run import WorkerRunner
from migration_sidecar.engine.planning.reader import StatusReader
from migration_sidecar.engine.startup import Startup
from migration_sidecar.forkserver.client import ForkserverClient


class Engine:
    """Everything one service needs; nothing is connected or started before it is used."""

    def __init__(
        self,
        settings: Settings,
        environment: dict[str, str] | None = None,
        processes: ForkserverClient | None = None,
    ) -> None:
        """`processes` of another engine stay that one's to stop."""
        self.settings = settings
        self._borrowed = processes is not None
        self.processes = processes or ForkserverClient(environment, settings.python)
        self.loading = EnvironmentLoader(settings, self.processes)
        self.place = TargetDatabase(settings, self.loading)
        self.database = DatabasePool(self.place, f"migration-sidecar {settings.service}")
        self.scripts = RevisionFiles(settings, self.processes, self.loading)
        self.reader = StatusReader(settings, self.place, self.database, self.scripts)
        self.relay = JournalRelay(settings, self.place, self.database)
        truth = ReadBackReader(self.database, self.reader, self.place)
        self.standby = PrewarmedWorker(self.processes, self.scripts)
        self.workers = WorkerRunner(settings, self.place, self.database, self.standby)
        self.attempts = OperationExecutor(settings, self.place, self.database, self.scripts, self.workers, truth)
        self.operations = OperationQueue(
            settings, self.place, self.database, self.reader, self.attempts, self.relay.wake
        )
        self.startup = Startup(settings, self.reader, self.operations, self.prewarm_for)

    def prewarm(self, plan: MigrationPlan) -> None:
        """A plan was asked for: where it has work to do, its process gets ready while others decide."""
        if plan.revisions and not plan.obstacles:
            self.standby.prewarm(self.workers.job(plan.action, plan.target))

    def prewarm_for(self, status: ServiceStatus) -> None:
        """The same where only the status is known: what a coordinator asks for first is the head."""
        if status.pending and status.error is None:
            self.standby.prewarm(self.workers.job(Action.UPGRADE, "head"))

    async def close(self) -> None:
        await self.startup.close()
        await self.operations.stop()
        await self.standby.close()
        await self.loading.stop()
        await self.database.close()
        if not self._borrowed:
            self.processes.stop()

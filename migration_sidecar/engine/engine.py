"""Creates all parts of one service's migration sidecar. The endpoint, start-up and the command line use them."""

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
    """All parts of one service. Creating an Engine opens no connection and starts no process."""

    def __init__(
        self,
        settings: Settings,
        environment: dict[str, str] | None = None,
        forkserver: ForkserverClient | None = None,
    ) -> None:
        """`forkserver` may belong to another engine; then `close` does not stop it."""
        self.settings = settings
        self._shares_forkserver = forkserver is not None
        self.forkserver = forkserver or ForkserverClient(environment, settings.python)
        self.loader = EnvironmentLoader(settings, self.forkserver)
        self.target_database = TargetDatabase(settings, self.loader)
        self.database = DatabasePool(self.target_database, f"migration-sidecar {settings.service}")
        self.revision_files = RevisionFiles(settings, self.forkserver, self.loader)
        self.reader = StatusReader(settings, self.target_database, self.database, self.revision_files)
        self.relay = JournalRelay(settings, self.target_database, self.database)
        read_back_reader = ReadBackReader(self.database, self.reader, self.target_database)
        self.prewarmed_worker = PrewarmedWorker(self.forkserver, self.revision_files)
        self.worker_runner = WorkerRunner(settings, self.target_database, self.database, self.prewarmed_worker)
        self.executor = OperationExecutor(
            settings, self.target_database, self.database, self.revision_files, self.worker_runner, read_back_reader
        )
        self.operations = OperationQueue(
            settings, self.target_database, self.database, self.reader, self.executor, self.relay.wake
        )
        self.startup = Startup(settings, self.reader, self.operations, self.prewarm_for)

    def prewarm(self, plan: MigrationPlan) -> None:
        """Called after a plan was read. Prepares a worker process if the plan has revisions and no obstacle."""
        if plan.revisions and not plan.obstacles:
            self.prewarmed_worker.prewarm(self.worker_runner.job(plan.action, plan.target))

    def prewarm_for(self, status: ServiceStatus) -> None:
        """Called after a status was read. As `prewarm`, for an upgrade to head, which a coordinator asks for first."""
        if status.pending and status.error is None:
            self.prewarmed_worker.prewarm(self.worker_runner.job(Action.UPGRADE, "head"))

    async def close(self) -> None:
        """Stops all tasks and processes and closes all connections."""
        await self.startup.close()
        await self.operations.stop()
        await self.prewarmed_worker.close()
        await self.loader.stop()
        await self.database.close()
        if not self._shares_forkserver:
            self.forkserver.stop()

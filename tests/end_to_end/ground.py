"""A whole fleet under `dapr run` on servers and ports of its own, and the means to hurt it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from psycopg import sql

from coordinator.client.operator_key import signing_hook
from scripts.infrastructure.catalog import members
from scripts.infrastructure.fleet import COORDINATOR, Fleet
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.render import Rendering, read_fleet, render_fleet
from scripts.infrastructure.role_passwords import role_of
from scripts.infrastructure.settings import ROOT, Settings
from scripts.infrastructure.supervise import dying_with_us
from signed_calls.key_folder import make_key
from signed_calls.sidecar_token import HEADER
from signed_calls.signer import Signer

SERVICES = [member.name for member in members()]
ENDED = {"succeeded", "failed", "cancelled", "compensated", "needs_attention", "planned"}
TABLES = {
    "cas_audit": {"audit_events"},
    "cds_client": {"clients", "client_links", "processed_events"},
    "cds_document": {"documents", "processed_events"},
    "interaction_db": {"interactions", "processed_events"},
    "cds_product": {"products", "processed_events"},
    "relationship_db": {"relationships", "processed_events"},
    "riskprofile_db": {"risk_profiles", "suitability_assessments", "processed_events"},
    "rmbrain_mainapp": {"plugins", "tenant_plugins", "plugin_event_registry", "event_mappings"},
    "cds_task": {"tasks", "processed_events"},
}
# Before the first start there is no table yet.
FORGET_RUNS = """
DO $$ BEGIN
  IF to_regclass('dapr.state') IS NOT NULL THEN
    DELETE FROM dapr.state WHERE key LIKE 'migration-coordinator||run-%%'
      OR key LIKE 'migration-coordinator||%%dead-letter%%'
      OR key IN ('migration-coordinator||index-of-runs', 'migration-coordinator||rejections-pending');
  END IF;
END $$
"""


@dataclass(frozen=True)
class Ground:
    """`sources` is a copy of services/, so that a test may add and break revisions."""

    infrastructure: Infrastructure
    fleet: Fleet
    sources: Path

    @property
    def sidecar(self) -> str:
        return self.fleet.sidecar

    @property
    def token(self) -> dict[str, str]:
        """The header that the coordinator's sidecar demands."""
        return {HEADER: self.fleet.token}

    def token_of(self, name: str) -> dict[str, str]:
        """The header that the sidecar of this application demands."""
        return {HEADER: self.fleet.token_of(name)}

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
        """The coordinator, through its sidecar, as the operator."""
        prefix = f"/v1.0/invoke/{COORDINATOR}/method"
        url = f"{self.sidecar}{prefix}{path}"
        request = httpx.Request(method, url, headers={**self.token, **(headers or {})}, **more)
        key = make_key(self.infrastructure.settings.keys_folder, "operator")
        signing_hook(Signer(lambda: key), prefix)(request)
        with httpx.Client(timeout=30) as client:
            return client.send(request)

    def publish(self, body: Any, **metadata: str) -> None:
        parameters = {f"metadata.cloudevent.{key}": value for key, value in metadata.items()}
        url = f"{self.sidecar}/v1.0/publish/pubsub/migrate.requested"
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        httpx.post(url, params=parameters, timeout=30, headers=self.token, **content).raise_for_status()

    def rejections_of(self, request_id: str, timeout_seconds: float = 60) -> int:
        """How many the audit has, once it has any: a refusal may have to wait for the audit."""
        deadline = time.monotonic() + timeout_seconds
        events: list[Any] = []
        while not events and time.monotonic() < deadline:
            parameters = {"request_id": request_id, "type": "migration.rejected"}
            events = self.ask("GET", "/audit/events", params=parameters).json()["events"]
            time.sleep(0.2)
        return len(events)

    def ended(self, request_id: str, timeout_seconds: float = 90) -> dict[str, Any]:
        """The run record once the run has ended and its audit is complete."""
        return self.run_when(
            request_id, lambda run: run["state"] in ENDED and run["audit"] == "recorded", timeout_seconds
        )

    def run_when(
        self, request_id: str, what: Callable[[dict[str, Any]], bool], timeout_seconds: float = 90
    ) -> dict[str, Any]:
        last: Any = None
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            try:
                answer = self.ask("GET", f"/migrations/{request_id}")
                last = answer.json() if answer.content else answer.status_code
                if answer.status_code == httpx.codes.OK and what(last):
                    return last
            except (httpx.HTTPError, ValueError) as error:
                last = error
            time.sleep(0.1)
        raise AssertionError(f"{request_id} did not get there within {timeout_seconds} s: {last}")

    def audit(self, request_id: str) -> list[dict[str, Any]]:
        answer = self.ask("GET", "/audit/events", params={"request_id": request_id, "limit": 1000})
        events: list[dict[str, Any]] = answer.raise_for_status().json()["events"]
        return events

    def audit_when(
        self, request_id: str, what: Callable[[list[dict[str, Any]]], bool], timeout_seconds: float = 30
    ) -> list[dict[str, Any]]:
        """The services relay their journals a moment later than the coordinator writes."""
        events: list[dict[str, Any]] = []
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            events = self.audit(request_id)
            if what(events):
                return events
            time.sleep(0.2)
        raise AssertionError(f"the audit of {request_id} never got there: {[each['event_type'] for each in events]}")

    def query(self, database: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.infrastructure.settings.postgres.connect(database) as connection:
            done = connection.execute(statement, values)
            return done.fetchall() if done.description else []

    def tables(self, database: str) -> set[str]:
        rows = self.query(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0] for row in rows}

    def revision(self, database: str) -> str:
        rows = self.query(database, "SELECT version_num FROM alembic_version")
        return ",".join(row[0] for row in rows)

    def applied(self, database: str) -> list[str]:
        """Every application of a revision, as the database itself has it, in order."""
        rows = self.query(
            database, "SELECT revision FROM migration_sidecar.journal WHERE kind = 'applied' ORDER BY seq"
        )
        return [row[0] for row in rows]

    def empty_databases(self) -> None:
        """All nine anew, under the running services, and no run remembered; refuses on any cluster but its own."""
        self.infrastructure.postgres.prove_ours()
        with self.infrastructure.settings.postgres.connect() as connection:
            for member in members():
                name, role = sql.Identifier(member.database), sql.Identifier(role_of(member.database))
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, role))
        self.infrastructure.give_databases()
        # An audit that is made anew knows nothing of older runs, which would be a gap each, and has a key of its own.
        self.query("migration_coordinator", FORGET_RUNS)
        shutil.rmtree(self.infrastructure.settings.audit_folder, ignore_errors=True)

    def add_revision(self, folder: str, name: str, body: str) -> Path:
        """A revision on top of the newest one, removed again with `unlink`; `body` is its upgrade."""
        versions = self.sources / "services" / folder / "alembic" / "versions"
        newest = max(path.stem for path in versions.glob("0*.py"))
        below = f"{newest_id(versions / f'{newest}.py')}"
        file = versions / f"9{name}.py"
        file.write_text(
            f'"""{name}"""\n\nfrom alembic import op\n\nrevision = "{name}"\ndown_revision = "{below}"\n'
            f"branch_labels = None\ndepends_on = None\n\n\ndef upgrade():\n    {body}\n\n\ndef downgrade():\n    pass\n"
        )
        return file

    def application(self, name: str) -> psutil.Process:
        return listening_on(int(read_fleet(self.fleet.file)[name]["appPort"]))

    def daprd(self, name: str) -> psutil.Process:
        return listening_on(int(read_fleet(self.fleet.file)[name]["daprHTTPPort"]))


def newest_id(file: Path) -> str:
    return next(line.split('"')[1] for line in file.read_text().splitlines() if line.startswith("revision = "))


def listening_on(port: int) -> psutil.Process:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise AssertionError(f"nothing listens on port {port}")


@dataclass
class Killed:
    """A process that was killed with SIGKILL, and all that is needed to start it again just as it was."""

    command: list[str]
    environment: dict[str, str]
    folder: str
    log: Path

    @classmethod
    def soon(cls, process: psutil.Process, log: Path) -> Killed:
        """For a process that is going to end by itself."""
        return cls(process.cmdline(), process.environ(), process.cwd(), log)

    @classmethod
    def now(cls, process: psutil.Process, log: Path) -> Killed:
        remembered = cls.soon(process, log)
        process.kill()
        psutil.wait_procs([process], timeout=10)
        return remembered

    def again(self) -> None:
        """Ends with the fleet: it carries the fleet's mark in its environment."""
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                dying_with_us(self.command),
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        started.returncode = 0  # it outlives this object: Python need not warn that it does


@contextmanager
def standing(folder: Path, on_startup: str) -> Iterator[Ground]:
    """Everything is stopped at the end, also after a failure; nine empty databases at the beginning."""
    sources = folder / "sources"
    shutil.copytree(ROOT / "services", sources / "services", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "fleet.toml", sources)
    settings = Settings.private(folder / "state")
    infrastructure = Infrastructure(settings)
    file = folder / "fleet" / "dapr.yaml"
    ground = Ground(infrastructure, Fleet(settings, file, {"MIGRATE_ON_STARTUP": on_startup}), sources)
    try:
        infrastructure.up()  # before the rendering, which asks which roles there are
        render_fleet(file.parent, Rendering(settings, root=sources, free_ports=True))
        ground.empty_databases()
        ground.fleet.start()
        ground.fleet.wait()
        yield ground
    finally:
        keep_log(ground)
        ground.fleet.stop()
        infrastructure.down()


def keep_log(ground: Ground) -> None:
    """With RMBRAIN_KEEP_LOGS the fleet's log outlives the test, for whoever has to find out why."""
    kept = os.environ.get("RMBRAIN_KEEP_LOGS")
    if kept and ground.fleet.program.log.exists():
        shutil.copy(ground.fleet.program.log, Path(kept) / f"{ground.sources.parent.name}.log")

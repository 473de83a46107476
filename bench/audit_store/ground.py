"""What this bench measures: a durable PostgreSQL server of its own, with the audit's database at head."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.databases import make_anew
from bench.processes import ALEMBIC, run
from scripts.infrastructure.postgres import PostgresServer
from scripts.infrastructure.settings import ROOT, Settings

DATABASE = "cas_audit"
SERVICE = ROOT / "services" / "cas_service"


@dataclass(frozen=True)
class Ground:
    """The server, and the database of the audit on it."""

    postgres: PostgresServer

    @property
    def url(self) -> str:
        """The URL of the audit's database."""
        return self.postgres.address.url(DATABASE)

    def make_audit_anew(self) -> None:
        """Drops the audit's database, creates it and migrates it to head."""
        make_anew(self.postgres, [DATABASE])
        run([ALEMBIC, "upgrade", "head"], SERVICE, {"DATABASE_URL": self.url, "PYTHONPATH": str(ROOT)})


@contextmanager
def prepared_ground(state: Path) -> Iterator[Ground]:
    """Starts the server, and stops it at the end, also after a failure."""
    settings = Settings.private(state)
    postgres = PostgresServer(state / "postgres", settings.postgres, dies_with_us=True)
    try:
        postgres.start()
        yield Ground(postgres)
    finally:
        postgres.stop()

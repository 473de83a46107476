"""The ground of this bench: a durable PostgreSQL of its own, and an audit at head in it."""

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
    postgres: PostgresServer

    @property
    def url(self) -> str:
        return self.postgres.address.url(DATABASE)

    def make_audit_anew(self) -> None:
        make_anew(self.postgres, [DATABASE])
        run([ALEMBIC, "upgrade", "head"], SERVICE, {"DATABASE_URL": self.url, "PYTHONPATH": str(ROOT)})


@contextmanager
def prepared_ground(state: Path) -> Iterator[Ground]:
    """The server is stopped at the end, also after a failure."""
    settings = Settings.private(state)
    postgres = PostgresServer(state / "postgres", settings.postgres, dies_with_us=True)
    try:
        postgres.start()
        yield Ground(postgres)
    finally:
        postgres.stop()

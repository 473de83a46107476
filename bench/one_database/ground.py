"""What bench/engine measures: its own PostgreSQL server with one database."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.databases import make_anew, revision_of
from bench.one_database.serving import Service
from scripts.infrastructure.postgres import PostgresServer
from scripts.infrastructure.settings import Settings

DATABASE = "bench"
SETTLE_SECONDS = 1.5  # enough for a pre-warmed worker process to connect


@dataclass(frozen=True)
class Ground:
    """One database, and the services that can migrate it."""

    postgres: PostgresServer
    services: Sequence[Service] = ()

    @property
    def url(self) -> str:
        """The URL of the database, with the driver."""
        return self.postgres.address.url(DATABASE, scheme="postgresql+psycopg")

    @property
    def plain_url(self) -> str:
        """The same without a driver, for psql."""
        return self.postgres.address.url(DATABASE)

    def make_databases_anew(self) -> None:
        """Creates an empty database, and lets each service read it and prepare what is pending."""
        make_anew(self.postgres, [DATABASE])
        for service in self.services:
            service.ask("/migrations")
        time.sleep(SETTLE_SECONDS)

    def heads(self) -> dict[str, str]:
        """The revision of the database."""
        return {DATABASE: revision_of(self.postgres.address, DATABASE)}


@contextmanager
def prepared_ground(state: Path) -> Iterator[Ground]:
    """Starts the server, and stops it at the end, also after a failure."""
    settings = Settings.private(state)
    postgres = PostgresServer(state / "postgres", settings.postgres, dies_with_us=True)
    try:
        postgres.start()
        make_anew(postgres, [DATABASE])
        yield Ground(postgres)
    finally:
        postgres.stop()

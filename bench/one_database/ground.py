"""The ground of one bench: a PostgreSQL server and a database of its own."""

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
REST_SECONDS = 1.5  # a process that is to be ready is connected by then


@dataclass(frozen=True)
class Ground:
    """One database, and the services that would migrate it."""

    postgres: PostgresServer
    services: Sequence[Service] = ()

    @property
    def url(self) -> str:
        return self.postgres.address.url(DATABASE, scheme="postgresql+psycopg")

    @property
    def plain_url(self) -> str:
        return self.postgres.address.url(DATABASE)

    def make_databases_anew(self) -> None:
        """The services look once, as they do now and then by themselves, and get ready for what is pending."""
        make_anew(self.postgres, [DATABASE])
        for service in self.services:
            service.ask("/migrations")
        time.sleep(REST_SECONDS)

    def heads(self) -> dict[str, str]:
        return {DATABASE: revision_of(self.postgres.address, DATABASE)}


@contextmanager
def prepared_ground(state: Path) -> Iterator[Ground]:
    """The server is stopped at the end, also after a failure."""
    settings = Settings.private(state)
    postgres = PostgresServer(state / "postgres", settings.postgres, dies_with_us=True)
    try:
        postgres.start()
        make_anew(postgres, [DATABASE])
        yield Ground(postgres)
    finally:
        postgres.stop()

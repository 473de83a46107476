"""A journey: one environment, up to its heads and down to base, by one way on one server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock

from scripts.infrastructure.postgres import PostgresServer
from tests.environments import snapshot, ways
from tests.environments.forking import Nurseries
from tests.environments.ground import interpreter
from tests.environments.snapshot import Snapshot
from tests.environments.styles import BY_NAME
from tests.environments.ways import Place
from tests.integration.databases import fresh_database

WAYS = {
    "bare": (ways.by_bare_alembic, None),
    "command-line": (ways.by_command_line, None),
    "endpoint": (ways.by_endpoint, None),
    "oldest-python": (ways.by_endpoint, "oldest"),
    "newest-python": (ways.by_command_line, "newest"),
}


@dataclass(frozen=True)
class Journey:
    """`server` is "18", "16" or "other"."""

    style: str
    way: str
    server: str

    def __str__(self) -> str:
        return f"{self.style}-{self.way}-{self.server}"


Views = dict[str, Snapshot]  # by where the database was: top, floor, bottom


class Once:
    """Makes a thing when it is first asked for, however many ask at the same time."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make, self._lock, self._made = make, Lock(), None

    def __call__(self) -> object:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


class Traveller:
    """Journeys may be made at the same time: each has a database and a copy of its environment to itself."""

    def __init__(self, folder: Path, servers: dict[str, Callable[[], PostgresServer]]) -> None:
        self.folder, self.servers = folder, servers
        self.nurseries = Nurseries()
        self.interpreters = {
            lock: Once(lambda lock=lock: interpreter(folder / lock, lock))  # type: ignore[misc]
            for lock in ("oldest", "newest", "drivers", "flask_oldest", "flask_newest")
        }

    def travel(self, journey: Journey) -> Views:
        """Raises DidNotMigrate."""
        style = BY_NAME[journey.style]
        way, lock = WAYS[journey.way]
        lock = f"flask_{lock or 'newest'}" if style.flask else lock
        python = self.interpreters[lock]() if lock else None
        with fresh_database(self.servers[journey.server]()) as database:
            with database.connect() as connection:
                for statement in style.before:
                    connection.execute(statement.encode())
            folder = Path(mkdtemp(prefix=f"{journey.way}-", dir=self.folder))
            config = style.place(folder, database.address.url(database.name, scheme=style.scheme))
            views: Views = {}
            place = Place(style, config, database, self.nurseries.here(), python)
            if style.flask:
                ways.init_flask_migrate(place)
            way(place, lambda where: views.update({where: snapshot.take(database)}))
            return views

"""Looks at one run's database every 20 ms from a session of its own, and at live health every 100 ms."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import psycopg

from tests.campaign.ground import Database
from tests.campaign.service import Service, ports_of

EVERY_SECONDS = 0.02
HEALTH_EVERY_SECONDS = 0.1
LOOK_BACK_SECONDS = 0.5
NOBODY = 0
FORKSERVER, MIGRATION_PROCESS = "the forkserver", "a process of its own"
LOOKS_FOR_EACH_HOLDER = 5  # a rival's holder is none of ours, and looking costs samples

# A session that changes something outside our journal's schema holds such a lock until its transaction ends.
_LOOK = """
SELECT coalesce(array_agg(DISTINCT l.pid) FILTER (WHERE l.locktype = 'advisory' AND l.classid = 19785
                                                   AND l.objid <> 0 AND l.objsubid = 2), '{}'),
       coalesce(array_agg(DISTINCT l.pid) FILTER (
         WHERE l.locktype = 'relation' AND l.relation >= 16384 AND a.application_name LIKE 'migration-sidecar:%'
         AND l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                        'ExclusiveLock', 'AccessExclusiveLock')
         AND NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                         WHERE c.oid = l.relation AND n.nspname NOT IN ('public'))), '{}'),
       coalesce(array_agg(DISTINCT a.client_port) FILTER (WHERE l.locktype = 'advisory' AND l.classid = 19785
                                                   AND l.objsubid = 2), '{}'),
       coalesce(array_agg(DISTINCT l.pid) FILTER (WHERE a.application_name LIKE 'migration-sidecar:by-hand-%'), '{}')
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Sample:
    at: float
    holders: tuple[int, ...]  # sessions with the migration lock
    changing: tuple[int, ...]  # sessions of ours that change something
    by_hand: tuple[int, ...] = ()  # sessions of a rival, who may be a holder

    @property
    def own_holders(self) -> set[int]:
        """Those of the service: what is done to the service does not end a rival's session."""
        return set(self.holders) - set(self.by_hand)


class Sampler:
    """`samples` is what was seen; a server that is away leaves a gap."""

    def __init__(self, database: Database, services: list[Service]) -> None:
        self._database, self._services = database, services
        self.samples: list[Sample] = []
        self.command_lines: set[str] = set()
        self.holders: set[tuple[int, str]] = set()  # the local port of a session that had the lock, and whose it was
        self._looks_for: Counter[int] = Counter()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._watch_locks, self._watch_health)]

    def __enter__(self) -> Sampler:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def freed_after(self, moment: float, *, surely_held: bool = False) -> float | None:
        """Seconds until the session that had the migration lock at that moment no longer had it; None when none had.

        A lock that was surely taken, and in no sample yet, was free when the next sample shows none.
        """
        before = [each for each in self.samples if moment - LOOK_BACK_SECONDS < each.at <= moment]
        after = [each for each in self.samples if each.at > moment]
        holders = before[-1].own_holders if before else set()
        if not holders and surely_held and after:
            holders = after[0].own_holders or {NOBODY}
        return next((each.at - moment for each in after if holders and not holders & set(each.holders)), None)

    def overlaps(self) -> list[Sample]:
        return [each for each in self.samples if len(each.holders) > 1 or len(each.changing) > 1]

    def _watch_locks(self) -> None:
        while not self._ended.is_set():
            try:
                with self._database.address.connect(self._database.name) as connection:
                    while not self._ended.wait(EVERY_SECONDS):
                        row = connection.execute(_LOOK).fetchone()
                        assert row is not None
                        self.samples.append(Sample(time.time(), *(tuple(row[each]) for each in (0, 1, 3))))
                        self._ask_whose(row[2])
            except psycopg.Error:
                self._ended.wait(EVERY_SECONDS)

    def _watch_health(self) -> None:
        while not self._ended.wait(HEALTH_EVERY_SECONDS):
            for service in self._services:
                service.look()
                self._read_command_lines(service)

    def _ask_whose(self, ports: list[int]) -> None:
        """At once, while the lock is held: the kernel forgets a connection that was closed."""
        for port in ports:
            if self._looks_for[port] < LOOKS_FOR_EACH_HOLDER:
                owner = next((each for each in self._processes() if port in ports_of(each[0])), None)
                self._looks_for[port] += LOOKS_FOR_EACH_HOLDER if owner else 1
                self.holders |= {(port, owner[1])} if owner else set()

    def _processes(self) -> Iterator[tuple[int, str]]:
        """Forkservers come before the processes they made."""
        for service in self._services:
            if server := service.forkserver():
                yield server, FORKSERVER
                yield from ((each, MIGRATION_PROCESS) for each in service.migration_processes())

    def _read_command_lines(self, service: Service) -> None:
        for process in service.descendants():
            try:
                self.command_lines.add(" ".join(process.cmdline()))
            except psutil.Error:
                continue

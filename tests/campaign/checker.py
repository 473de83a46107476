"""Says what is wrong with a run, from SQL, pg_dump, the server's log and files; never from the code under test."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

from tests.campaign.corpus import CONCURRENT_INDEX, FAILS_FIRST, REVISIONS, STUMBLE, TRANSACTIONAL, Corpus
from tests.campaign.course import Course, Ended, reached, version
from tests.campaign.ground import CANARY, Database, Ground, schema_hash
from tests.campaign.outcome import Spec
from tests.campaign.sampler import FORKSERVER, Sampler

GONE_WITHIN_SECONDS = 6.0
EXCUSES = {"disk full", "no connection free"}
LOCK_LOST, LOCK_LOST_CODE = "lock lost", "CM-406"


@dataclass(frozen=True)
class ServerLog:
    """The part of a server's log that one database wrote since the run began."""

    file: Path
    start: int
    number: int  # of the file's inode: a server that is started again begins another file
    database: str

    @classmethod
    def from_now(cls, file: Path, database: Database) -> ServerLog:
        return cls(file, file.stat().st_size, file.stat().st_ino, database.name)

    def lines(self) -> list[str]:
        restarted = self.file.stat().st_ino != self.number
        before = self.file.with_suffix(".log.previous") if restarted else self.file
        with before.open("rb") as log:
            log.seek(self.start if before.stat().st_ino == self.number else 0)  # it was started again twice
            text = log.read().decode(errors="replace")
        text += self.file.read_text(errors="replace") if restarted else ""
        return [line for line in text.splitlines() if f"@{self.database} " in line]


def check_between(ended: Ended, database: Database, ground: Ground, corpus: Corpus) -> list[str]:
    """After an operation ended: the database is where a transaction may end, and the record says where."""
    found = [*_whole(database), *_schema(database, ground), *_only_what_is_there(database)]
    if not corpus.may_stop_at(ended.version):
        found.append(f"I1: at {ended.version}, which is within the one transaction of the run")
    said = tuple(sorted(ended.record.get("current_revisions", ())))
    if said != ended.version:
        found.append(f"I2: the record says {said or 'base'}, the database {ended.version or 'base'}")
    if ended.state != "needs_attention":
        found += _half_done(database)
    if STUMBLE in ended.error and ended.version != corpus.after_the_stumble:
        expected = corpus.after_the_stumble or "base"
        found.append(
            f"P4: {FAILS_FIRST} failed, but the database is at {ended.version or 'base'} and not at {expected}"
        )
    applied = {each["revision"] for each in ended.record.get("applied", ())}
    if missing := applied - set(reached(ended.version)):
        found.append(f"I2: the record calls {sorted(missing)} applied, the version row does not")
    return [f"{ended.operation_id}: {each}" for each in found]


def check_reasons(course: Course, spec: Spec) -> list[str]:
    """Whoever was killed, paused or cut off is tried again: only the corpus itself may fail, and only once."""
    if spec.action == "raise" or EXCUSES & set(spec.nemeses):
        return []
    failed = [each for each in course.operations if each.state == "failed" and STUMBLE not in each.error]
    if LOCK_LOST in spec.nemeses:
        failed = [each for each in failed if each.code != LOCK_LOST_CODE]
    return [f"P6: {each.operation_id} failed and was not tried again: {each.error}" for each in failed]


def check_at_the_end(course: Course, database: Database, ground: Ground) -> list[str]:
    """The database is at head, once."""
    if version(database) != (REVISIONS[-1],):
        return [f"I1: at {version(database) or 'base'}, not at head"]
    found = [*_whole(database), *_half_done(database)]
    if schema_hash(database) != ground.clean[REVISIONS[-1]]:
        found.append("I2: the schema is not that of a clean build")
    return [*found, *_journalled(database), *_closed(database), *check_committed_under_lock(database)]


def check_nothing_is_left(database: Database) -> list[str]:
    """Of the service, which was stopped: no lock, no session, no prepared transaction."""
    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    while True:
        sessions = database.rows(
            """SELECT pid, application_name, state FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
        )
        locks = database.rows(
            """SELECT pid, classid FROM pg_locks WHERE locktype = 'advisory' AND classid IN (19785, 19786)
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
        )
        prepared = database.rows("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
        if not (sessions or locks or prepared):
            return []
        if time.monotonic() > deadline:
            return [f"I7: left behind: sessions {sessions}, locks {locks}, prepared transactions {prepared}"]
        time.sleep(0.05)


def check_alone(log: ServerLog, sampler: Sampler) -> list[str]:
    """Never two migrators at once."""
    found = [f"I8: {line}" for line in log.lines() if "OVERLAP" in line]
    return found + [f"I8: sampled {each}" for each in sampler.overlaps()[:3]]


def check_secrets(texts: dict[str, str]) -> list[str]:
    """The canary in no text, in no spelling."""
    spellings = {
        *(CANARY, quote(CANARY, safe=""), quote(CANARY), quote_plus(CANARY), repr(CANARY)[1:-1]),
        *(json.dumps(CANARY)[1:-1], json.dumps(CANARY, ensure_ascii=False)[1:-1], b64encode(CANARY.encode()).decode()),
        *(quote(CANARY, safe="").replace("%", "%%"), CANARY[:10]),
    }
    return [
        f"I13: the password stands in {where}" for where, text in texts.items() if any(s in text for s in spellings)
    ]


def journal_text(database: Database) -> str:
    tables = ("migration_sidecar.journal", "migration_sidecar.operations")
    there = [name for name in tables if database.rows("SELECT to_regclass(%s) IS NOT NULL", name)[0][0]]
    return "\n".join(str(row) for name in there for row in database.rows(f"SELECT row_to_json(t)::text FROM {name} t"))


def check_committed_under_lock(database: Database) -> list[str]:
    """Whoever lost the lock commits no more; see the corpus."""
    committed = database.rows("SELECT to_regclass('campaign.committed_without_lock') IS NOT NULL")[0][0]
    return ["I9: a transaction was committed after its session had lost the migration lock"] if committed else []


def _only_what_is_there(database: Database) -> list[str]:
    """At base there is nothing of any revision, and the journal calls applied only what the version row does."""
    at, found = version(database), []
    tables = database.rows(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    )
    if not at and tables and _index_state(database) is None:
        found.append(f"I2: at base there is {sorted(name for (name,) in tables)}")
    if database.rows("SELECT to_regclass('migration_sidecar.journal') IS NOT NULL")[0][0]:
        rows = database.rows("SELECT DISTINCT revision FROM migration_sidecar.journal WHERE kind = 'applied'")
        if missing := {name for (name,) in rows} - set(reached(at)):
            found.append(f"I4: the journal calls {sorted(missing)} applied at {at or 'base'}")
    return found


def _whole(database: Database) -> list[str]:
    at = version(database)
    found = []
    if at and not reached(at):
        found.append(f"I1: the version table holds {at}")
    marks = {}
    if database.rows("SELECT to_regclass('marks') IS NOT NULL")[0][0]:
        marks = dict(database.rows("SELECT rev, count(*) FROM marks GROUP BY rev"))
    for revision in TRANSACTIONAL:
        expected = 3 if revision in reached(at) else 0
        if marks.get(revision, 0) != expected:
            found.append(f"I2: {revision} has {marks.get(revision, 0)} of its marks at {at or 'base'}")
    return found


def _schema(database: Database, ground: Ground) -> list[str]:
    at = version(database)
    if not at or (at == ("c2",) and _index_state(database) is not None):
        return []  # the index of c3 may be there without c3: check_half_done judges it
    return (
        [] if schema_hash(database) == ground.clean.get(at[0]) else [f"I2: the schema at {at} is not a clean build's"]
    )


def _index_state(database: Database) -> bool | None:
    rows = database.rows("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", CONCURRENT_INDEX)
    return rows[0][0] if rows else None


def _half_done(database: Database) -> list[str]:
    invalid = database.rows("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
    found = [f"I3: {name} is INVALID, and nobody is told" for (name,) in invalid]
    if _index_state(database) is not None and "c3" not in reached(version(database)):
        found.append("I3: the index of c3 is there without c3, and nobody is told")
    if database.rows("SELECT to_regclass('migration_sidecar.journal') IS NOT NULL")[0][0]:
        open_ended = database.rows(
            """SELECT DISTINCT revision FROM migration_sidecar.journal s WHERE kind = 'nontx_started' AND NOT EXISTS
               (SELECT FROM migration_sidecar.journal e WHERE e.kind = 'applied' AND e.revision = s.revision)"""
        )
        found += [
            f"I3: {name} began outside a transaction and never ended, and nobody is told" for (name,) in open_ended
        ]
    return found


def _closed(database: Database) -> list[str]:
    """Each attempt that another one followed in its operation says how it ended."""
    left_open = database.rows(
        """SELECT a.operation_id, a.attempt FROM migration_sidecar.journal a
           WHERE a.kind = 'attempt' AND a.attempt < (SELECT max(b.attempt) FROM migration_sidecar.journal b
                                                     WHERE b.operation_id = a.operation_id)
             AND NOT EXISTS (SELECT FROM migration_sidecar.journal c WHERE c.operation_id = a.operation_id
                             AND c.attempt = a.attempt AND c.kind IN ('failed', 'refused', 'cancelled', 'resolved'))"""
    )
    return [f"I5: attempt {number} of {name} has no end" for name, number in left_open]


def check_own_process(sampler: Sampler) -> list[str]:
    """Alembic is not safe in threads: what migrates is a process that the forkserver made for it, never itself."""
    ports = sorted(port for port, owner in sampler.holders if owner == FORKSERVER)
    return [f"P3: the forkserver itself held the migration lock, from port {port}" for port in ports]


def _journalled(database: Database) -> list[str]:
    counted = dict(
        database.rows(
            "SELECT revision, count(*) FROM migration_sidecar.journal WHERE kind = 'applied' GROUP BY revision"
        )
    )
    return [
        f"I4: {revision} was applied once and recorded {counted.get(revision, 0)} times"
        for revision in REVISIONS
        if counted.get(revision, 0) != 1
    ]

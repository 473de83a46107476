"""env.py holds a lock of its own on a second connection: whoever comes second waits, as with bare Alembic."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic, sleep

import pytest

from tests.environments.reported.case import SYNCHRONOUS, Case, Revision, table
from tests.environments.reported.doors import opened
from tests.environments.reported.project import Project, State
from tests.environments.reported.trial import Trial, TrialRunner

SECONDS = 7  # for the second to come and wait; longer than any look waits
GATE = 5121
# It must not wait for the gate's lock itself, because a lock timeout would end that.
WAITS = f"""op.execute(
    "DO $$ BEGIN WHILE NOT pg_try_advisory_xact_lock({GATE}) LOOP PERFORM pg_sleep(0.2); END LOOP; END $$"
)"""
CASE = Case(
    "lock_on_a_second_connection",
    "env.py takes an advisory lock on a connection of its own before it migrates, and gives it back after.",
    migrate="""
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as beside:
            beside.execute(text("SELECT pg_advisory_lock(5120)"))
            context.configure(connection=connection)
            with context.begin_transaction():
                context.run_migrations()
            beside.execute(text("SELECT pg_advisory_unlock(5120)"))
    """,
    revisions=(table("g1", "beds"), Revision("g2", WAITS)),
    drivers=SYNCHRONOUS,
)
IS_ASLEEP = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state = 'active' AND query ~ 'pg_sleep' AND pid <> pg_backend_pid()
"""
PROGRAMS = {"bare": "alembic", "command-line": "migration-sidecar", "endpoint": "migration-sidecar"}
WAYS = [("command-line", "psycopg"), ("endpoint", "psycopg2")]


def until_asleep(project: Project) -> None:
    end = monotonic() + 180
    with project.database.connect() as connection:
        while connection.execute(IS_ASLEEP).fetchone() == (0,):
            assert monotonic() < end, "the first one does not come to its second revision"
            sleep(0.1)


@contextmanager
def closed_gate(project: Project) -> Iterator[None]:
    with project.database.connect() as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [GATE])
        yield


def two_at_once(trial_runner: TrialRunner, trial: Trial) -> State:
    """The first is of the command line, the second comes by the door of the trial."""
    with trial_runner.placed(trial) as project, opened(trial.way, project) as door:
        program = PROGRAMS[trial.way]
        words = ["-c", CASE.config(), "upgrade", "head"]
        words = words if program == "alembic" else ["upgrade", "head", *project.options()]
        with ThreadPoolExecutor(1) as beside:
            with closed_gate(project):
                first, *_ = project.begin(program, *words)
                until_asleep(project)
                told = door.status()
                second = beside.submit(door.migrate, "upgrade", "head")
                sleep(SECONDS)
            done, said = second.result()
        assert done, said
        assert project.nurseries.here(project.interpreter(program)).wait(first) == 0
        assert trial.way == "bare" or told in ("migrating", "behind"), told
        assert not door.faults
        return project.state()


@pytest.mark.parametrize(("way", "driver"), WAYS)
def test_the_second_waits_and_status_says_where_the_database_is(
    trial_runner: TrialRunner, way: str, driver: str
) -> None:
    trial = Trial(CASE, way, driver, "18")
    assert two_at_once(trial_runner, trial) == two_at_once(trial_runner, trial.bare())

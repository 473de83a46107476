"""`alembic …` in a folder whose env.py is our own: same lock, same journal, and no harm by looking."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from coordinator.domain.reconciliation.journal_continuity import JournalContinuity
from migration_sidecar.contract.journal import HistoryPosition, JournalEntry
from migration_sidecar.contract.messages import OperationState
from migration_sidecar.protocol.lock_key import lock_key
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    lock_is_free,
    rows,
    tables,
    version,
)

KEY = tuple(lock_key("alembic_version", "").values())
OURS = """
from sqlalchemy import Column, Integer, MetaData, Table

from migration_sidecar.environment import run

target_metadata = MetaData()
Table("t_a1", target_metadata, Column("id", Integer))
run(target_metadata)
"""
JOURNAL = """
SELECT kind, revision, detail->>'way_in', detail->>'sqlstate' FROM migration_sidecar.journal ORDER BY seq
"""

# `stamp --purge` empties the version table before Alembic looks at it, so there are no heads to tell.
BRANCHED = (
    "upgrade heads;downgrade a2;stamp base;stamp a1;stamp a2 b1;stamp a2 b1 --purge;downgrade a1;upgrade b1;"
    "upgrade heads"
)
TOLD = """
SELECT kind, operation_id, attempt, revision, detail FROM migration_sidecar.journal ORDER BY seq
"""


@pytest.fixture
def ours(request: pytest.FixtureRequest, make_environment: MakeEnvironment, database: Database) -> Environment:
    environment = make_environment(url="postgresql://nobody@nowhere.invalid/nothing")
    (environment.folder / "alembic" / "env.py").write_text(OURS)
    environment.url = database.address.url(database.name, scheme=getattr(request, "param", "postgresql"))
    environment.revision("a1")
    environment.revision("a2")
    return environment


BOTH_DRIVERS = pytest.mark.parametrize("ours", ["postgresql", "postgresql+asyncpg"], indirect=True)


def start(environment: Environment, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=environment.folder,
        env={**os.environ, "DATABASE_URL": environment.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def alembic(environment: Environment, *arguments: str, code: int = 0) -> str:
    """Its standard output; its standard error is in the message when it ends otherwise than expected."""
    process = start(environment, *arguments)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    return output + errors


def test_branches_stamps_and_a_purge_make_a_journal_that_is_accounted_for(
    ours: Environment, database: Database
) -> None:
    ours.revision("b1", below="a1")
    ours.revision("m1", below=("a2", "b1"))
    for line in BRANCHED.split(";"):
        alembic(ours, *line.split())
    continuity = JournalContinuity("orders")
    for seq, (kind, operation, attempt, revision, told) in enumerate(rows(database, TOLD), start=1):
        facts = {name: told.get(name) for name in ("before", "heads", "heads_before")}
        continuity.add(
            JournalEntry(
                seq=seq,
                kind=kind,
                history="alembic_version",
                operation_id=operation,
                attempt=attempt,
                revision=revision,
                relayed=True,
                seconds_ago=100,
                **facts,
            )
        )
    at = [HistoryPosition(history="alembic_version", revisions=version(database))]
    assert list(continuity.gaps(at)) == []
    stamps = [told.get("heads_before") for kind, *_, told in rows(database, TOLD) if kind == "stamped"]
    assert (stamps[0], stamps.count(None)) == (["a2", "b1"], 1)


@BOTH_DRIVERS
def test_upgrade_downgrade_and_stamp_are_journalled(ours: Environment, database: Database) -> None:
    alembic(ours, "upgrade", "head")
    assert (version(database), tables(database)) == (["a2"], {"t_a1", "t_a2"})
    alembic(ours, "downgrade", "-1")
    assert (version(database), tables(database)) == (["a1"], {"t_a1"})
    alembic(ours, "stamp", "head")
    assert rows(database, JOURNAL) == [
        ("attempt", None, "by hand", None),
        ("started", "a1", "by hand", None),
        ("applied", "a1", "by hand", None),
        ("started", "a2", "by hand", None),
        ("applied", "a2", "by hand", None),
        ("attempt", None, "by hand", None),
        ("started", "a2", "by hand", None),
        ("reverted", "a2", "by hand", None),
        ("attempt", None, "by hand", None),
        ("stamped", "a2", "by hand", None),
    ]
    assert rows(database, "SELECT DISTINCT detail->>'service' FROM migration_sidecar.journal") == [("orders",)]
    assert lock_is_free(database)


def test_a_stamp_backwards_is_journalled_under_the_revision_that_it_leads_to(
    ours: Environment, database: Database
) -> None:
    alembic(ours, "upgrade", "head")
    alembic(ours, "stamp", "a1")
    alembic(ours, "stamp", "base")
    stamped = "SELECT revision, detail->'heads' FROM migration_sidecar.journal WHERE kind = 'stamped' ORDER BY seq"
    assert rows(database, stamped) == [("a1", ["a1"]), ("a1", [])]


@BOTH_DRIVERS
def test_a_failure_is_journalled_and_shown(ours: Environment, database: Database) -> None:
    ours.revision("a2", 'op.execute("CREATE TABLE t_a2 (id int)"); op.execute("SELECT 1/0")', below="a1")
    said = alembic(ours, "upgrade", "head", code=255)  # Alembic's own way to end with a sentence
    assert "FAILED: CM-401" in said
    assert "division by zero" in said
    assert "22012" in said
    assert "Traceback" not in said
    assert (version(database), tables(database)) == (["a1"], {"t_a1"})
    assert rows(database, JOURNAL)[-1] == ("failed", None, "by hand", "22012")


def test_a_revision_that_imports_what_is_not_installed_shows_that_error(ours: Environment) -> None:
    file = ours.versions / "a2.py"
    file.write_text("import no_such_module\n" + file.read_text())
    output = alembic(ours, "upgrade", "head", code=1)

    assert "ModuleNotFoundError: No module named 'no_such_module'" in output
    assert "KeyError" not in output


@BOTH_DRIVERS
def test_tables_that_no_revision_accounts_for_are_left_alone_until_they_are_stamped(
    ours: Environment, database: Database
) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE t_a1 (id int)")
    said = alembic(ours, "upgrade", "head", code=255)
    assert "CM-552" in said
    assert "Traceback" not in said
    assert rows(database, "SELECT to_regclass('alembic_version')") == [(None,)]
    assert rows(database, JOURNAL)[-1] == ("failed", None, "by hand", None)
    alembic(ours, "stamp", "a1")
    alembic(ours, "upgrade", "head")
    assert tables(database) == {"t_a1", "t_a2"}


def test_a_history_of_its_own_begins_beside_a_neighbour_that_accounts_for_its_tables(
    ours: Environment, database: Database, make_environment: MakeEnvironment
) -> None:
    alembic(ours, "upgrade", "head")
    other = make_environment(name="other")
    text = OURS.replace("run(target_metadata)", "run(target_metadata, version_table='other_version')")
    (other.folder / "alembic" / "env.py").write_text(text)
    other.revision("b1")
    alembic(other, "upgrade", "head")
    assert tables(database) == {"t_a1", "t_a2", "t_b1"}


def test_it_waits_for_the_lock_and_says_for_whom(ours: Environment, database: Database) -> None:
    with closing(psycopg.connect(database.url, autocommit=True, application_name="the other one")) as stranger:
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", KEY)
        process = start(ours, "upgrade", "head")
        assert process.stderr is not None
        line = next(line for line in process.stderr if "Waiting" in line)
        assert f"held by pid {stranger.info.backend_pid} (the other one)" in line
        assert rows(database, "SELECT to_regclass('t_a1')") == [(None,)]
    assert process.wait(30) == 0
    process.communicate()
    assert applied(database) == ["a1", "a2"]


def test_looking_changes_nothing_and_needs_no_lock(ours: Environment, database: Database) -> None:
    with closing(psycopg.connect(database.url, autocommit=True)) as stranger:
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", KEY)
        assert alembic(ours, "current").strip() == ""
        assert "a1 -> a2 (head)" in alembic(ours, "history")
        assert "CREATE TABLE t_a1" in alembic(ours, "upgrade", "head", "--sql")
        assert "not up to date" in alembic(ours, "check", code=255)
        assert rows(database, "SELECT count(*) FROM pg_namespace WHERE nspname = 'migration_sidecar'") == [(0,)]
        assert rows(database, "SELECT to_regclass('alembic_version')") == [(None,)]


def test_a_new_revision_is_written_without_touching_the_journal(ours: Environment, database: Database) -> None:
    alembic(ours, "upgrade", "a1")
    ours.versions.joinpath("a2.py").unlink()
    before = rows(database, JOURNAL)
    assert "No new upgrade operations" in alembic(ours, "check")
    alembic(ours, "revision", "--autogenerate", "-m", "nothing new")
    assert len(list(ours.versions.glob("*_nothing_new.py"))) == 1
    assert rows(database, JOURNAL) == before


async def test_a_person_and_a_service_at_once_take_turns(
    ours: Environment, start_engine: StartEngine, database: Database
) -> None:
    slow = 'import time; time.sleep(0.5); op.execute("CREATE TABLE t_{} (id int)")'
    ours.revision("a3", slow.format("a3"))
    ours.set_url(ours.url)
    engine = start_engine(ours)
    by_hand = asyncio.to_thread(alembic, ours, "upgrade", "head")
    operation, _ = await asyncio.gather(carry_out(engine), by_hand)
    assert operation.state is OperationState.SUCCEEDED
    assert applied(database) == ["a1", "a2", "a3"]


def test_a_service_of_the_fleet_migrates_so_too(database: Database, tmp_path: Path) -> None:
    folder = Path(__file__).parents[3] / "services" / "client_service"
    process = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=folder,
        env={**os.environ, "DATABASE_URL": database.url},
        check=False,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    files = list((folder / "alembic" / "versions").glob("*.py"))
    assert len(applied(database)) == len(files)

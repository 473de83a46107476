"""Revision files that cannot be loaded: the status still answers, the plan says where, the database stays untouched."""

from __future__ import annotations

from dataclasses import replace

import pytest

import migration_sidecar.alembic_environment.loader
from migration_sidecar.contract.errors import HistoryUnreadable, WorkerUnavailable
from migration_sidecar.contract.messages import Action, DatabaseState, Problem, ServiceStatus
from migration_sidecar.engine.engine import Engine
from migration_sidecar.forkserver.answer import Answer
from migration_sidecar.protocol.jobs import AskedJob
from migration_sidecar.protocol.url import make_url
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, request, rows, version


@pytest.fixture
def environment(environment: Environment, request: pytest.FixtureRequest) -> Environment:
    """Whose files have four seconds to be loaded, and a minute where loading them ends by itself."""
    text = getattr(request.node, "callspec", None) and request.node.callspec.params.get("text")
    seconds = 60 if text and "while True" not in text else 4
    environment.ini.write_text(environment.ini.read_text() + f"loading_seconds = {seconds}\n")
    return environment


BROKEN = {
    "a syntax error": ("def upgrade(:\n", "a2.py:1"),
    "an import that is not there": ("\n\nimport no_such_module_at_all\n", "a2.py:3"),
    "an exit": ("import sys\n\nsys.exit(0)\n", "a2.py:3"),
    "an exit without a word": ("import os\n\nos._exit(0)\n", "a2.py: it ended the process"),
    "an endless loop": ("while True:\n    pass\n", "a2.py:"),
    "a loop that nothing ends": (
        "while True:\n    try:\n        pass\n    except BaseException:\n        pass\n",
        "a2.py",
    ),
    "100 MB of prints before an error": ("print('x' * 100_000_000)\n1 / 0\n", "a2.py:2"),
    "any other error": ("x = 1\nx / 0\n", "a2.py:2"),
}


async def refused(engine: Engine, target: str = "head") -> Problem:
    with pytest.raises(HistoryUnreadable) as refusal:
        await engine.reader.plan(Action.UPGRADE, target)
    with pytest.raises(HistoryUnreadable):
        await engine.operations.accept(request(target))
    return refusal.value.problem


@pytest.mark.parametrize(("text", "where"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_file_that_cannot_be_loaded_is_named_and_harms_no_status(
    text: str,
    where: str,
    engine: Engine,
    environment: Environment,
    database: Database,
) -> None:
    environment.revision("a1")
    await carry_out(engine)
    (environment.versions / "a2.py").write_text(text)
    problem = await refused(engine)
    assert problem.code == "CM-304"
    assert where in problem.detail
    assert "no database was touched" in problem.detail
    status = await engine.reader.status()
    assert status.error == problem
    assert status.current_revisions == ["a1"]
    assert version(database) == ["a1"]


async def test_a_file_that_never_ends_is_waited_for_once_and_not_at_every_question(
    engine: Engine, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = environment.versions / "a1.py"
    file.write_text("while True:\n    pass\n")
    problem = await refused(engine)
    ask, asked = engine.loader._ask, []

    async def counted(job: AskedJob) -> Answer:
        asked.append(job)
        return await ask(job)

    monkeypatch.setattr(engine.loader, "_ask", counted)
    for _ in range(20):
        assert (await engine.reader.status()).error == problem
    assert asked == []

    environment.revision("a1", below=None)
    assert [step.id for step in (await engine.reader.plan(Action.UPGRADE, "head")).revisions] == ["a1"]


async def test_a_broken_file_at_the_first_look_still_lets_the_status_tell_the_revision(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    await carry_out(start_engine(environment))
    (environment.versions / "a2.py").write_text("def upgrade(:\n")
    status = await start_engine(environment).reader.status()
    assert (status.state, status.current_revisions) == (DatabaseState.UNKNOWN, ["a1"])
    assert status.error is not None
    assert status.error.code == "CM-304"


async def test_start_up_asks_again_where_no_process_can_be_started_to_read_the_files(
    environment: Environment, start_engine: StartEngine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.revision("a1")
    await carry_out(start_engine(environment))
    environment.revision("a2")
    named = replace(environment.settings(), configured_url=make_url(environment.url))  # env.py is not heard here
    monkeypatch.setattr(Environment, "settings", lambda *_: named)
    engine = start_engine(environment)
    ask, status = engine.loader._ask, engine.reader.status
    states: list[DatabaseState] = []

    async def crowded(job: AskedJob) -> Answer:
        if job["kind"] == "inspect" and not states:
            raise WorkerUnavailable("None is left")
        # A probe of env.py that succeeds would have loaded the files as well.
        return await ask(job) if job["kind"] == "inspect" else {"event": "done", "result": None}

    async def noted() -> ServiceStatus:
        answer = await status()
        states.append(answer.state)
        return answer

    monkeypatch.setattr(engine.loader, "_ask", crowded)
    monkeypatch.setattr(engine.reader, "status", noted)
    await engine.startup.run()
    assert states == [DatabaseState.UNKNOWN, DatabaseState.BEHIND]
    assert rows(database, "SELECT count(*)::int FROM migration_sidecar.operations") == [(2,)]


async def test_start_up_does_not_die_of_a_broken_file(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    (environment.versions / "a1.py").write_text("def upgrade(:\n")
    engine = start_engine(environment)
    await engine.startup.run()
    ready, reason = await engine.startup.readiness()
    assert not ready
    assert "a1.py:1" in reason
    assert rows(database, "SELECT to_regclass('alembic_version')") == [(None,)]


async def test_a_missing_folder_is_named(engine: Engine, environment: Environment) -> None:
    environment.revision("a1")
    environment.versions.parent.rename(environment.folder / "elsewhere")
    problem = await refused(engine)
    assert problem.code == "CM-303"
    assert str(environment.folder) not in problem.detail


async def test_two_heads_are_named_and_only_head_is_refused(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("b1", below="a1")
    environment.revision("b2", below="a1")
    problem = await refused(engine)
    assert problem.code == "CM-301"
    assert "b1 (b1.py)" in problem.detail
    assert "b2 (b2.py)" in problem.detail
    assert "merge" in problem.next_step
    await carry_out(engine, target="heads")
    assert version(database) == ["b1", "b2"]


@pytest.mark.parametrize("below", ["gone0001", "a1"], ids=["missing", "itself"])
async def test_a_history_that_does_not_hold_together_is_refused(
    below: str, engine: Engine, environment: Environment
) -> None:
    environment.revision("a1", below=below)
    problem = await refused(engine)
    assert problem.code == "CM-302"


async def test_one_revision_id_in_two_files_is_refused(engine: Engine, environment: Environment) -> None:
    file = environment.revision("a1")
    (environment.versions / "copy_of_a1.py").write_text(file.read_text())
    assert (await refused(engine)).code == "CM-302"


async def test_a_repaired_file_is_noticed_at_once(make_environment: MakeEnvironment, start_engine: StartEngine) -> None:
    environment = make_environment()
    environment.revision("a1")
    engine = start_engine(environment)
    before = await engine.reader.plan(Action.UPGRADE, "head")
    environment.revision("a1", 'op.execute("CREATE TABLE t_other (id int)")', below=None)
    after = await engine.reader.plan(Action.UPGRADE, "head")
    assert before.digest != after.digest
    assert before.revisions[0].sha256 != after.revisions[0].sha256


async def test_a_loading_process_that_somebody_kills_says_nothing_about_the_files(
    engine: Engine, environment: Environment
) -> None:
    """The server's out-of-memory killer, say: a service must not call its files unreadable until they change."""
    once = environment.folder / "once"
    killed = (
        f"if not os.path.exists({str(once)!r}):\n    open({str(once)!r}, 'w').close()\n    os.kill(os.getpid(), 9)\n"
    )
    file = environment.revision("a1")
    file.write_text(f"import os\n\n{killed}\n{file.read_text()}")
    assert [step.id for step in (await engine.reader.plan(Action.UPGRADE, "head")).revisions] == ["a1"]
    assert once.exists()


async def test_one_that_is_killed_whenever_it_loads_is_told_so_and_tried_again_later(
    engine: Engine, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_sidecar.alembic_environment.loader, "HANGING_SECONDS", 0.0)
    flag = environment.folder / "flag"
    flag.touch()
    file = environment.revision("a1")
    file.write_text(f"import os\n\nif os.path.exists({str(flag)!r}):\n    os.kill(os.getpid(), 9)\n{file.read_text()}")
    assert "a1.py: the process that loaded it was killed, twice" in (await refused(engine)).detail

    flag.unlink()
    assert [step.id for step in (await engine.reader.plan(Action.UPGRADE, "head")).revisions] == ["a1"]

"""Histories with many revisions, several heads, roots, labels and dependencies, as a person at the shell meets them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from migration_sidecar.contract.messages import Action, DatabaseState
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, tables, version
from tests.integration.migration_sidecar.test_command_line import shell  # noqa: F401

HOW_OFTEN = 20


@pytest.fixture
def branched(environment: Environment) -> Environment:
    """Two branches of one root, and a second root that depends on it."""
    environment.revision("aaaa1")
    for revision, below, label in (("bbbb1", "aaaa1", "left"), ("cccc1", "aaaa1", "right"), ("eeee1", None, "other")):
        file = environment.revision(revision, below=below, depends_on="aaaa1" if below is None else None)
        file.write_text(file.read_text().replace("branch_labels = None", f"branch_labels = {label!r}"))
    environment.revision("bbbb2", below="bbbb1")
    return environment


def test_branches_go_up_and_down_by_their_names(shell: Any, branched: Environment, database: Database) -> None:  # noqa: F811
    assert "CM-301" in shell("upgrade", "head", code=2).stderr
    shell("upgrade", "left@head")
    assert version(database) == ["bbbb2"]
    shell("upgrade", "cccc")
    assert version(database) == ["bbbb2", "cccc1"]
    assert "CM-203" in shell("downgrade", "-1", code=2).stderr
    shell("downgrade", "left@-1")
    assert version(database) == ["bbbb1", "cccc1"]
    assert json.loads(shell("plan", "heads", "--json").stdout)["to"] == ["bbbb2", "cccc1", "eeee1"]
    shell("upgrade", "heads")
    assert version(database) == ["bbbb2", "cccc1", "eeee1"]
    assert "at_head" in shell("status").stdout
    shell("downgrade", "other@base")
    assert version(database) == ["bbbb2", "cccc1"]
    shell("downgrade", "left@aaaa1")
    assert version(database) == ["cccc1"]
    shell("downgrade", "base")
    assert tables(database) == set()


async def test_a_merge_joins_the_branches(branched: Environment, start_engine: StartEngine, database: Database) -> None:
    engine = start_engine(branched)
    await carry_out(engine, target="heads")
    branched.revision("mmmm1", "pass", below=("bbbb2", "cccc1"))
    plan = await engine.reader.plan(Action.UPGRADE, "mmmm1")
    assert (plan.from_revisions, plan.to_revisions) == (["bbbb2", "cccc1", "eeee1"], ["eeee1", "mmmm1"])
    await carry_out(engine, target="heads")
    assert version(database) == ["eeee1", "mmmm1"]


async def test_a_downgrade_without_a_way_back_is_refused_before_it_begins(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2", downgrade='raise RuntimeError("no way back")')
    environment.revision("a3")
    engine = start_engine(environment)
    await carry_out(engine)
    operation = await carry_out(engine, action="downgrade", target="a1")
    assert operation.error is not None
    assert operation.error.code == "CM-206"
    assert "a2.py" in operation.error.detail
    assert version(database) == ["a3"]
    assert (await carry_out(engine, action="downgrade", target="a2")).error is None


async def test_a_long_id_is_taken_where_the_version_column_is_wider(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE alembic_version (version_num varchar(40) PRIMARY KEY)")
    environment.revision("a" * 40, 'op.execute("CREATE TABLE t_a (id int)")')
    await carry_out(start_engine(environment))
    assert version(database) == ["a" * 40]


async def test_status_and_plan_of_160_revisions_come_from_what_is_known_already(
    environment: Environment, start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked again and again, no process is started for them."""
    for number in range(160):
        environment.revision(f"r{number:03}", "pass", "pass")
    engine = start_engine(environment)
    assert len((await engine.reader.status()).pending) == 160
    await engine.reader.plan(Action.UPGRADE, "head")

    async def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a process was asked")

    monkeypatch.setattr(engine.forkserver, "ask", never)
    for _ in range(HOW_OFTEN):
        assert (await engine.reader.status()).state is DatabaseState.EMPTY
        assert len((await engine.reader.plan(Action.UPGRADE, "head")).revisions) == 160

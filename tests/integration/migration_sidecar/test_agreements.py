"""What a caller agreed to is what happens: targets, digests, expected revisions, downgrades."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from migration_sidecar.contract.errors import PlanChanged, RevisionNotApplied, UnknownTarget
from migration_sidecar.contract.messages import Action, OperationRequest, OperationState
from migration_sidecar.engine.engine import Engine
from migration_sidecar.engine.operations.worker_run import WorkerRunner
from migration_sidecar.protocol.lock_key import lock_key
from tests.integration.databases import Database
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    ended,
    kinds,
    request,
    rows,
    tables,
    until,
    version,
)
from tests.integration.migration_sidecar.sleepers import HELD_UP, held_up


@pytest.fixture
async def at_a3(engine: Engine, environment: Environment) -> Engine:
    for name in ("a1", "a2", "a3"):
        environment.revision(name)
    await carry_out(engine)
    return engine


async def test_a_downgrade_to_a_full_id_reverts_what_lies_above_it(at_a3: Engine, database: Database) -> None:
    operation = await carry_out(at_a3, action="downgrade", target="a1")
    assert operation.state is OperationState.SUCCEEDED
    assert [(step.revision, step.action) for step in operation.applied] == [
        ("a3", Action.DOWNGRADE),
        ("a2", Action.DOWNGRADE),
    ]
    assert version(database) == operation.current_revisions == ["a1"]
    assert tables(database) == {"t_a1"}
    assert kinds(database, operation.operation_id) == ["attempt", "started", "reverted", "started", "reverted"]
    assert (await carry_out(at_a3)).current_revisions == ["a3"]
    assert applied(database) == ["a1", "a2", "a3", "a2", "a3"]


async def test_a_failing_downgrade_stops_at_a_whole_revision(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2", downgrade='op.execute("DROP TABLE t_a2"); op.execute("SELECT 1/0")')
    environment.revision("a3")
    await carry_out(engine)
    operation = await carry_out(engine, action="downgrade", target="a1")
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert (operation.error.revision, operation.error.sqlstate) == ("a2", "22012")
    assert version(database) == operation.current_revisions == ["a2"]
    assert tables(database) == {"t_a1", "t_a2"}


async def test_an_upgrade_to_a_revision_in_the_middle_stops_there(
    engine: Engine, environment: Environment, database: Database
) -> None:
    for name in ("a1", "a2", "a3"):
        environment.revision(name)
    operation = await carry_out(engine, target="a2")
    assert (operation.state, operation.current_revisions) == (OperationState.SUCCEEDED, ["a2"])
    assert tables(database) == {"t_a1", "t_a2"}


async def test_a_downgrade_to_where_the_database_never_was_is_no_success(at_a3: Engine, database: Database) -> None:
    await carry_out(at_a3, action="downgrade", target="a1")
    with pytest.raises(RevisionNotApplied):
        await at_a3.operations.accept(request("a3", action="downgrade"))
    assert version(database) == ["a1"]


async def test_expected_revisions_that_are_not_the_databases_are_refused(at_a3: Engine, database: Database) -> None:
    with pytest.raises(PlanChanged) as refusal:
        await at_a3.operations.accept(request("head", expected_revisions=["a2"]))
    assert (refusal.value.status, refusal.value.problem.code) == (409, "CM-306")
    assert "at a3, not at a2" in refusal.value.problem.detail
    agreed = await carry_out(at_a3, target="a2", action="downgrade", expected_revisions=["a3"])
    assert agreed.state is OperationState.SUCCEEDED


async def test_a_plan_that_changed_since_it_was_agreed_to_is_refused(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    environment.revision("a1", 'op.execute("CREATE TABLE t_something_else (id int)")', below=None)
    with pytest.raises(PlanChanged) as refusal:
        await engine.operations.accept(request(plan_digest=plan.digest))
    assert (refusal.value.status, refusal.value.problem.code) == (409, "CM-306")
    fresh = await engine.reader.plan(Action.UPGRADE, "head")
    assert (await carry_out(engine, plan_digest=fresh.digest)).state is OperationState.SUCCEEDED
    assert tables(database) == {"t_something_else"}


@pytest.mark.parametrize("target", ["base", "a", "a9", "abcd"])
async def test_only_full_ids_are_targets(target: str, at_a3: Engine, database: Database) -> None:
    for action in (Action.UPGRADE, Action.DOWNGRADE):
        with pytest.raises(UnknownTarget) as refusal:
            await at_a3.operations.accept(request(target, action=action))
        assert (refusal.value.status, refusal.value.problem.code) == (422, "CM-203")
    assert version(database) == ["a3"]


async def test_the_plan_names_what_each_revision_is(engine: Engine, environment: Environment) -> None:
    environment.revision("a1")
    environment.revision("a2", 'op.drop_column("t_a1", "id")', "raise NotImplementedError")
    environment.revision("a3", "with op.get_context().autocommit_block():\n    pass")
    plan = await engine.revision_files.with_sql(await engine.reader.plan(Action.UPGRADE, "head"))
    assert (plan.from_revisions, plan.to_revisions) == ([], ["a3"])
    flags = [(step.id, step.transactional, step.reversible, step.destructive) for step in plan.revisions]
    assert flags == [("a1", True, True, False), ("a2", True, False, True), ("a3", False, True, False)]
    assert plan.revisions[0].sql == "CREATE TABLE t_a1 (id int);"
    await carry_out(engine, target="a2")
    back = await engine.reader.plan(Action.DOWNGRADE, "a1")
    assert [(step.id, step.destructive) for step in back.revisions] == [("a2", False)]


async def test_the_plan_foretells_the_version_rows_of_branches_merges_and_dependencies(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("b1", below="a1")
    environment.revision("c1", below="a1")
    environment.revision("x1", below=None, depends_on="b1")
    environment.revision("m1", below=("b1", "c1"))
    way = [("upgrade", "b1"), ("upgrade", "x1"), ("upgrade", "heads"), ("downgrade", "b1"), ("upgrade", "m1")]
    for action, target in way:
        foretold = await engine.reader.plan(Action(action), target)
        operation = await carry_out(engine, action=action, target=target)
        assert operation.state is OperationState.SUCCEEDED
        assert [step.revision for step in operation.applied] == [step.id for step in foretold.revisions]
        assert version(database) == foretold.to_revisions


@pytest.fixture
async def agreed_downgrade(engine: Engine, environment: Environment) -> OperationRequest:
    """To a1 from a2, where a3 has not been written yet."""
    for name in ("a1", "a2"):
        environment.revision(name)
    await carry_out(engine)
    plan = await engine.reader.plan(Action.DOWNGRADE, "a1")
    return request("a1", action="downgrade", expected_revisions=["a2"], plan_digest=plan.digest)


async def test_a_downgrade_that_waited_its_turn_reverts_nothing_that_came_meanwhile(
    engine: Engine, environment: Environment, database: Database, agreed_downgrade: OperationRequest, tmp_path: Path
) -> None:
    environment.revision("a3", held_up(tmp_path / "go"))
    upgrade = await engine.operations.accept(request())
    await until(lambda: rows(database, HELD_UP))
    downgrade = await engine.operations.accept(agreed_downgrade)
    (tmp_path / "go").touch()
    refused = await ended(engine, downgrade.operation_id)
    assert (await ended(engine, upgrade.operation_id)).state is OperationState.SUCCEEDED
    assert (refused.state, refused.error.code) == (OperationState.FAILED, "CM-306")  # type: ignore[union-attr]
    assert "a3 would come on top" in refused.error.detail  # type: ignore[union-attr]
    assert version(database) == ["a3"]


async def test_one_that_waited_for_the_lock_reverts_nothing_that_came_meanwhile_either(
    engine: Engine, environment: Environment, database: Database, agreed_downgrade: OperationRequest
) -> None:
    environment.revision("a3")
    await engine.reader.status()
    with database.connect() as stranger:
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", list(lock_key("alembic_version", "").values()))
        accepted = await engine.operations.accept(agreed_downgrade)
        await until(lambda: rows(database, "SELECT FROM migration_sidecar.journal WHERE kind = 'attempt' OFFSET 1"))
        stranger.execute("CREATE TABLE t_a3 (id int)")
        stranger.execute("UPDATE alembic_version SET version_num = 'a3'")
    refused = await ended(engine, accepted.operation_id)
    assert (refused.state, refused.error.code) == (OperationState.FAILED, "CM-306")  # type: ignore[union-attr]
    assert version(database) == ["a3"]


async def test_files_that_changed_after_a_plan_was_accepted_are_not_run(
    engine: Engine, environment: Environment, database: Database, tmp_path: Path
) -> None:
    environment.revision("a1", f'op.execute("CREATE TABLE t_a1 (id int)")\n{held_up(tmp_path / "go")}')
    file = environment.revision("a2")
    first = await engine.operations.accept(request("a1"))
    await until(lambda: rows(database, HELD_UP))
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    second = await engine.operations.accept(request(plan_digest=plan.digest))
    file.write_text(file.read_text().replace("t_a2", "t_something_else"))
    (tmp_path / "go").touch()
    assert (await ended(engine, first.operation_id)).state is OperationState.SUCCEEDED
    refused = await ended(engine, second.operation_id)
    assert (refused.state, refused.error.code) == (OperationState.FAILED, "CM-306")  # type: ignore[union-attr]
    assert tables(database) == {"t_a1"}


async def test_the_file_on_record_is_the_one_that_ran_and_not_what_stands_there_by_now(
    engine: Engine, environment: Environment, database: Database
) -> None:
    file = environment.revision("a1")
    ran = sha256(file.read_bytes()).hexdigest()
    with database.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(%s, %s)", tuple(lock_key("alembic_version", "").values()))
        accepted = await engine.operations.accept(request())
        await until(lambda: "attempt" in kinds(database, accepted.operation_id))
        file.write_text(file.read_text().replace("t_a1", "t_something_else"))
        holder.execute("SELECT pg_advisory_unlock_all()")
        operation = await ended(engine, accepted.operation_id)
    assert tables(database) == {"t_a1"}
    assert [step.sha256 for step in operation.applied] == [ran]


@pytest.mark.parametrize("agreed", [True, False])
async def test_a_file_that_is_replaced_at_the_last_moment_is_not_run_under_the_old_plan(
    engine: Engine, environment: Environment, database: Database, monkeypatch: pytest.MonkeyPatch, agreed: bool
) -> None:
    file = environment.revision("a1")
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    orders = WorkerRunner._orders

    def replaced_meanwhile(*of: Any) -> dict[str, Any]:
        file.write_text(file.read_text().replace("t_a1", "t_something_else"))
        return orders(*of)

    monkeypatch.setattr(WorkerRunner, "_orders", replaced_meanwhile)
    operation = await carry_out(engine, plan_digest=plan.digest) if agreed else await carry_out(engine)
    assert tables(database) == (set() if agreed else {"t_something_else"})
    if agreed:
        assert operation.error is not None
        assert (operation.state, operation.error.code) == (OperationState.FAILED, "CM-306")
        assert "The file of a1 is not the one that the plan was made of." in operation.error.detail

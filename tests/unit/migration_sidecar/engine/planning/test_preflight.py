"""What is said before anything is touched, where env.py decides how revisions run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from migration_sidecar.alembic_environment.history import Finding, History, RevisionFile
from migration_sidecar.alembic_environment.migration_target import MigrationTarget
from migration_sidecar.contract.messages import Action
from migration_sidecar.engine.planning.known_when_it_runs import known_when_it_runs
from migration_sidecar.engine.planning.preflight import check_revision_files, journal_in_sight, warnings
from migration_sidecar.protocol.version_table import VersionTable
from tests.unit.migration_sidecar.alembic_environment.test_history import LINE, history
from tests.unit.migration_sidecar.engine.planning.test_reader import facts

PLAIN = MigrationTarget(None, VersionTable())
ENV_PY_BEGINS = replace(PLAIN, in_transaction=True)
AUTOCOMMIT = replace(PLAIN, autocommit=True)
CONCURRENTLY = (Finding("concurrently", Action.UPGRADE, 9),)


def step(revision: str = "a1", **facts: Any) -> RevisionFile:
    return replace(history(LINE).revisions["a1"], id=revision, **facts)


def codes(
    steps: list[RevisionFile],
    found: MigrationTarget = PLAIN,
    *,
    action: Action = Action.UPGRADE,
    widens: bool = False,
    **known: Any,
) -> list[str]:
    whole = History(heads=(), revisions={}, makes_version_table=widens)
    return [problem.code for problem in check_revision_files(steps, action, whole, facts(**known), found)]


def test_an_index_is_built_concurrently_where_env_py_commits_every_statement() -> None:
    assert codes([step(findings=CONCURRENTLY)]) == ["CM-305"]
    assert codes([step(findings=CONCURRENTLY)], AUTOCOMMIT) == []
    assert codes([step(findings=CONCURRENTLY)], action=Action.DOWNGRADE) == []


def test_a_transaction_that_env_py_opened_cannot_be_left() -> None:
    block = (Finding("autocommit_block", Action.UPGRADE, 4),)
    assert codes([step(findings=block)]) == []
    assert codes([step(findings=block)], ENV_PY_BEGINS) == ["CM-305"]
    assert codes([step(findings=block)], ENV_PY_BEGINS, action=Action.DOWNGRADE) == []


@pytest.mark.parametrize(("steps", "expected"), [(1, []), (2, ["CM-411"])])
def test_revisions_that_share_one_transaction_are_told_of(steps: int, expected: list[str]) -> None:
    assert [problem.code for problem in warnings([step()] * steps, ENV_PY_BEGINS, [], has_journal=True)] == expected
    assert list(warnings([step()] * steps, PLAIN, [], has_journal=True)) == []


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, ["CM-302"]),
        ({"widens": True}, []),
        ({"widens": True, "has_version_table": True, "version_width": 32}, ["CM-302"]),
        ({"has_version_table": True, "version_width": 40}, []),
        ({"has_version_table": True, "version_width": None}, []),
    ],
)
def test_a_long_id_needs_a_wide_column(known: dict[str, Any], expected: list[str]) -> None:
    assert codes([step("a" * 33)], **known) == expected
    assert codes([step("a" * 33)], action=Action.DOWNGRADE, **known) == []
    assert codes([step("a" * 32)], **known) == []


@pytest.mark.parametrize(
    ("widening", "refused"),
    [([False, False], True), ([True, False], False), ([False, True], False)],
    ids=["nobody widens it", "a revision before", "the revision itself"],
)
def test_a_long_id_is_only_a_remark_where_a_revision_may_widen_the_column(widening: list[bool], refused: bool) -> None:
    steps = [step(each, may_widen_version=widens) for each, widens in zip(("a1", "a" * 33), widening, strict=True)]
    assert codes(steps) == (["CM-302"] if refused else [])
    remarks = [problem.code for problem in known_when_it_runs(steps, Action.UPGRADE, history(LINE), facts())]
    assert remarks == ([] if refused else ["CM-416"])
    assert list(known_when_it_runs(steps, Action.DOWNGRADE, history(LINE), facts())) == []


def test_a_revision_after_the_long_id_cannot_widen_the_column_in_time() -> None:
    assert codes([step("a" * 33), step("a2", may_widen_version=True)]) == ["CM-302"]


@pytest.mark.parametrize(
    ("kind", "action", "code"),
    [
        ("missing", Action.UPGRADE, "CM-302"),
        ("missing", Action.DOWNGRADE, "CM-206"),
        ("raises", Action.DOWNGRADE, "CM-206"),
        ("offline_only", Action.UPGRADE, "CM-307"),
    ],
)
def test_each_finding_has_its_code_and_names_its_file(kind: str, action: Action, code: str) -> None:
    found = step(findings=(Finding(kind, action, 7),))
    (problem,) = check_revision_files([found], action, history(LINE), facts(), PLAIN)
    assert problem.code == code
    assert "a1.py" in problem.detail
    assert problem.revision == "a1"


SEEN = MigrationTarget(None, VersionTable(), sees_journal=True)


@pytest.mark.parametrize(
    ("migration_target", "has_journal", "stops", "warns"),
    [
        (SEEN, False, True, False),
        (SEEN, True, False, True),
        (replace(SEEN, is_journal_chosen=True), False, False, True),
        (PLAIN, False, False, False),
    ],
)
def test_a_journal_that_autogenerate_would_see_is_not_made_before_somebody_chose(
    migration_target: MigrationTarget, has_journal: bool, stops: bool, warns: bool
) -> None:
    obstacle = journal_in_sight(migration_target, has_journal=has_journal)
    assert (obstacle is not None) is stops
    told = [problem.code for problem in warnings([step()], migration_target, [], has_journal=has_journal)]
    assert told == (["CM-415"] if warns else [])

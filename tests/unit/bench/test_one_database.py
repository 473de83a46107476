"""What the bench of one database writes, and what it concludes from its samples."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from bench.one_database import findings
from bench.one_database.__main__ import parser
from bench.one_database.environments import Style, make_environment, tables
from bench.one_database.findings import Measured
from bench.one_database.health import asked_while
from bench.one_database.memory import Memory
from bench.one_database.ways import BARE, SQL, served
from bench.rounds import AT_HEAD, FRESH, Sample

URL = "postgresql+psycopg://ada:p%40ss@localhost:5432/bench"


def samples(bare: float, fresh: float, no_op: float, sql: float = 0.050, nothing: float = 0.010) -> list[Sample]:
    ours = [Sample(1, served(style), *each) for style in Style for each in ((FRESH, fresh), (AT_HEAD, no_op))]
    return [
        Sample(1, BARE, FRESH, bare),
        Sample(1, BARE, AT_HEAD, bare),
        *ours,
        Sample(1, SQL, FRESH, sql),
        Sample(1, SQL, AT_HEAD, nothing),
    ]


def test_a_ratio_says_how_many_times_as_long_bare_alembic_takes() -> None:
    found = findings.lines(5, samples(bare=1.2, fresh=0.1, no_op=0.01))
    ratios = {(line.way, line.situation): line.ratio for line in found}
    assert ratios[BARE, FRESH] == pytest.approx(1)
    assert ratios[served(Style.OURS), FRESH] == pytest.approx(12)
    assert ratios[served(Style.OURS), AT_HEAD] == pytest.approx(120)


def test_the_time_on_top_of_the_sql_is_not_made_smaller_by_the_start_of_a_psql() -> None:
    found = findings.lines(5, samples(bare=1.2, fresh=0.1, no_op=0.01, sql=0.050, nothing=0.010))
    on_top = {(line.way, line.situation): line.on_top_of_sql_seconds for line in found}
    assert on_top[served(Style.GENERIC), FRESH] == pytest.approx(0.100 - (0.050 - 0.010))
    assert on_top[served(Style.GENERIC), AT_HEAD] == pytest.approx(0.010)


@pytest.mark.parametrize(
    ("bare", "fresh", "no_op", "kept"),
    [
        (1.90, 0.190, 0.030, [True, True, True]),
        (1.90, 0.191, 0.030, [True, False, False]),
        (1.80, 0.190, 0.031, [False, True, False]),
    ],
)
def test_a_budget_of_speed_is_kept_up_to_its_bound(bare: float, fresh: float, no_op: float, kept: list[bool]) -> None:
    found = findings.budgets(Measured({5: samples(bare, fresh, no_op)}))
    assert [budget.kept for budget in found] == kept * len(Style)


def test_the_slowest_history_speaks_for_no_op_and_the_small_ones_for_the_ratio() -> None:
    quick, slow = samples(bare=2.0, fresh=0.1, no_op=0.010), samples(bare=2.0, fresh=1.0, no_op=0.025)
    no_op, five, ratio, *_ = findings.budgets(Measured({5: quick, 160: slow}))
    assert (no_op.measured, five.measured, ratio.measured) == ("25 ms", "60 ms", "20.0 x")
    assert five.what.startswith("5 revisions")


@pytest.mark.parametrize(("slowest", "kept"), [(100.0, True), (100.1, False)])
def test_one_slow_answer_about_health_is_enough_to_break_its_budget(slowest: float, kept: bool) -> None:
    (budget,) = findings.budgets(Measured(health_milliseconds=[1.0] * 999 + [slowest], health_seconds=120))
    assert budget.kept is kept
    assert "during a migration of 120 s: the slowest of 1000 (p99 1 ms)" in budget.what


def test_what_stays_is_weighed_each_by_itself() -> None:
    memory = Memory(100, before={"small": 10, "large": 1000}, after={"small": 12, "large": 1199})
    assert [budget.kept for budget in findings.budgets(Measured(memory=memory))] == [False, True]


def test_what_was_not_asked_for_is_not_judged() -> None:
    assert findings.budgets(Measured()) == []


@pytest.mark.parametrize("style", Style)
def test_an_environment_is_one_chain_in_the_database_it_was_made_for(tmp_path: Path, style: Style) -> None:
    config = Config(str(make_environment(tmp_path / "environment", URL, style, tables(12)).ini))
    chain = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert chain == [f"{number:04d}" for number in range(12, 0, -1)]
    assert config.get_main_option("sqlalchemy.url") == URL


def test_health_is_asked_until_the_migration_has_ended_and_its_failure_is_not_hidden() -> None:
    migration: Future[dict[str, Any]] = Future()
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        if len(asked) == 3:
            migration.set_exception(RuntimeError("the migration failed"))

    with pytest.raises(RuntimeError, match="the migration failed"):
        asked_while(migration, ask)
    assert len(asked) == 3


def test_lengths_are_taken_once_each_and_smallest_first() -> None:
    assert parser().parse_args(["--revisions", "160,5,1,5"]).revisions == [1, 5, 160]
    assert parser().parse_args([]).revisions == [1, 5, 50, 160]


def test_a_history_without_revisions_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--revisions", "0"])
    assert "--revisions" in capsys.readouterr().err


def test_health_and_memory_are_measured_when_asked_for() -> None:
    assert (parser().parse_args([]).health, parser().parse_args([]).memory) == (None, None)
    asked = parser().parse_args(["--health", "--memory", "7"])
    assert (asked.health, asked.memory) == (120, 7)

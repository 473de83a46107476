"""What judges a run is held to what it must see, without a server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote, quote_plus

import psycopg
import pytest

from tests.campaign.checker import ServerLog, check_own_process, check_reasons, check_secrets
from tests.campaign.corpus import EACH, ONE, Corpus
from tests.campaign.course import Course, Ended
from tests.campaign.ground import CANARY, Database, GroundFailed, patient
from tests.campaign.outcome import Outcome, Spec
from tests.campaign.races import CANCELLED, said_by_the_server
from tests.campaign.record import Record
from tests.campaign.report import spread
from tests.campaign.sampler import FORKSERVER, MIGRATION_PROCESS, Sample, Sampler
from tests.campaign.schedule import Quota, Size, pairs, quotas


def sampler(*samples: tuple[float, list[int], list[int]]) -> Sampler:
    found = Sampler(cast(Database, None), [])
    found.samples = [Sample(at, tuple(holders), tuple(changing)) for at, holders, changing in samples]
    return found


@pytest.mark.parametrize(
    "text", [CANARY, json.dumps(CANARY), quote(CANARY, safe=""), quote_plus(CANARY), "Canary7 %@:/.."]
)
def test_the_password_is_found_in_any_spelling(text: str) -> None:
    assert check_secrets({"a log": f"x {text} y", "another": "nothing"}) == ["I13: the password stands in a log"]


def test_two_sessions_that_change_something_at_once_are_an_overlap() -> None:
    seen = sampler((1.0, [7], [7]), (1.02, [7], [7, 8]), (1.04, [7, 8], []))
    assert [each.at for each in seen.overlaps()] == [1.02, 1.04]


def test_a_lock_is_free_when_the_session_that_had_it_is_not_among_the_holders() -> None:
    seen = sampler((1.0, [7], []), (1.1, [7], []), (1.5, [8], []))
    assert seen.freed_after(1.05) == pytest.approx(0.45)
    assert seen.freed_after(0.5) is None


def test_a_lock_that_no_sample_saw_was_free_by_the_next_one() -> None:
    assert sampler((1.0, [], []), (1.1, [], [])).freed_after(1.05, surely_held=True) == pytest.approx(0.05)
    assert sampler((1.0, [], []), (1.1, [7], []), (1.2, [], [])).freed_after(1.05, surely_held=True) == pytest.approx(
        0.15
    )


def test_a_migration_without_a_process_of_its_own_is_a_violation() -> None:
    seen = sampler((1.0, [7], [7]))
    seen.holders.add((40001, MIGRATION_PROCESS))
    assert check_own_process(seen) == []
    seen.holders.add((40002, FORKSERVER))
    assert check_own_process(seen)


def test_an_operation_that_failed_of_a_fault_is_a_violation_and_one_of_the_corpus_is_not() -> None:
    def failed(detail: str) -> list[str]:
        record: dict[str, Any] = {"state": "failed", "error": {"code": "CM-401", "detail": detail}}
        ended = Ended("a", 0.0, 1.0, record, ())
        return check_reasons(cast(Course, SimpleNamespace(operations=[ended])), Spec("A"))

    assert failed("the connection was lost")
    assert failed("RuntimeError: it stumbles the first time") == []


def test_one_transaction_leaves_base_or_head_and_one_each_leaves_any_revision() -> None:
    one, each = (Corpus((0.0,) * 12, form=form) for form in (ONE, EACH))
    assert [one.may_stop_at(version) for version in ((), ("c4",), ("c6",))] == [True, False, True]
    assert all(each.may_stop_at(version) for version in ((), ("c4",), ("c6",)))
    assert not each.may_stop_at(("c1", "c2"))
    assert (one.after_the_stumble, each.after_the_stumble) == ((), ("c4",))


def test_what_is_found_while_the_campaigns_own_server_is_away_is_set_aside() -> None:
    outcome = Outcome({"part": "C"}, hit=True, violations=["I1: not at head"], own_troubles=["pg_dump: it is away"])
    outcome.set_aside_if_not_judged()
    assert (outcome.hit, outcome.violations, outcome.set_aside) == (False, [], ["I1: not at head"])
    sound = Outcome({"part": "C"}, hit=True, violations=["I1: not at head"])
    sound.set_aside_if_not_judged()
    assert (sound.hit, sound.violations) == (True, ["I1: not at head"])


def test_a_server_that_stays_away_is_a_trouble_of_the_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.campaign.ground.AWAY_SECONDS", 0.1)

    def away() -> None:
        raise psycopg.OperationalError("the server is starting up")

    with pytest.raises(GroundFailed, match="starting up"):
        patient(away, "a question")


def test_a_lock_that_a_rival_has_is_not_one_of_the_process_that_was_killed() -> None:
    seen = sampler((1.0, [7], []), (1.1, [7], []), (1.5, [8], []))
    seen.samples = [Sample(each.at, each.holders, each.changing, by_hand=(7,)) for each in seen.samples]
    assert seen.freed_after(1.05) is None


def test_the_log_of_a_server_that_was_restarted_is_read_on_both_sides(tmp_path: Path) -> None:
    file = tmp_path / "postgres.log"
    file.write_text("before @run_1 x\n")
    log = ServerLog.from_now(file, cast(Database, SimpleNamespace(name="run_1")))
    with file.open("a") as more:
        more.write("one @run_1 x\nelse @run_2 x\n")
    file.replace(tmp_path / "postgres.log.previous")
    file.write_text("two @run_1 x\n")
    assert log.lines() == ["one @run_1 x", "two @run_1 x"]


def test_a_run_that_was_not_hit_is_made_up_for_and_not_without_end() -> None:
    (quota,) = quotas(Size(runs=1, parts=("A",)), seed=1)
    for _ in range(quota.most):
        (spec,) = quota.specs()
        quota.came_back(Outcome({"quota": "A", "number": spec.number}, hit=False))
    assert list(quota.specs()) == []


def test_the_same_seed_draws_the_same_runs() -> None:
    size = Size(runs=3, each=1)
    first, second = ([spec for quota in quotas(size, 5) for spec in quota.specs()] for _ in "12")
    assert first == second


def test_every_pair_of_nemeses_has_its_turn() -> None:
    size = Size(runs=6, parts=("C",), nemeses=("a", "b", "c", "d"))
    (quota,) = quotas(size, 5)
    assert {spec.nemeses for spec in quota.specs()} == set(pairs(tuple("abcd")))


def test_outcomes_are_taken_up_once_and_a_torn_line_and_other_code_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "state.jsonl"
    Record(file, "this").keep(Outcome({"quota": "A", "number": 3}, hit=True))
    Record(file, "other").keep(Outcome({"quota": "A", "number": 4}, hit=True))
    with file.open("a") as torn:
        torn.write('{"subject": "this", "spec')
    plan = [Quota("A", 5, lambda *_: Spec("A"), 1)]
    assert len(Record(file, "this").take_up(plan)) == 1
    assert (plan[0].hits, plan[0].number) == (1, 3)
    Record(file, "this").keep(Outcome({"quota": "A", "number": 5}, hit=True))
    assert len(Record(file, "this").take_up(plan)) == 2
    assert Record(file, "this").take_up([]) == []


def test_of_the_servers_errors_only_what_a_replica_cancels_at_its_end_is_passed_over() -> None:
    ending = datetime(2026, 11, 30, 0, 24, 37, 500_000, tzinfo=UTC)
    stamps = ("2026-11-30 00:24:37.499 UTC", "2026-11-30 00:24:37.500 UTC", "2026-11-30 00:24:38.001 UTC")
    before, *after = [f"{stamp} [7] migration-sidecar orders@run_1 ERROR:  {CANCELLED}" for stamp in stamps]
    other = after[1].replace(CANCELLED, "deadlock detected")
    assert said_by_the_server([before, *after, other, "LOG: x"], ending) == [
        f"D: the server says {line}" for line in (before, other)
    ]


def test_a_spread_of_nothing_is_nothing() -> None:
    assert spread([None]) is None
    assert spread([3.0, None, 1.0, 2.0]) == {"p50": 2.0, "p95": 3.0, "max": 3.0, "of": 3}

"""What the bench concludes from its samples."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from bench import findings
from bench.event import where_the_time_went
from bench.findings import BASELINE, OURS
from bench.rounds import AT_HEAD, FRESH, Sample, rotated
from scripts.infrastructure.settings import ROOT

BEGUN = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)


MEASURING = """
import time
from bench.conduct import stop_everything_when_ended
stop_everything_when_ended()
try:
    print("measuring", flush=True)
    time.sleep(60)
finally:
    print("stopping", flush=True)
    time.sleep(0.5)
    print("stopped", flush=True)
"""


def samples(baseline: float, ours: float, own_per_step: float = 0.01) -> list[Sample]:
    parts = {"own per step": own_per_step}
    return [
        sample
        for situation in (FRESH, AT_HEAD)
        for sample in (Sample(1, BASELINE, situation, baseline), Sample(1, OURS, situation, ours, parts))
    ]


def test_the_median_is_not_moved_by_one_slow_round() -> None:
    slow = [Sample(number, OURS, FRESH, seconds) for number, seconds in enumerate((1.0, 1.2, 60.0))]
    line = findings.lines([*slow, Sample(1, OURS, AT_HEAD, 1.0)])[0]
    assert (line.median_seconds, line.least_seconds, line.most_seconds) == (1.2, 1.0, 60.0)


def test_a_ratio_says_how_many_times_as_long_as_one_event_a_way_takes() -> None:
    ratios = {(line.variant, line.situation): line.ratio for line in findings.lines(samples(baseline=6.0, ours=0.5))}
    assert ratios[BASELINE, FRESH] == pytest.approx(12)
    assert ratios[OURS, FRESH] == pytest.approx(1)


@pytest.mark.parametrize(
    ("baseline", "own_per_step", "door", "kept"),
    [
        (25.0, 0.040, 50.0, [True, True, True, True]),
        (20.0, 0.041, 50.1, [True, False, False, False]),
        (14.9, 0.010, 10.0, [False, False, True, True]),
    ],
)
def test_a_budget_is_kept_up_to_its_bound(baseline: float, own_per_step: float, door: float, kept: list[bool]) -> None:
    found = findings.budgets(samples(baseline, 1.0, own_per_step), [door])
    assert [budget.kept for budget in found] == kept


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert findings.percentile([float(number) for number in range(1, 41)], 95) == 38
    assert findings.percentile([7.0], 95) == 7


def test_the_parts_of_an_event_add_up_to_all_of_its_time() -> None:
    accepted, started, finished, seen = (BEGUN + timedelta(milliseconds=at) for at in (20, 100, 500, 530))
    record = {
        "accepted_at": accepted.isoformat(),
        "started_at": started.isoformat(),
        "finished_at": finished.isoformat(),
        "steps": [{"operation_ms": 150}, {"operation_ms": 170}, {"operation_ms": None}, {}],
    }
    parts = where_the_time_went(record, BEGUN, seen)
    assert parts.pop("own per step") == pytest.approx(0.02)
    assert parts == pytest.approx({"door": 0.02, "plan": 0.08, "operations": 0.32, "own": 0.08, "record": 0.03})
    assert sum(parts.values()) == pytest.approx(0.53)


def test_every_way_starts_a_round_once() -> None:
    assert [rotated("abc", number)[0] for number in range(3)] == ["a", "b", "c"]
    assert sorted(rotated("abc", 2)) == ["a", "b", "c"]


def hear_all_signals() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_bench_that_is_ended_stops_its_fleet_first(ending: signal.Signals) -> None:
    """Also when it is told twice, as timeout(1) does."""
    with subprocess.Popen(
        [sys.executable, "-c", MEASURING],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=hear_all_signals,  # tests that run under nohup would hand on that it ignores its end
    ) as bench:
        assert bench.stdout is not None
        said = [bench.stdout.readline()]
        bench.send_signal(ending)
        said.append(bench.stdout.readline())
        bench.send_signal(ending)
        said.append(bench.stdout.readline())
    assert said == ["measuring\n", "stopping\n", "stopped\n"]
    assert bench.returncode == 128 + ending

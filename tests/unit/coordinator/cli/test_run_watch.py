"""Following a run, with a clock that only moves when somebody waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from coordinator.cli.run_watch import RunPending, RunSeen, Watch, WatchLimits
from coordinator.client.errors import AppNotReady, AppNotRunning, CannotReach, ClientError, Refused
from coordinator.client.exit_codes import ExitCode
from tests.unit.coordinator.cli.scripted_coordinator import problem, run_record

PATIENCE = WatchLimits(silence_seconds=60, unknown_seconds=10, wait_seconds=20)
SILENCE = CannotReach("nothing answers", "start the fleet")
UNKNOWN = Refused(problem("CM-604", "There is no such run"), 404)
UNWELL = Refused(problem("CM-811", "The state store does not answer"), 503)


class Scene:
    """Plays a coordinator: each answer is a record or a failure, and the last one is repeated."""

    def __init__(self, *answers: dict[str, Any] | ClientError) -> None:
        self._answers = list(answers)
        self.seconds = 0.0
        self.asked: list[tuple[int, int]] = []

    def run(self, request_id: str, wait_seconds: int = 0, after_version: int = 0) -> dict[str, Any]:
        self.asked.append((wait_seconds, after_version))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, ClientError):
            raise answer
        return answer

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def watch(self) -> Iterator[RunSeen | RunPending]:
        return iter(Watch(self, "release-41", PATIENCE, self.sleep, lambda: self.seconds))

    def states(self) -> list[str]:
        return [news.run.state if isinstance(news, RunSeen) else "no answer" for news in self.watch()]


def test_each_change_is_told_once_and_the_end_is_the_end() -> None:
    scene = Scene(run_record("accepted"), run_record("running"), run_record("running"), run_record("succeeded"))
    assert scene.states() == ["accepted", "running", "succeeded"]


def test_only_the_first_look_returns_at_once_and_no_change_between_two_looks_is_waited_past() -> None:
    scene = Scene(run_record("accepted", version=1), run_record("running", version=4), run_record("succeeded"))
    scene.states()
    assert scene.asked == [(0, 0), (20, 1), (20, 4)]


def test_a_coordinator_that_does_not_hold_the_call_is_not_asked_in_a_tight_loop() -> None:
    scene = Scene(*[run_record("running")] * 5, run_record("succeeded"))
    scene.states()
    assert scene.seconds == 4


def test_a_restart_of_the_coordinator_is_told_once_and_survived() -> None:
    scene = Scene(run_record("running"), SILENCE, SILENCE, UNWELL, run_record("running"), run_record("succeeded"))
    assert scene.states() == ["running", "no answer", "succeeded"]


def test_each_silence_has_its_own_patience() -> None:
    silence = [SILENCE] * 50
    scene = Scene(run_record("running"), *silence, run_record("running"), *silence, run_record("succeeded"))
    assert scene.states() == ["running", "no answer", "no answer", "succeeded"]


def test_a_silence_that_lasts_ends_the_watch() -> None:
    scene = Scene(run_record("running"), SILENCE)
    with pytest.raises(CannotReach):
        scene.states()
    assert scene.seconds == PATIENCE.silence_seconds


def test_a_coordinator_that_never_answered_is_said_at_once() -> None:
    scene = Scene(SILENCE)
    with pytest.raises(CannotReach):
        scene.states()
    assert scene.seconds == 0


def test_a_run_that_is_not_there_yet_is_waited_for() -> None:
    scene = Scene(UNKNOWN, UNKNOWN, run_record("accepted"), run_record("succeeded"))
    assert scene.states() == ["no answer", "accepted", "succeeded"]


def test_a_run_that_never_comes_is_bad_input() -> None:
    scene = Scene(UNKNOWN)
    with pytest.raises(Refused) as refusal:
        scene.states()
    assert refusal.value.exit_code == ExitCode.BAD_INPUT
    assert scene.seconds == PATIENCE.unknown_seconds


def test_a_run_that_vanished_is_not_waited_for() -> None:
    scene = Scene(run_record("running"), UNKNOWN)
    with pytest.raises(Refused):
        scene.states()
    assert scene.seconds == 0


def test_a_refusal_is_not_repeated() -> None:
    scene = Scene(Refused(problem("CM-603", "Unknown parameter"), 422))
    with pytest.raises(Refused):
        scene.states()
    assert len(scene.asked) == 1


@pytest.mark.parametrize("state", ["awaiting_approval", "paused", "needs_attention"])
def test_a_run_that_only_a_person_can_move_is_not_waited_for(state: str) -> None:
    assert Scene(run_record("running"), run_record(state)).states() == ["running", state]


def test_an_ended_run_is_watched_until_its_audit_is_recorded() -> None:
    owing, recorded = run_record("succeeded", audit="pending"), run_record("succeeded", audit="recorded")
    scene = Scene(run_record("running"), owing, owing, recorded)
    assert scene.states() == ["running", "succeeded", "succeeded"]
    assert scene.seconds < 1


def test_an_audit_that_stays_down_does_not_hold_the_watch_for_ever() -> None:
    scene = Scene(run_record("failed", audit="pending"))
    first, last = scene.watch()
    assert isinstance(first, RunSeen)
    assert isinstance(last, RunPending)
    assert "audit is still to be recorded" in last.why
    assert scene.seconds == PATIENCE.audit_seconds


def test_an_application_that_stays_away_behind_its_sidecar_is_said_to_be_gone_with_what_to_do() -> None:
    scene = Scene(run_record("running"), *[AppNotReady()] * 30, run_record("succeeded"))
    why = [news.why for news in scene.watch() if isinstance(news, RunPending)]
    assert len(why) == 2
    assert "does not listen yet" in why[0]
    assert "probably gone" in why[1]
    assert "./scripts/stop" in why[1]


def test_an_application_that_starts_in_time_is_not_called_gone() -> None:
    scene = Scene(*[AppNotReady()] * 5, run_record("succeeded"))
    assert scene.states() == ["no answer", "succeeded"]


def test_a_watch_that_only_ever_met_the_sidecar_ends_with_that() -> None:
    scene = Scene(AppNotReady())
    with pytest.raises(AppNotRunning):
        scene.states()
    assert scene.seconds == PATIENCE.start_seconds

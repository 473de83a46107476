"""The judge of one run: compares records, audit and answers with what the databases say."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

import httpx
from typer.testing import CliRunner

from coordinator.cli.app import app
from scripts.infrastructure.render import AUDIT
from tests.campaign.fleet.course import LIMIT_SECONDS, REPLACED_SECONDS, Course
from tests.campaign.fleet.evidence import Evidence, Row, epoch, evidence_of, journal_of, once_each
from tests.campaign.fleet.ground import AFTER, SERVICES
from tests.campaign.fleet.spec import STALLED_SECONDS
from tests.end_to_end.accounting import environment_of
from tests.end_to_end.ground import Ground

ACCOUNTED_SECONDS = 60.0
TOLERANCE_SECONDS = 0.05  # between the coordinator's clock reading and its write


def judged(course: Course) -> list[str]:
    """All violations; the whole fleet is up again when it is called."""
    found = {name: evidence_of(course.campaign, name) for name in SERVICES}
    journals = {
        (request, name): journal_of(course.campaign, name, request) for request in course.ids for name in SERVICES
    }
    problems = [*course.violations, *course.client.problems, *_none_lost(course)]
    for name in SERVICES:
        problems += once_each(name, found[name], course.campaign.histories[name].up_to(found[name].version))
    for run in course.records.values():
        problems += _ended_well(course, run, found)
        problems += _in_order(run, {name: journals[run["request_id"], name] for name in SERVICES})
    problems += _retried_well(course)
    events = _audit(course)
    for request, told in events.items():
        rows = [row for name in SERVICES for row in journals[request, name]]
        problems += [*_held_still(request, told, rows), *_told_once(request, told), *_approved(request, told, rows)]
    problems += _void_after_change(course, events, journals)
    problems += [*_in_time(course), *_accounted_for(course)]
    return problems


def recovery_seconds(course: Course) -> float | None:
    """From the last thing that was healed or asked until all had ended."""
    ends = [epoch(run["finished_at"]) for run in course.records.values() if run.get("finished_at")]
    return round(max(0.0, max(ends) - course.last_act), 2) if ends and course.last_act else None


def is_hit(course: Course) -> bool:
    """Whether every fault came while a run of it was accepted and had not ended."""
    spans = [
        (epoch(run["accepted_at"]), epoch(run["finished_at"]))
        for run in course.records.values()
        if run.get("finished_at")
    ]
    placed = [each.at for each in course.placed]
    if len(placed) < len(course.spec.faults) or course.faults.not_stalled:
        return False
    retried = {name: epoch(run["finished_at"]) for name, run in course.before_retry.items() if run.get("finished_at")}
    return all(any(began <= at <= ended for began, ended in spans) for at in placed) or bool(retried and placed)


def _none_lost(course: Course) -> list[str]:
    problems = []
    for asked in course.spec.requests:
        digests = set(course.client.accepted.get(asked.name, []))
        run = course.records.get(asked.name) or course.client.run(asked.name)
        if run is None:
            problems.append(f"C1: {asked.name} was accepted, and there is no record of it")
        elif not asked.by_event and digests != {run["request_digest"]}:
            problems.append(f"C2: {asked.name} was accepted as {digests} and is recorded as {run['request_digest']}")
        if asked.conflicting and asked.name not in course.client.refused:
            problems.append(f"C2: {asked.name} was asked with two bodies, and none of them was refused")
    return problems


def _ended_well(course: Course, run: dict[str, Any], found: dict[str, Evidence]) -> list[str]:
    """Without a broken revision or a cancel every run succeeds, whatever died meanwhile."""
    name, state = run["request_id"], run["state"]
    cancelled = any(given == (name, "cancel") for given in [each[:2] for each in course.client.given])
    allowed = {"succeeded", *(["cancelled"] if cancelled else [])}
    if course.spec.broken and run["request"]["on_failure"] == "compensate":
        allowed |= {"compensated", "needs_attention"}
    problems = [] if state in allowed else [f"C6: {name} ended {state}: {_why(run)}"]
    earlier = course.before_retry.get(name)
    if earlier is not None and not _may_fail(course, earlier):
        problems.append(f"C6: {name} ended {earlier['state']} before it was retried: {_why(earlier)}")
    taken_back = any(each["state"] == "compensated" for each in course.records.values())
    for step in run["steps"]:
        if state == "succeeded" and step["service"] != AUDIT and not taken_back:
            history = course.campaign.histories[step["service"]]
            (target,) = step["to_revisions"]
            if target in history.ids and target not in ["marks", *history.up_to(found[step["service"]].version)]:
                problems.append(f"C5: {name} says {step['service']} is at {target}: {found[step['service']].version}")
    return problems


def _may_fail(course: Course, run: dict[str, Any]) -> bool:
    unreachable = bool(run["obstacles"]) and all(each["code"].startswith("CM-8") for each in run["obstacles"])
    return bool(course.spec.broken) or unreachable or bool(course.changed_at)


def _why(run: dict[str, Any]) -> str:
    error = run["error"] or {}
    return f"{error.get('code')} {error.get('detail')} {[each['detail'] for each in run['obstacles']][:2]}"


def _in_order(run: dict[str, Any], journals: dict[str, list[Row]]) -> list[str]:
    """By the clock of the databases: dependencies, the canary, and how many side by side."""
    spans: dict[str, tuple[float, float]] = {}
    for name, rows in journals.items():
        ups = [row.at for row in rows if row.kind == "applied"]
        if ups:
            spans[name] = (min(row.at for row in rows if row.kind == "attempt"), max(ups))
    problems, request = [], run["request"]
    reverted = any(row.kind == "reverted" for rows in journals.values() for row in rows)
    for name, before in AFTER.items():
        if name in spans and before in spans and not spans[before][1] <= spans[name][0]:
            problems.append(f"C7: {run['request_id']}: {name} began before {before} had ended")
    first = set(request.get("first", []))
    needed = {*first, *(AFTER.get(each, "") for each in first), "cds-client"}
    for name, (begun, _) in spans.items():
        behind = [each for each in first if each in spans and spans[each][1] > begun]
        if first and name not in needed and behind:
            problems.append(f"C7: {run['request_id']}: {name} began before the canary {behind} had ended")
    if run.get("round", 1) == 1 and not reverted:
        # How many attempts were open at the beginning of each one.
        most = max((sum(b <= begun < e for b, e in spans.values()) for begun, _ in spans.values()), default=0)
        if most > request["max_parallel"]:
            problems.append(f"C7: {run['request_id']}: {most} services side by side, {request['max_parallel']} asked")
    return problems


def _retried_well(course: Course) -> list[str]:
    """A step that had reached its target is not carried out a second time."""
    problems = []
    for name, before in course.before_retry.items():
        after = {step["service"]: step for step in course.records.get(name, before)["steps"]}
        for step in before["steps"]:
            now = after.get(step["service"], step)
            same = all(now[key] == step[key] for key in ("operation_id", "finished_at", "applied"))
            taken_back = course.records.get(name, {}).get("state") == "compensated"
            if step["state"] in ("succeeded", "unchanged") and not same and not taken_back:
                problems.append(f"C11: {name}: {step['service']} had {step['state']}, and was carried out again")
    return problems


def _audit(course: Course) -> dict[str, list[dict[str, Any]]]:
    until = time.monotonic() + ACCOUNTED_SECONDS
    while True:
        try:
            return {name: course.campaign.ground.audit(name) for name in course.ids}
        except (httpx.HTTPError, KeyError, ValueError):
            if time.monotonic() > until:
                course.violations.append("C9: nobody shows the audit")
                return {}
            time.sleep(0.3)


def _held_still(request: str, told: list[dict[str, Any]], rows: list[Row]) -> list[str]:
    """Between a pause and what let the run go on, no revision of it is applied."""
    problems, paused = [], None
    for event in sorted(told, key=lambda each: epoch(each["occurred_at"])):
        at = epoch(event["occurred_at"])
        if event["event_type"] == "migration.paused":
            paused = at
        elif event["event_type"] in ("migration.resumed", "migration.finished") and paused is not None:
            early = [row.revision for row in rows if row.kind in ("applied", "reverted")
                     and paused + TOLERANCE_SECONDS < row.at < at]  # fmt: skip
            problems += [f"C8: {request} applied {early} while it was paused"] if early else []
            paused = None
    return problems


def _told_once(request: str, told: list[dict[str, Any]]) -> list[str]:
    types = Counter(each["event_type"] for each in told)
    problems = [] if types["migration.requested"] == 1 else [f"C12: {request} was requested {types}"]
    if types["migration.finished"] != 1 + types["migration.retried"]:
        problems.append(
            f"C12: {request} finished {types['migration.finished']} times, {types['migration.retried']} retries"
        )
    return problems


def _approved(request: str, told: list[dict[str, Any]], rows: list[Row]) -> list[str]:
    awaited = [each for each in told if each["event_type"] == "migration.approval_awaited"]
    given = [epoch(each["occurred_at"]) for each in told if each["event_type"] == "migration.approved"]
    if not awaited:
        return []
    early = [row.revision for row in rows if row.kind == "applied" and row.at < min(given, default=float("inf"))]
    return [f"C13: {request} applied {early} before it was approved"] if early else []


def _void_after_change(
    course: Course, events: dict[str, list[dict[str, Any]]], journals: dict[tuple[str, str], list[Row]]
) -> list[str]:
    """A step that begins a second after a file of it changed needs another approval."""
    request, service = course.ids[0], course.changed_service
    if not course.changed_at or not events:
        return []
    begun = [row.at for row in journals[request, service] if row.kind == "attempt"]
    void = any(each["event_type"] == "migration.approval_void" for each in events[request])
    if begun and min(begun) > course.changed_at + 1.0 and not void:
        return [f"C13: a file of {service} changed after the approval of {request}, which was not void"]
    return []


def _in_time(course: Course) -> list[str]:
    seconds = recovery_seconds(course) or 0.0
    for each in course.placed:
        run = course.records.get(course.ids[0], {})
        ended = epoch(run["finished_at"]) if run.get("finished_at") else float("inf")
        if each.what == "workflow stall" and not course.faults.not_stalled and ended > (each.healed_at or 0):
            return [f"C10: {course.ids[0]} was stalled for {STALLED_SECONDS:.0f} s, and no other workflow took it up"]
    suspended = any(each.what == "workflow suspend" for each in course.placed)
    limit = LIMIT_SECONDS + (REPLACED_SECONDS + 15 if suspended else 0)
    return [f"C10: ended {seconds} s after the last fault was healed"] if seconds > limit else []


def _accounted_for(course: Course) -> list[str]:
    """`coordinator audit reconcile` and `verify`; what the services still owe may take a moment."""
    until = time.monotonic() + ACCOUNTED_SECONDS
    while True:
        answers = {word: _asked(course.campaign.ground, word) for word in ("reconcile", "verify")}
        wrong = {word: answer for word, answer in answers.items() if answer[0] != 0}
        if not wrong:
            return []
        if time.monotonic() > until:
            return [f"C9: audit {word} ended with {code}: {said[:1500]}" for word, (code, said) in wrong.items()]
        time.sleep(1)


def _asked(ground: Ground, word: str) -> tuple[int, str]:
    """The command as a person has it, without a process of its own."""
    done = CliRunner().invoke(app, ["audit", word, "--json"], env=environment_of(ground))
    try:
        document = json.loads(done.output)
    except ValueError:
        return done.exit_code, f"{done.output} {done.exception}"
    return done.exit_code, json.dumps({key: each for key, each in document.items() if key != "services" and each})

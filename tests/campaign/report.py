"""What a campaign found, as JSON with every run and as one page for a reader."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scripts.infrastructure.postgres import binaries
from tests.campaign.corpus import FORMS
from tests.campaign.nemeses import LEFT_OUT, NEMESES
from tests.campaign.outcome import Outcome
from tests.campaign.planted import Found
from tests.campaign.schedule import Quota, pairs

TITLES = {
    "A": "kill -9 of the service, the forkserver, the migration process or a backend, at a random moment",
    "B": "every failpoint with every action",
    "C": "two nemeses at once",
    "D": "3 to 10 replicas start at once, on a fresh and on an existing database",
    "E": "100 operations on one service, which must not grow",
}
COUNTS = ("planned", "hit", "ok", "resolved", "violations", "not_judged")
KNOWN_LIMITS = (
    "One service, one machine, PostgreSQL on loopback and with fsync off: the machine itself never loses power.",
    "Services are forked from a process that has the code loaded; `migration-sidecar` is not started anew each time.",
    "N6 is a proxy that falls silent, not a cut network interface; N12 is the coordinator's.",
    "N17 (PgBouncer) is in the integration tests, with a double that pools transactions, and not in this campaign.",
    "A wrong clock reaches the service and the migration process, not PostgreSQL.",
    "`raise` is not tried on asyncpg, where nothing hears an exception between COMMIT and its answer.",
)


@dataclass(frozen=True)
class Session:
    """When and of what this campaign was made; the code is copied when it begins."""

    seed: int
    commit: str
    began: float
    resumed: bool


def write_report(
    outcomes: list[Outcome], quotas: list[Quota], planted: list[Found], into: Path, session: Session
) -> str:
    """Gives the path without its ending."""
    document = summary(outcomes, quotas, planted, session)
    name = f"{document['date']}-{document['commit']}-engine"
    into.mkdir(parents=True, exist_ok=True)
    runs = [{key: value for key, value in asdict(each).items() if value not in ([], None)} for each in outcomes]
    text = json.dumps({**document, "all_runs": "one a line"}, indent=2)[:-2]
    lines = ",\n".join("    " + json.dumps(run) for run in runs)
    (into / f"{name}.json").write_text(f'{text},\n  "runs": [\n{lines}\n  ]\n}}\n')
    (into / f"{name}.md").write_text(page(document))
    return str(into / name)


def summary(outcomes: list[Outcome], quotas: list[Quota], planted: list[Found], session: Session) -> dict[str, Any]:
    hit = [each for each in outcomes if each.hit]
    pairs_hit = {tuple(each.spec["nemeses"]) for each in hit if each.spec["part"] == "C"}
    bad = [each for each in outcomes if each.violations]
    return {
        **{"tier": "T1: the migration engine on real PostgreSQL, without Dapr", "seed": session.seed},
        **{"date": datetime.now(UTC).date().isoformat(), "commit": session.commit},
        **{"seconds": round(time.monotonic() - session.began), "resumed": session.resumed},
        "versions": versions(),
        "parts": {
            part: _part(part, [each for each in outcomes if each.spec["part"] == part], quotas) for part in TITLES
        },
        "cells": {quota.name: {"planned": quota.wanted, "hit": quota.hits} for quota in quotas},
        "forms": {form: sum(each.spec.get("form") == form for each in hit) for form in FORMS},
        "pairs": {"of": len(pairs(tuple(NEMESES))), "hit": len(pairs_hit)},
        "hit": len(hit),
        "violations": len(bad),
        "not_judged": sum(not each.judged for each in outcomes),
        "bound": f"{3 / len(hit):.2%}" if hit else None,  # 95 %: zero of n seen
        "lock_free_after_kill_seconds": spread(each.lock_free_seconds for each in hit if each.spec["action"] != "stop"),
        "fenced_after_stop_seconds": spread(each.lock_free_seconds for each in hit if each.spec["action"] == "stop"),
        "recovery_seconds": spread(each.recovery_seconds for each in hit if each.spec["part"] != "D"),
        "ready_seconds_of_the_last_replica": spread(each.recovery_seconds for each in hit if each.spec["part"] == "D"),
        "looks_at_live_health_not_judged": sum(each.looks_not_judged for each in outcomes),
        "slowest_live_health_seconds": max((each.slowest_health_seconds for each in outcomes), default=None),
        "orders_repeated_without_effect": sum(each.repeated for each in outcomes),
        "unknown_outcomes_resolved": sum(each.resolved for each in outcomes),
        "needs_attention_told": sum("needs_attention" in each.states for each in outcomes),
        "planted": [
            {"bug": each.bug.name, "what": each.bug.what, "within": each.bug.runs, "hits": each.hits}
            | {"found": each.violation}
            for each in planted
        ],
        "after_warming_up_and_at_the_end": [fault for each in hit if each.spec["part"] == "E" for fault in each.faults],
        "left_out": LEFT_OUT,
        "known_limits": KNOWN_LIMITS,
    }


def page(document: dict[str, Any]) -> str:
    """For somebody who decides whether to trust it."""
    rows = [
        " | ".join(["", part, TITLES[part], *(str(each[key]) for key in COUNTS), ""]).strip()
        for part, each in document["parts"].items()
        if each["runs"]
    ]
    limits = [*document["known_limits"], *(f"{name}: {why}." for name, why in document["left_out"].items())]
    troubles = "\n".join(f"- {text}" for part in document["parts"].values() for text in part["own_troubles"]) or "None."
    found = "\n".join(f"- {text}" for part in document["parts"].values() for text in part["found"]) or "None."
    return f"""# Fault campaign on the engine, {document["date"]}, commit {document["commit"]}

{document["hit"]} runs were hit while a migration was under way; {document["violations"]} runs ended with a violation.
{_missing(document)}
Where the violations are zero, that bounds the true rate at about 3/n = {document["bound"]}
with 95 % confidence, and proves no more.

- Tier: {document["tier"]}.
- Replay: `scripts/campaign engine --seed {document["seed"]}`. It took {_duration(document)}.

env.py asked for a transaction for each revision in {document["forms"]["each"]} of the hit runs, and left Alembic's one
transaction for the whole run in {document["forms"]["one"]}.
Of {document["pairs"]["of"]} pairs of troubles in part C {document["pairs"]["hit"]} were hit.

| part | | planned | hit | ok | of them resolved after being unknown | violations | not judged |
|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

| measured | p50 | p95 | max | of |
|---|---|---|---|---|
{_row("lock free after a kill or a cut connection, s", document["lock_free_after_kill_seconds"])}
{_row("lock free after the holder was stopped (guard set to 2 s), s", document["fenced_after_stop_seconds"])}
{_row("fault to the end of its operation, s", document["recovery_seconds"])}
{_row("start to the last replica ready, s", document["ready_seconds_of_the_last_replica"])}

- Orders repeated because no answer came, without a second effect: {document["orders_repeated_without_effect"]}
- Operations that asked a person to look, with reason: {document["needs_attention_told"]}
- Slowest answer of live health, on cores that were kept busy: {document["slowest_live_health_seconds"]} s;
  looks that came late and are not judged: {document["looks_at_live_health_not_judged"]} (no processor for the service)

{_planted(document["planted"])}
## Violations

{found}

## Not judged

Runs in which the campaign's own server or fault maker failed; they are no hits, and others were made for them.

{troubles}

## Known limits

{chr(10).join(f"- {text}" for text in limits)}

Versions: {", ".join(f"{name} {text}" for name, text in document["versions"].items())}.
"""


def _part(part: str, outcomes: list[Outcome], quotas: list[Quota]) -> dict[str, Any]:
    return {
        "planned": sum(quota.wanted for quota in quotas if quota.name.split()[0] == part),
        "runs": len(outcomes),
        "hit": sum(each.hit for each in outcomes),
        "ok": sum(each.hit and not each.violations for each in outcomes),
        "resolved": sum(each.resolved for each in outcomes),
        "violations": sum(bool(each.violations) for each in outcomes),
        "not_judged": sum(not each.judged for each in outcomes),
        "own_troubles": [
            f"{each.spec['quota']} {each.spec['number']}: {'; '.join(each.own_troubles)}"
            + (f" (set aside: {'; '.join(each.set_aside)})" if each.set_aside else "")
            for each in outcomes
            if not each.judged
        ],
        "found": [
            f"{each.spec['quota']} {each.spec['number']}: {text}" for each in outcomes for text in each.violations
        ],
    }


def _missing(document: dict[str, Any]) -> str:
    """What a reader might take for tried and was not."""
    parts = document["parts"]
    gone = [part for part, each in parts.items() if not each["runs"]]
    few = [
        f"{part} ({each['hit']} of {each['planned']})" for part, each in parts.items() if each["hit"] < each["planned"]
    ]
    said = [f"**Part {part} was left out.**" for part in gone]
    said += [f"**Not hit as often as planned: {', '.join(few)}.**"] if few else []
    said += [f"**{name} was left out: {why}.**" for name, why in document["left_out"].items()]
    said += [] if document["planted"] else ["**No planted bug was looked for.**"]
    return " ".join(said) or "Nothing was left out."


def _duration(document: dict[str, Any]) -> str:
    return f"{document['seconds']} s" + (" after it was resumed" if document["resumed"] else "")


def _planted(bugs: list[dict[str, Any]]) -> str:
    if not bugs:
        return ""
    rows = [f"| {each['bug']} | {each['what']} | {each['within']} | {_hits(each)} |" for each in bugs]
    return """## Planted bugs

A checker that never fails is broken: each bug was planted in a copy of the engine, and had to be found.

| bug | what | at most in hit runs | found in |
|---|---|---|---|
""" + "".join(f"{row}\n" for row in rows)


def _hits(bug: dict[str, Any]) -> str:
    return str(bug["hits"]) if bug["found"] else f"NOT FOUND in {bug['hits']}"


def spread(values: Iterable[float | None]) -> dict[str, float] | None:
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    at = {"p50": known[len(known) // 2], "p95": known[min(len(known) - 1, round(len(known) * 0.95))], "max": known[-1]}
    return {**{name: round(value, 3) for name, value in at.items()}, "of": len(known)}


def _row(name: str, values: dict[str, float] | None) -> str:
    return f"| {name} | " + (" | ".join(f"{value:g}" for value in values.values()) if values else " | | | 0") + " |"


def commit() -> str:
    said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        ["git", "status", "--short", "migration_sidecar"], capture_output=True, text=True, check=False
    )
    return (said.stdout.strip() or "unknown") + ("-changed" if changed.stdout.strip() else "")


def versions() -> dict[str, str]:
    server = subprocess.run(
        [str(binaries() / "postgres"), "--version"], capture_output=True, text=True, check=True
    ).stdout
    packages = ("alembic", "sqlalchemy", "psycopg", "asyncpg")
    return {
        "PostgreSQL": server.split()[2],
        "Python": platform.python_version(),
        **{name: version(name) for name in packages},
        "cores": str(os.cpu_count()),
        # Runs on a busy machine are slow, and what waits for an answer in seconds may not get it.
        "processes that wanted a core, mean of the last 15 minutes": f"{os.getloadavg()[2]:.0f}",
    }

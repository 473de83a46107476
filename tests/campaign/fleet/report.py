"""What a campaign on the fleet found, as JSON with every run and as one page for a reader."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.campaign.fleet.conduct import Quota
from tests.campaign.fleet.course import LIMIT_SECONDS
from tests.campaign.fleet.planted import Found
from tests.campaign.fleet.runs import Outcome
from tests.campaign.fleet.spec import KILLED, KILLS, MIXED, OTHERS, STOPPED, WORKFLOW
from tests.campaign.report import spread, versions

TIER = "T2: nine services and two coordinators under real Dapr, with placement, scheduler, Redis and PostgreSQL"
TITLES = {
    KILLS: "kill -9 of one process while a run is under way (PostgreSQL: immediate stop)",
    MIXED: "processes stopped, workflows suspended, ended, stalled or purged, restarts in turn; verbs and failures",
}
LEFT_OUT = {
    "An update from one release to another": "the restart in turn starts the same code; stalled workflows come from"
    " a coordinator with another patch",
    "Wrong clocks, a full disk, cut networks": "they are in the engine's campaign, or nowhere",
    "The stores emptied": "Redis, the scheduler's data and Dapr's state are killed and stopped, and keep their data",
}
LIMITS = (
    "One machine, everything on loopback: the machine itself never loses power.",
    "All databases, also that of the audit, are in one PostgreSQL cluster and go away together.",
    "Revisions are small: two rows and a sleep of up to a second.",
    "A suspended workflow is given 75 s more, because the coordinator replaces it after a minute; a stalled"
    " one stays stalled for 100 s, within which its run has to end.",
    "A run that ends as failed because a service did not answer while it was planned is retried, and counted.",
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
    name = f"{document['date']}-{document['commit']}-fleet"
    into.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**document, "all_runs": "one a line"}, indent=2)[:-2]
    lines = ",\n".join("    " + json.dumps(each.document(), default=str) for each in outcomes)
    (into / f"{name}.json").write_text(f'{text},\n  "runs": [\n{lines}\n  ]\n}}\n')
    (into / f"{name}.md").write_text(page(document))
    return str(into / name)


def summary(outcomes: list[Outcome], quotas: list[Quota], planted: list[Found], session: Session) -> dict[str, Any]:
    hit = [each for each in outcomes if each.hit]
    bad = [each for each in outcomes if each.violations]
    kinds = Counter(_kind(fault["what"]) for each in hit for fault in each.faults)
    by_itself = {"workflow suspend"}
    waited = [each for each in hit if by_itself & {fault["what"] for fault in each.faults}]
    return {
        **{"tier": TIER, "seed": session.seed, "date": datetime.now(UTC).date().isoformat()},
        **{"commit": session.commit, "resumed": session.resumed},
        "seconds": round(sum(each.seconds for each in outcomes)),
        "versions": {**versions(), "Dapr": "1.18.2", "load of the last minute": f"{os.getloadavg()[0]:.0f}"},
        "parts": {quota.part: _part(quota, outcomes) for quota in quotas},
        "faults_hit": dict(sorted(kinds.items())),
        "never_hit": [each for each in _planned() if not kinds[each]],
        "hit": len(hit),
        "violations": len(bad),
        "not_judged": [f"{each.part}{each.number}: {each.own_troubles[0].splitlines()[0]}"
                       for each in outcomes if each.own_troubles],
        "bound": f"{3 / len(hit):.2%}" if hit else None,
        "recovery_seconds": spread(each.recovery_seconds for each in hit if each not in waited),
        "recovery_seconds_of_suspended": spread(each.recovery_seconds for each in waited),
        "verbs": dict(sorted(Counter(verb.partition(" ")[2] for each in hit for verb in each.verbs).items())),
        "ends": dict(sorted(Counter(state for each in hit for state in each.states.values()).items())),
        "runs_of_another_generation": sum(len(each.generations) for each in hit),
        "retried": sum(each.retried for each in hit),
        "retried_because_a_service_was_away": sum(each.unreachable for each in hit),
        "found": [f"{each.part}{each.number} ({each.told}): {text}" for each in bad for text in each.violations],
        "planted": [{"bug": each.bug.name, "what": each.bug.what, "by": each.bug.by, "found": each.sign}
                    for each in planted],
        "left_out": LEFT_OUT,
        "known_limits": LIMITS,
    }  # fmt: skip


def page(document: dict[str, Any]) -> str:
    """For somebody who decides whether to trust it."""
    parts = [
        f"| {part} | {TITLES[part]} | {each['planned']} | {each['hit']} | {each['not_hit']} | {each['violations']} |"
        for part, each in document["parts"].items()
    ]
    faults = [f"| {name} | {number} |" for name, number in document["faults_hit"].items()]
    return f"""# Fault campaign on the fleet, {document["date"]}, commit {document["commit"]}

{document["hit"]} runs were hit while work was under way; {document["violations"]} runs ended with a violation.
{_missing(document)}
Where the violations are zero, that bounds the true rate at about 3/n = {document["bound"]} with 95 % confidence, and
proves no more.

- Tier: {document["tier"]}.
- Replay: `scripts/campaign fleet --seed {document["seed"]}`. Its runs took {document["seconds"]} s{_resumed(document)}.

| part | | planned | hit | not hit | violations |
|---|---|---|---|---|---|
{chr(10).join(parts)}

| measured | p50 | p95 | max | of |
|---|---|---|---|---|
{_row("last fault healed, or last verb, to the end of all runs, s", document["recovery_seconds"])}
{_row("the same after a suspended workflow, s", document["recovery_seconds_of_suspended"])}

The bar is {LIMIT_SECONDS:.0f} s, and 75 s more for the second row. {_told(document)}

| fault | hit |
|---|---|
{chr(10).join(faults)}

{_planted(document["planted"])}
## Violations

{_list(document["found"])}

## Not judged

Runs in which the fleet could not be brought back into order by the campaign; they are no hits.

{_list(document["not_judged"])}

## Known limits

{_list([*document["known_limits"], *(f"{name}: {why}." for name, why in document["left_out"].items())])}

Versions: {", ".join(f"{name} {text}" for name, text in document["versions"].items())}.
"""


def _planned() -> list[str]:
    kinds = [("kill", KILLED), ("stop", STOPPED), ("workflow", WORKFLOW), ("other", OTHERS)]
    return [_kind(f"{kind} {what}") for kind, places in kinds for what in places]


def _kind(what: str) -> str:
    """`kill cds-task daprd` is one of `kill the working service daprd`."""
    kind, _, place = what.partition(" ")
    name, space, more = place.partition(" ")
    is_service = name.startswith(("cds-", "rmbrain-"))
    return f"{kind} the working service{space}{more}" if is_service else what


def _part(quota: Quota, outcomes: list[Outcome]) -> dict[str, Any]:
    own = [each for each in outcomes if each.part == quota.part]
    return {
        "planned": quota.wanted,
        "hit": sum(each.hit for each in own),
        "not_hit": sum(not each.hit for each in own),
        "violations": sum(bool(each.violations) for each in own),
    }


def _missing(document: dict[str, Any]) -> str:
    few = [f"{part} ({each['hit']} of {each['planned']})" for part, each in document["parts"].items()
           if each["hit"] < each["planned"]]  # fmt: skip
    said = [f"**Not hit as often as planned: {', '.join(few)}.**"] if few else []
    said += [f"**Never hit: {', '.join(document['never_hit'])}.**"] if document["never_hit"] else []
    said += [f"**Left out: {name}**: {why}." for name, why in document["left_out"].items()]
    said += [] if document["planted"] else ["**No planted bug was looked for.**"]
    return " ".join(said)


def _told(document: dict[str, Any]) -> str:
    ends = ", ".join(f"{number} {state}" for state, number in document["ends"].items())
    verbs = ", ".join(f"{number} {verb}" for verb, number in document["verbs"].items())
    return (
        f"Ends: {ends}. Verbs, with the code of those that were refused: {verbs or 'none'}."
        f" {document['runs_of_another_generation']} runs went on in a workflow of another generation,"
        f" {document['retried']} were retried, {document['retried_because_a_service_was_away']} of them because a"
        " service was away while they were planned."
    )


def _planted(bugs: list[dict[str, Any]]) -> str:
    if not bugs:
        return ""
    rows = [f"| {each['bug']} | {each['what']} | {each['by']} | {each['found'] or 'NOT FOUND'} |" for each in bugs]
    return """## Planted bugs

A checker that never fails is broken: each bug was planted in a copy of the code, and had to be found.

| bug | what | looked for by | found |
|---|---|---|---|
""" + "".join(f"{row}\n" for row in rows)


def _resumed(document: dict[str, Any]) -> str:
    return ", in several sessions" if document["resumed"] else ""


def _list(texts: list[str]) -> str:
    return "\n".join(f"- {text}" for text in texts) or "None."


def _row(name: str, values: dict[str, float] | None) -> str:
    return f"| {name} | " + (" | ".join(f"{value:g}" for value in values.values()) if values else " | | | 0") + " |"


def commit() -> str:
    said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        ["git", "status", "--short", "coordinator", "migration_sidecar", "signed_calls", "services"],
        capture_output=True,
        text=True,
        check=False,
    )
    return (said.stdout.strip() or "unknown") + ("-changed" if changed.stdout.strip() else "")

"""What the databases themselves say after a run: marks, version tables, journals. Nobody of ours is asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime

from tests.campaign.fleet.ground import DATABASES, CampaignGround

MARKED = "SELECT revision, part, extract(epoch FROM at)::float8 FROM marks ORDER BY id"
JOURNAL = (
    "SELECT kind, revision, operation_id, extract(epoch FROM at)::float8 FROM migration_sidecar.journal"
    " WHERE operation_id LIKE %s ORDER BY seq"
)
COUNTS = (
    "SELECT revision, kind, count(*) FROM migration_sidecar.journal WHERE kind IN ('applied', 'reverted')"
    " AND revision IS NOT NULL GROUP BY 1, 2"
)


@dataclass(frozen=True)
class Mark:
    revision: str
    part: int  # 1 at the beginning of an upgrade, 2 at its end, -1 of a downgrade
    at: float


@dataclass(frozen=True)
class Row:
    kind: str
    revision: str | None
    operation_id: str
    at: float


@dataclass
class Evidence:
    """Of one service."""

    version: str
    marks: list[Mark]
    counts: Counter[tuple[str, str]]


def evidence_of(campaign: CampaignGround, service: str) -> Evidence:
    ground, database = campaign.ground, DATABASES[service]
    marks = [Mark(*row) for row in ground.query(database, MARKED)]
    counts = Counter({(revision, kind): number for revision, kind, number in ground.query(database, COUNTS)})
    return Evidence(ground.revision(database), marks, counts)


def journal_of(campaign: CampaignGround, service: str, request_id: str) -> list[Row]:
    rows = campaign.ground.query(DATABASES[service], JOURNAL, f"{request_id}.%")
    return [Row(*row) for row in rows]


def once_each(service: str, found: Evidence, applied: list[str]) -> list[str]:
    """Each effect is there as often as the version table and the journal say: once, or taken back once."""
    problems, parts = [], defaultdict(list)
    for mark in found.marks:
        parts[mark.revision].append(mark.part)
    for revision, seen in parts.items():
        whole = [1, 2, -1] * (len(seen) // 3 + 1)
        if seen != whole[: len(seen)] or len(seen) % 3 == 1:
            problems.append(f"C3: {service} {revision} left the marks {seen}")
        if (seen[-1] == 2) != (revision in applied):
            problems.append(f"C3: {service} is at {found.version}, and {revision} left the marks {seen}")
        told = (found.counts[(revision, "applied")], found.counts[(revision, "reverted")])
        if told != (seen.count(2), seen.count(-1)):
            problems.append(f"C4: {service} {revision}: applied and reverted {told} by the journal, marks {seen}")
    problems += [f"C3: {service} is at {found.version} without {each}" for each in applied if each not in parts]
    return problems


def epoch(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()

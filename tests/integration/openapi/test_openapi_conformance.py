"""What the OpenAPI documents say is true: schemathesis finds no answer that they do not foresee, and no 5xx."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from scripts.infrastructure.fleet import COORDINATOR
from tests.integration.openapi.conformance import CHECKS, conformance
from tests.integration.openapi.small_fleet import SERVICE, SmallFleet

DOCUMENTS = Path(__file__).parents[3] / "docs" / "openapi"
REPORT = DOCUMENTS / "conformance.md"
APPLICATIONS = {"coordinator": COORDINATOR, "cas-audit": "cas-audit", "service": SERVICE}
SEED = 20261129
SHORT_EXAMPLES = 5  # of each operation
# With what the coverage phase adds, so many of each operation are a thousand requests and more.
LONG_EXAMPLES = {"coordinator": 40, "cas-audit": 45, "service": 260}
ALL_PHASES = "examples,coverage,fuzzing"


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_development_fleet_serves_the_committed_document(fleet: SmallFleet, name: str) -> None:
    answer = httpx.get(f"{fleet.url(APPLICATIONS[name])}/openapi.json", trust_env=False)
    assert answer.json() == json.loads((DOCUMENTS / f"{name}.json").read_text())


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", APPLICATIONS)
def test_no_answer_is_other_than_the_document_says(
    fleet: SmallFleet, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    least = request.config.getoption("--requests", default=0)
    operations = sum(map(len, json.loads((DOCUMENTS / f"{name}.json").read_text())["paths"].values()))
    examples = LONG_EXAMPLES[name] * least // 1000 if least else SHORT_EXAMPLES
    phases = ALL_PHASES if least else "examples,fuzzing"
    outcome = conformance(fleet.url(APPLICATIONS[name]), tmp_path, examples=examples, seed=SEED, phases=phases)
    if least:
        report(name, f"| {SEED} | {phases} | {examples} | {outcome.requests} | {outcome.findings} |")
    assert outcome.findings == 0, outcome.text
    assert outcome.requests >= max(least, 2 * operations)


def report(name: str, row: str) -> None:
    """One row for each document, the others as they are."""
    written = REPORT.read_text().splitlines() if REPORT.exists() else []
    rows = dict(line.split("|", 2)[1:] for line in written if line.startswith("| ") and ".json" in line)
    rows[f" {name}.json "] = row.removeprefix("|")
    head = "| document | seed | phases | examples of an operation | requests | findings |\n|---|---|---|---|---|---|\n"
    text = INTRODUCTION.format(checks=", ".join(CHECKS)) + head
    REPORT.write_text(text + "".join(f"|{each}|{facts}\n" for each, facts in sorted(rows.items())))


INTRODUCTION = """# Do the applications answer as their OpenAPI documents say?

Written by `.venv/bin/python -m pytest tests/integration/openapi --requests 1000`: the coordinator, cas-audit and one
service under `dapr run`, with real PostgreSQL and Redis. schemathesis makes up requests that the document allows and
requests that it does not, and checks every answer: {checks}.

"""

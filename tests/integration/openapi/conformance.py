"""Lets schemathesis send an application what its document allows and what it does not, and check every answer."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)


@dataclass(frozen=True)
class Outcome:
    """`findings` counts the answers that break a check, and errors of schemathesis itself."""

    requests: int
    findings: int
    text: str


def conformance(url: str, into: Path, *, examples: int, seed: int, phases: str) -> Outcome:
    """`examples` is the most that is made up for each operation of the document at `url`."""
    report = into / "report.json"
    command = [
        *(str(Path(sys.prefix) / "bin" / "schemathesis"), "--config-file", str(CONFIGURATION)),
        *("run", f"{url}/openapi.json", "--no-color", "--checks", ",".join(CHECKS), "--phases", phases),
        *("--seed", str(seed), "--max-examples", str(examples), "--generation-database", "none"),
        *("--continue-on-failure", "--warnings", "off", "--request-timeout", "60", "--suppress-health-check", "all"),
        *("--report", "json", "--report-json-path", str(report)),
    ]
    done = subprocess.run(command, cwd=into, capture_output=True, text=True, check=False)
    text = "\n".join(line[:1000] for line in (done.stdout + done.stderr).splitlines())
    if not report.exists():
        return Outcome(0, 1, text)
    written = json.loads(report.read_text())
    findings = sum(each["count"] for each in written["failures"]) + len(written["errors"]) + (done.returncode != 0)
    return Outcome(written["test_cases"]["generated"], findings, text)

"""The report as a PDF/A: typeset from data, so that nothing in it can be taken for markup."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typst

from coordinator.report.document import Report

TEMPLATE = Path(__file__).parent / "report.typ"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_pdf(report: Report) -> bytes:
    """The same report gives the same bytes, on every machine where the built-in fonts have its characters."""
    data = report.as_data()
    return _typeset(data)


def _typeset(data: dict[str, Any]) -> bytes:
    document: bytes = typst.compile(
        str(TEMPLATE),
        root=str(TEMPLATE.parent),
        ignore_system_fonts=True,
        sys_inputs={"report": json.dumps(data)},
        pdf_standards=["a-2a", "ua-1"],
        timestamp=_second(data["dated"]),
    )
    return document


def _second(dated: str) -> datetime:
    return datetime.fromisoformat(dated).replace(microsecond=0) if dated else EPOCH

"""Renders a report as PDF/A for archives and screen readers. The text is passed as data, never as markup."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import typst

from coordinator.report.document import Report

TEMPLATE = Path(__file__).parent / "report.typ"
STANDARDS: list[typst.PDFStandard] = ["a-2a", "ua-1"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Everything but Latin, Greek, Cyrillic and our own punctuation: the fonts of typst are sure to have only these.
OTHER_SCRIPTS = re.compile(r"[^\x20-\x7e\xa0-\u017f\u0391-\u03a1\u03a3-\u03c9\u0410-\u044f\u2013-\u201d\u2026\u2192]")


def as_pdf(report: Report) -> bytes:
    """The PDF. The same report gives the same bytes on every machine if typst's own fonts have all its characters.

    Else the fonts of this machine are used. If these do not help, rare characters are printed as [U+XXXX].
    """
    content = json.dumps(report.as_data(), ensure_ascii=False)
    try:
        return _typeset(content, report.dated)
    except typst.TypstError as error:
        if "could not be displayed" not in error.message:
            raise
    try:
        return _typeset(content, report.dated, fonts_of_this_machine=True)
    except typst.TypstError:
        return _typeset(OTHER_SCRIPTS.sub(_code_point, content), report.dated)


def _typeset(content: str, dated: str, *, fonts_of_this_machine: bool = False) -> bytes:
    document: bytes = typst.compile(
        str(TEMPLATE),
        root=str(TEMPLATE.parent),
        ignore_system_fonts=not fonts_of_this_machine,
        sys_inputs={"report": content},
        pdf_standards=STANDARDS,
        timestamp=datetime.fromisoformat(dated).replace(microsecond=0) if dated else EPOCH,
    )
    return document


def _code_point(character: re.Match[str]) -> str:
    return f"[U+{ord(character[0]):04X}]"

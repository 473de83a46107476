"""The HTML of a report stands alone, cannot be made to act, and can be followed without eyes."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from coordinator.report.build import report_of
from coordinator.report.html import as_html
from coordinator.report.inputs import RunFacts
from tests.unit.coordinator.report.story import EVENTS, MIGRATED, PROVEN, REQUEST, facts, run, step

VOID = {"meta", "col", "br", "line", "rect"}


class Page(HTMLParser):
    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.open: list[str] = []
        self.said = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.said += data


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs() -> None:
    page = as_html(report_of(facts())).decode()
    tags = {tag for tag, _ in Page(page.encode()).tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "form"}
    assert not re.search(r"https?:|url\(|@import| on\w+=", page)
    assert "default-src 'none'" in page


def test_a_reader_without_eyes_can_follow_it() -> None:
    page = Page(as_html(report_of(facts())))
    assert page.open == []
    assert ("html", {"lang": "en"}) in page.tags
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    assert all(told["scope"] == "col" for tag, told in page.tags if tag == "th")
    assert [tag for tag, _ in page.tags].count("caption") == [tag for tag, _ in page.tags].count("table")
    assert "cds_client: migrated, 3.2 s" in next(told["aria-label"] for tag, told in page.tags if tag == "svg")


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "{{ 7*7 }}", "&amp;"])
def test_hostile_words_are_printed_and_never_obeyed(hostile: str) -> None:
    told = RunFacts(
        run(step("cds-client", "failed", error={"code": hostile}), request={**REQUEST, "reason": hostile}), EVENTS
    )
    page = Page(as_html(report_of(told)))
    assert page.said.count(hostile) >= 2
    assert not {"script", "img"} & {tag for tag, _ in page.tags}


def test_what_would_turn_the_reading_direction_is_shown_as_its_escape() -> None:
    told = facts(request={**REQUEST, "reason": "safe \u202etxt.exe\x00"})
    assert "safe \\u202etxt.exe\\x00" in Page(as_html(report_of(told))).said


def test_the_same_run_gives_the_same_bytes() -> None:
    assert as_html(report_of(facts())) == as_html(report_of(facts()))


def test_two_hundred_databases_fit_into_one_picture() -> None:
    steps = [{**MIGRATED, "service": f"s{number}", "database": f"s_{number}"} for number in range(200)]
    page = Page(as_html(report_of(RunFacts(run(*steps), EVENTS, PROVEN))))
    high = next(float(told["viewbox"].split()[3]) for tag, told in page.tags if tag == "svg")
    assert [tag for tag, _ in page.tags].count("rect") == 200
    assert high < 500

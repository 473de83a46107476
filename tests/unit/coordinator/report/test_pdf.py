"""The PDF of a report: an archive's format, pages that say which they are, and words that are only words."""

from __future__ import annotations

import re

import pypdfium2
import pytest

from coordinator.report.build import report_of
from coordinator.report.inputs import RunFacts
from coordinator.report.pdf import as_pdf
from tests.unit.coordinator.report.story import EVENTS, MIGRATED, PROVEN, REQUEST, event, facts, run


def pages(told: RunFacts) -> list[str]:
    document = pypdfium2.PdfDocument(as_pdf(report_of(told)))
    return [page.get_textpage().get_text_bounded() for page in document]


def reason(words: str) -> RunFacts:
    """The same words as who asked and why: a report prints both."""
    asked = event(101, "migration.requested", actor=words[:200])
    return facts(request={**REQUEST, "reason": words}, events=[asked, *EVENTS[1:]])


def flat(told: RunFacts) -> str:
    return re.sub(r"\s+", " ", " ".join(pages(told)))


def test_it_is_an_archive_file_that_is_tagged_and_dated_by_the_run() -> None:
    document = as_pdf(report_of(facts()))
    assert b"<pdfaid:part>2</pdfaid:part>" in document
    assert b"<pdfaid:conformance>A</pdfaid:conformance>" in document
    assert b"<pdfuaid:part>1</pdfuaid:part>" in document
    assert b"2026-11-22T15:00:12" in document
    assert pypdfium2.PdfDocument(document).get_metadata_value("Title") == "Migration report: release-41"


def test_the_same_run_gives_the_same_bytes() -> None:
    assert as_pdf(report_of(facts())) == as_pdf(report_of(facts()))


def test_every_page_says_of_which_run_it_is_and_which_page() -> None:
    found = pages(facts())
    assert len(found) > 1
    for number, page in enumerate(found, start=1):
        assert "release-41" in page
        assert f"Page {number} of {len(found)}" in page


@pytest.mark.parametrize(
    "hostile",
    [
        '#eval("1+1")',
        "#panic()",
        "*not bold* _nor this_",
        "$x^2$",
        "= no heading",
        "@nobody",
        "\\u{1F600}",
        "// no remark",
    ],
)
def test_words_that_typst_would_obey_are_only_words(hostile: str) -> None:
    assert flat(reason(hostile)).count(hostile) == 2


@pytest.mark.parametrize(
    ("foreign", "printed"),
    [
        ("\U000e0041 tag", "\\U000e0041 tag"),
        ("a\x00b\x1b[31m", "a\\x00b\\x1b[31m"),
        ("Grüße, Ελλάδα, Москва", "Grüße, Ελλάδα, Москва"),
        ("\U0001f9ff\ua9c1", "[U+1F9FF][U+A9C1]"),  # so rare that no machine of ours has a font for both
    ],
)
def test_characters_that_cannot_be_printed_are_named(foreign: str, printed: str) -> None:
    assert printed in flat(reason(foreign))


def test_a_word_without_end_stays_on_the_page() -> None:
    document = pypdfium2.PdfDocument(as_pdf(report_of(reason("W" * 2000))))
    right = max(
        words.get_charbox(index)[2]
        for words in (page.get_textpage() for page in document)
        for index in range(words.count_chars())
    )
    assert right <= document[0].get_width()


def test_a_hash_that_is_broken_over_lines_can_be_copied_without_anything_between() -> None:
    joined = re.sub(r"[\r\n]", "", "".join(pages(facts())))
    assert "b" * 64 in joined


def test_two_hundred_databases_are_printed_with_the_head_of_the_table_on_each_page() -> None:
    steps = [{**MIGRATED, "service": f"s{number}", "database": f"s_{number}"} for number in range(200)]
    found = pages(RunFacts(run(*steps), EVENTS, PROVEN))
    assert "s_199" in "".join(found)
    assert all("Revisions" in page for page in found[1:4])


def test_a_history_longer_than_a_page_is_printed_to_its_end() -> None:
    long = {**MIGRATED, "planned": [f"revision_{number:04d}" for number in range(2000)]}
    printed = flat(RunFacts(run(long), EVENTS, PROVEN))
    assert [each for each in long["planned"] if each not in printed] == []

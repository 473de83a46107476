"""[[windows]] and [[freezes]] of fleet.toml: what is read, what is refused, and what docs/policies.md promises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.domain.catalog import Catalog
from coordinator.domain.catalog_file import read_catalog
from coordinator.domain.windows import entry_fields
from coordinator.domain.windows.calendar import Calendar
from coordinator.domain.windows.opening import Closed, Open
from coordinator.domain.windows.sentences import sentence
from coordinator.errors import BadCatalog
from tests.unit.coordinator.domain.windows.rules import calendar, utc, window

ROOT = Path(__file__).parents[5]
PAGE = (ROOT / "docs" / "policies.md").read_text()
(EXAMPLE,) = [each for each in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "[[windows]]" in each]
FLEET = """
[fleet]
name = "f"
audit = "a"
[[services]]
name = "a"
database = "a"
[[services]]
name = "b"
database = "b"
former_names = ["old-b"]
[[services]]
name = "no-database"
no_database = "none"
"""
WINDOW = {
    "name": '"nights"',
    "weekdays": '["mon"]',
    "from": '"22:00"',
    "to": '"04:00"',
    "zone": '"Europe/Zurich"',
    "services": '"all"',
    "reason": '"few customers"',
}
FREEZE = {"from": "2026-12-20", "to": "2027-01-03", "zone": '"UTC"', "services": '"all"', "reason": '"the books"'}


def entry(section: str, fields: Mapping[str, str | None]) -> str:
    lines = [f"{name} = {value}" for name, value in fields.items() if value is not None]
    return "\n".join([f"[[{section}]]", *lines, ""])


def with_window(**changes: str | None) -> Catalog:
    return read_catalog(FLEET + entry("windows", WINDOW | {name.rstrip("_"): each for name, each in changes.items()}))


def with_freeze(**changes: str | None) -> Catalog:
    return read_catalog(FLEET + entry("freezes", FREEZE | {name.rstrip("_"): each for name, each in changes.items()}))


def test_a_catalog_without_windows_and_freezes_is_always_open() -> None:
    assert read_catalog(FLEET).calendar == Calendar([], [])


def test_the_example_in_the_documentation_is_read_and_means_what_the_page_says() -> None:
    rules = read_catalog((ROOT / "fleet.toml").read_text() + EXAMPLE).calendar
    for service, now, is_open in [
        ("cds-client", "2026-12-01T22:00", True),
        ("cds-client", "2026-12-05T12:00", True),
        ("cds-product", "2026-12-05T12:00", False),
        ("cds-task", "2026-12-05T12:00", True),
        ("cds-task", "2026-12-01T17:00", False),
        ("cds-task", "2026-12-01T22:30", True),
        ("cds-task", "2026-12-24T12:00", False),
    ]:
        assert (rules.opening(service, utc(now)) == Open()) is is_open, (service, now)


@pytest.mark.parametrize(("service", "now"), [("cds-client", "2026-12-01T12:00"), ("cds-task", "2026-12-24T12:00")])
def test_the_sentences_in_the_documentation_are_those_that_people_are_told(service: str, now: str) -> None:
    answer = read_catalog((ROOT / "fleet.toml").read_text() + EXAMPLE).calendar.opening(service, utc(now))
    assert isinstance(answer, Closed)
    assert f"    {sentence(answer)}\n" in PAGE


@pytest.mark.parametrize(
    ("opens", "closes", "ordinary", "march", "october"),
    [("22:00", "04:00", 360, 300, 420), ("22:00", "02:30", 270, 240, 330), ("22:00", "02:00", 240, 240, 240),
     ("02:10", "02:50", 40, 0, 100)],
)  # fmt: skip
def test_the_lengths_in_the_documentation_are_those_of_the_nights(
    opens: str, closes: str, ordinary: int, march: int, october: int
) -> None:
    rules = calendar(window(from_=opens, to=closes))
    for day, minutes in (("2026-12-01", ordinary), ("2026-03-28", march), ("2026-10-24", october)):
        spans = list(rules.windows[0].spans(utc(f"{day}T12:00"), utc(f"{day}T12:00") + timedelta(hours=20)))
        assert sum((span.ends - span.begins for span in spans), timedelta()) == timedelta(minutes=minutes)


def test_a_former_name_means_the_service_of_today() -> None:
    catalog = with_window(services='["old-b", "b"]')
    assert catalog.windows[0].services == ("b",)
    assert isinstance(catalog.calendar.opening("b", utc("2026-12-01T12:00")), Closed)
    assert catalog.calendar.opening("a", utc("2026-12-01T12:00")) == Open()
    assert with_freeze(services='["old-b"]').freezes[0].services == ("b",)


@pytest.mark.parametrize("written", ["2026-12-20", '"2026-12-20"', "2026-12-20T18:00:00", "2026-12-20T18:00:00+01:00"])
def test_a_freeze_takes_days_and_times_of_toml_and_as_text(written: str) -> None:
    (freeze,) = with_freeze(from_=written).freezes
    assert freeze.rule.name == "2026-12-20"


def test_the_same_day_may_be_both_ends_of_a_freeze() -> None:
    (freeze,) = with_freeze(from_="2026-12-20", to="2026-12-20").freezes
    assert freeze.span[:2] == (utc("2026-12-20T00:00"), utc("2026-12-21T00:00"))


@pytest.mark.parametrize(
    ("field", "written", "says"),
    [
        ("name", None, "windows.0.name: Field required"),
        ("name", '"Nights at home"', "windows.0.name"),
        ("weekdays", "[]", "windows.0.weekdays"),
        ("weekdays", '"mon"', "windows.0.weekdays"),
        ("weekdays", '["monday"]', "windows.0.weekdays.0"),
        ("from", None, "windows.0.from: Field required"),
        ("from", '"24:00"', "windows.0.from: .*a time of day"),
        ("from", '"9:00"', "windows.0.from"),
        ("from", '"22:00:00"', "windows.0.from"),
        ("from", '"1\u0662:00"', "windows.0.from"),
        ("from", "22:00:00", "windows.0.from"),
        ("from", "22", "windows.0.from"),
        ("to", '"24:01"', 'windows.0.to: .*"24:00"'),
        ("to", '"22:00"', "windows.0: .*from and to are the same"),
        ("zone", '"Europe/Zürich"', "windows.0.zone: .*Europe/Z.*rich.* is no time zone"),
        ("zone", '"europe/zurich"', "windows.0.zone"),
        ("zone", '"../../etc/localtime"', "windows.0.zone"),
        ("zone", '"Europe"', "windows.0.zone"),
        ("zone", '"localtime"', "windows.0.zone"),
        ("zone", '"Factory"', "windows.0.zone"),
        ("zone", '"right/Europe/Zurich"', "windows.0.zone"),
        ("zone", '"+01:00"', "windows.0.zone"),
        ("except", '["24.12.2026"]', "windows.0.except.0: .*a day"),
        ("except", '["2026-02-30"]', "windows.0.except.0"),
        ("except", "[2026-12-24T00:00:00]", "windows.0.except.0: .*a day"),
        ("except", "[2026-12-24, 9999-12-31]", "windows.0.except.1: .*1970 to 9000"),
        ("services", "[]", "windows.0.services: .*a list of names"),
        ("services", "[1]", "windows.0.services"),
        ("services", '"b"', "windows.0.services"),
        ("services", '["a", "nobody"]', "windows.0.services: 'nobody' is no service with a database"),
        ("services", '["no-database"]', "windows.0.services: 'no-database' is no service with a database"),
        ("reason", '""', "windows.0.reason"),
        ("reason", '"a\\u001b[31m"', "windows.0.reason: .*does not print"),
        ("until", '"04:00"', "windows.0.until"),
    ],
)
def test_a_window_that_cannot_be_right_is_refused_with_its_entry_and_field(
    field: str, written: str | None, says: str
) -> None:
    with pytest.raises(BadCatalog, match=says):
        with_window(**{field: written})


@pytest.mark.parametrize(
    ("field", "written", "says"),
    [
        ("name", '""', "freezes.0.name"),
        ("from", '"tomorrow"', "freezes.0.from: .*a day or a time"),
        ("from", '"2026-12-20 18:00"', "freezes.0.from"),
        ("from", '"2026-02-30"', "freezes.0.from"),
        ("from", '"2026-12-20T25:00"', "freezes.0.from"),
        ("from", "18:00:00", "freezes.0.from"),
        ("to", None, "freezes.0.to: Field required"),
        ("to", "2026-12-19", "freezes.0: .*to is not after from"),
        ("to", "2026-12-20T00:00:00", "freezes.0: .*to is not after from"),
        ("to", "9999-12-31", "freezes.0.to: .*1970 to 9000"),
        ("to", "9999-12-31T23:59:59-12:00", "freezes.0.to: .*1970 to 9000"),
        ("zone", None, "freezes.0.zone: Field required"),
        ("zone", '"Mars/Olympus"', "freezes.0.zone"),
        ("services", '["left-long-ago"]', "freezes.0.services: 'left-long-ago' is no service with a database"),
        ("reason", None, "freezes.0.reason: Field required"),
        ("weekdays", '["mon"]', "freezes.0.weekdays"),
    ],
)
def test_a_freeze_that_cannot_be_right_is_refused_with_its_entry_and_field(
    field: str, written: str | None, says: str
) -> None:
    with pytest.raises(BadCatalog, match=says):
        with_freeze(**{field: written})


@pytest.mark.parametrize(("section", "fields"), [("windows", WINDOW), ("freezes", FREEZE)])
def test_two_entries_with_one_name_are_refused(section: str, fields: dict[str, str]) -> None:
    with pytest.raises(BadCatalog, match=f"{section}.1.name: .* is the name of another of the {section}"):
        read_catalog(FLEET + entry(section, fields) * 2)


def test_a_machine_without_time_zones_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry_fields, "known_zones", frozenset)
    with pytest.raises(BadCatalog, match=r"windows.0.zone: .*install tzdata"):
        with_window()

"""JSON for a database whose encoding is not UTF-8."""

from __future__ import annotations

import json

import pytest

from migration_sidecar.protocol.journal_schema import from_ascii, to_ascii

TEXTS = [
    "orders",
    "注文 → é",
    "🎉",
    r"\u0041 is no letter here",
    r"\é and \\u00e9",
    'a "quoted" line\nand \x01',
    "a NUL \x00 inside",
    "\ud800",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("escaped", [True, False])
def test_every_text_comes_back_as_it_was(text: str, escaped: bool) -> None:
    document = json.dumps({"message": text}, ensure_ascii=escaped)
    assert json.loads(from_ascii(to_ascii(document))) == {"message": text}


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_stored_is_ascii_and_has_no_escape_that_postgresql_would_look_up(text: str) -> None:
    stored = json.loads(to_ascii(json.dumps([text])))[0]
    assert stored.isascii()
    assert "\x00" not in stored


def test_plain_json_stays_as_it_is() -> None:
    document = json.dumps({"sha256": "ab", "path": "C:\\new", "n": [1, None, True]})
    assert to_ascii(document) == from_ascii(document) == document

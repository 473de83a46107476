"""Python files in other encodings than UTF-8."""

from __future__ import annotations

import marshal

import pytest

from migration_sidecar.worker.source_text import decode_source


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("größe = 1".encode(), "größe = 1"),
        ("# coding: latin-1\ngröße = 1".encode("latin-1"), "# coding: latin-1\ngröße = 1"),
        ("# coding: cp1252\nx = '€'".encode("cp1252"), "# coding: cp1252\nx = '€'"),
        (b"\xef\xbb\xbfx = 1", "x = 1"),
    ],
)
def test_a_file_is_read_in_its_own_encoding(source: bytes, text: str) -> None:
    assert decode_source(source) == text


@pytest.mark.parametrize("source", [marshal.dumps(compile("drop = 1", "", "exec")), b"# coding: no-such\ndrop = 1"])
def test_what_names_no_encoding_that_is_known_can_still_be_searched(source: bytes) -> None:
    assert "drop" in decode_source(source)

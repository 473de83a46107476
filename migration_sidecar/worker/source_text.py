"""Reads Python files as Python does: by their byte order mark or coding line."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from tokenize import detect_encoding


def read_source(file: Path) -> str:
    """The text of the file. Raises OSError; a byte that its encoding does not know is replaced."""
    return decode_source(file.read_bytes())


def decode_source(source: bytes) -> str:
    """The text of these bytes; those of a compiled file, or with an unknown coding line, are taken for UTF-8."""
    try:
        encoding, _ = detect_encoding(BytesIO(source).readline)
    except (SyntaxError, ValueError):
        encoding = "utf-8"
    return source.decode(encoding, errors="replace")

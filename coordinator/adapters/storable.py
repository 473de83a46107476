"""Makes a service's answer storable: neither JSON stores nor databases take NUL or half of a surrogate pair."""

from __future__ import annotations

import re

from migration_sidecar.contract.strict_json import FORBIDDEN

# In JSON a backslash always escapes something in a string.
_ESCAPE = re.compile(rb"\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|u([0-9a-f]{4})|.)", re.IGNORECASE | re.DOTALL)
_REPLACEMENT = rb"\ufffd"


def storable(content: bytes) -> bytes:
    """The same JSON with U+FFFD for each such character; bytes that are no JSON stay as they are."""
    return _ESCAPE.sub(lambda match: _REPLACEMENT if _is_refused(match[1]) else match[0], content)


def _is_refused(digits: bytes | None) -> bool:
    return digits is not None and FORBIDDEN.match(chr(int(digits, 16))) is not None

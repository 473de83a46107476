"""HTTP to this machine; a proxy that the environment names for the outside must not get these calls."""

from __future__ import annotations

import urllib.request
from http.client import HTTPResponse


def call(request: str | urllib.request.Request, timeout_seconds: float) -> HTTPResponse:
    """Raises OSError, of which urllib's HTTPError is one."""
    answer: HTTPResponse = _direct.open(request, timeout=timeout_seconds)
    return answer


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

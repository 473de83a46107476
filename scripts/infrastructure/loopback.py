"""HTTP to this machine, without the proxy that the environment may name."""

from __future__ import annotations

import urllib.request
from http.client import HTTPResponse


def call(request: str | urllib.request.Request, timeout_seconds: float) -> HTTPResponse:
    """Sends one request. Raises OSError (HTTPError of urllib is a subclass)."""
    answer: HTTPResponse = _direct.open(request, timeout=timeout_seconds)
    return answer


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

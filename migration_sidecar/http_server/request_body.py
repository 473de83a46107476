"""Reads a request's body up to a limit."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request


async def read_body(request: Request, limit_bytes: int, too_large: Callable[[int], Exception]) -> bytes:
    """Raises `too_large(limit_bytes)`. Counts while it reads: Content-Length may be missing or wrong."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise too_large(limit_bytes)
    return bytes(body)

"""Reads a request's body up to a limit. Where the caller was proven the body was read before, and is kept."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request


async def read_body(request: Request, limit_bytes: int, too_large: Callable[[int], Exception]) -> bytes:
    """Raises `too_large(limit_bytes)`. Counts while it reads: Content-Length may be missing or wrong."""
    kept: bytes | None = getattr(request.state, "kept_body", None)
    if kept is not None:
        if len(kept) > limit_bytes:
            raise too_large(limit_bytes)
        return kept
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise too_large(limit_bytes)
    return bytes(body)


def keep_body(request: Request, body: bytes) -> bytes:
    """For whoever reads it next: a body comes only once. Returns the body."""
    request.state.kept_body = body
    return body

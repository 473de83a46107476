"""Reads the bearer token of a call (RFC 6750). It is a secret: whoever has it is believed until it expires."""

from __future__ import annotations

import re

from fastapi import Request

from coordinator.domain.tokens.refusal import TokenRefusal, TokenRefused
from signed_calls.signature import INPUT_HEADER, SIGNATURE_HEADER

HEADER = "authorization"
LONGEST_HEADER = 8 * 1024
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] (?P<token>[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)", re.ASCII)


def comes_with_a_token(request: Request) -> bool:
    """Whether a token is to prove this call. A signature covers more, so it alone counts where there is one."""
    names = request.headers.keys()
    return HEADER in names and INPUT_HEADER not in names and SIGNATURE_HEADER not in names


def read_token(request: Request) -> str:
    """The token. Raises TokenRefused unless there is exactly one header of the right form and a bounded length."""
    headers = request.headers.getlist(HEADER)
    match = _BEARER.fullmatch(headers[0]) if len(headers) == 1 and len(headers[0]) <= LONGEST_HEADER else None
    if match is None:
        raise TokenRefused(TokenRefusal.MALFORMED)
    return match["token"]
